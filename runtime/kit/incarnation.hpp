// One life of an actor: its state, handlers, timers, requests and children; and the runner that carries successive
// lives through one mailbox. Everything here runs in the actor's turn. Internal to the kit.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/kit/cell.hpp"
#include "runtime/kit/child_set.hpp"
#include "runtime/kit/pending_requests.hpp"

namespace horizons::kit::detail {

class incarnation final : public context {
public:
  incarnation(cell_ptr self, std::uint32_t generation, std::uint32_t epoch);
  ~incarnation() override;

  kit::system& system() override { return *self_->home().owner; }
  const std::string& path() const override { return self_->path(); }
  address self() const override { return address(self_); }
  instant now() const override { return self_->home().now(); }
  timestamp utc() const override { return self_->home().utc(); }
  timer after(milliseconds delay, std::function<void()> f) override;
  std::function<bool(std::function<void()>)> mailbox_executor() override;
  void monitor(const address& who, std::function<void(const exit_cause&)> then) override;
  address spawn_any(actor_options options, actor_body body, child_options child, bool blocking) override;
  void supervise(supervision::strategy how, const supervision::restart_limits& limits) override;
  std::vector<child_state> children() const override;
  void on_stop(std::function<void()> f) override { on_stop_ = std::move(f); }
  void quit(exit_cause cause) override;
  void stop(const address& who) override;

  // --- by the runner ---
  void begin(const actor_body& body);
  void handle(parcel& p);  // a message; throws what the handler throws
  void answered(answer& a);
  void stop_asked();
  bool stop_child(const cell_ptr& child) { return children_ && children_->stop(child); }
  child_set* offspring() { return children_.get(); }
  bool begun() const { return begun_; }
  bool quitting() const { return cause_.has_value(); }
  /// Goes on with the end once it was asked for: children first. True when this life is over.
  bool wind_down();
  const exit_cause& cause() const { return *cause_; }
  std::uint32_t generation() const { return generation_; }
  const cell_ptr& cell() const { return self_; }

private:
  void request_any(const address& to, std::unique_ptr<parcel> p, milliseconds timeout, answer_handler then) override;
  child_set& need_children();

  const cell_ptr self_;
  const std::uint32_t generation_, epoch_;
  behavior behavior_;
  bool begun_ = false, closing_ = false;
  std::optional<exit_cause> cause_;
  std::function<void()> on_stop_;
  pending_requests pending_;
  std::vector<std::weak_ptr<actor_timer>> timers_;  // called off at the end; pruned when it doubles
  std::size_t prune_at_ = 16;
  std::unique_ptr<child_set> children_;
};

class runner final : public consumer {
public:
  runner(const cell_ptr& c, std::uint32_t epoch);
  ~runner() override;

  std::shared_ptr<void> begin_turn() override;
  bool consume(std::unique_ptr<parcel> p, bool last) override;
  void end_turn() override;

  // --- tasks ---
  void begin(const actor_body& body, std::uint32_t generation, bool tell_parent);
  void stop();
  void kill();
  void leave() { leaving_ = true; }  // ends the mailbox
  void child_started(const cell_ptr& child);
  void child_ended(const cell_ptr& child, const exit_cause& cause);
  void stop_child(const cell_ptr& child);
  bool renew_child(const cell_ptr& child);
  incarnation* present() { return now_.get(); }

private:
  void message(std::unique_ptr<parcel> p);
  void settle();
  template <class F>
  void guarded(std::string_view what, F f);
  void follow_up();
  void early_refused();
  bool lost() const { return cell_->epoch() != epoch_; }

  const std::weak_ptr<cell> weak_;
  const std::shared_ptr<account> book_;
  const std::uint32_t epoch_;
  cell* cell_ = nullptr;  // during a turn, which holds it
  std::unique_ptr<incarnation> now_;
  std::vector<std::unique_ptr<parcel>> early_;  // data sent before the body ran; bounded by the lane's limits
  bool leaving_ = false;
  // Counted in batches that grow with the run of messages: a few show exactly, of many senders and reader need not
  // meet each time.
  std::uint64_t read_load_ = 0;  // lane_load's packed sum
  std::uint32_t read_ = 0, handled_ = 0, batch_ = 1, batch_max_ = 1;
  bool last_ = true;
};

}  // namespace horizons::kit::detail
