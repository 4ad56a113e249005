// The source's actor: one delivery's way from the broker to the house and back. Connection and end are in source.cpp,
// messages in source_messages.cpp.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "gateways/rabbitmq/acknowledgements.hpp"
#include "gateways/rabbitmq/cloakroom.hpp"
#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/inbox.hpp"
#include "gateways/rabbitmq/lanes.hpp"
#include "gateways/rabbitmq/outbox.hpp"
#include "gateways/rabbitmq/submission.hpp"
#include "gateways/rabbitmq/topology_keeper.hpp"
#include "gateways/rabbitmq/waiting_room.hpp"
#include "runtime/kit/credit.hpp"

namespace horizons::rabbitmq {

class source_actor : public guarded_state<source_actor> {
public:
  source_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m);

  void start();
  bridges::bridge_health how() const;

private:
  static constexpr std::uint16_t consuming = 1, publishing = 2, declaring = 3;  // channels

  /// One delivery while it is worked on.
  struct work {
    delivery_ptr d;  // null: finished
    std::uint64_t lane = 0;
    std::uint64_t generation = 0;  // of the connection it came by
    int attempts = 0;
    kit::instant began{};
    timestamp first_failed_at{};
    kit::milliseconds backoff{50};  // before the next attempt; grows
  };
  using work_ptr = std::shared_ptr<work>;

  /// While the house works on it.
  struct asked {
    work_ptr w;
    kit::local_flow::ticket credit;
  };
  struct answered {
    std::uint32_t number = 0;  // in at_house_
    result<bridges::handled> how;
  };

  // -- the connection
  result<void> up(connection& c);
  result<void> consume(connection& c);
  void down();
  void take(broker_event& e);
  void consume_again();
  /// Now and then, while nothing comes: whether anything still could.
  void watch_consumer();
  void look(connection& c);
  bool is_served(const result<queue_state>& queue);
  void declare_soon();

  // -- a message
  void receive(delivery_ptr d);
  bool read(const work_ptr& w, submission& into);
  /// Its turn has come, or comes again: what waited is read once more, which costs less than keeping what was read.
  void begin(const work_ptr& w);
  void give(const work_ptr& w, submission& what);
  void take_answers();
  /// What waited for credit, as far as there is some now.
  void begin_waiting();
  void handled(const work_ptr& w, result<bridges::handled> r);
  void count(bridges::handled::outcome o);
  void try_again(const work_ptr& w, const error& why);
  void wait_for_room(const work_ptr& w);
  void give_back(const work_ptr& w, const error& why);
  void finish(const work_ptr& w);

  // -- refusals
  void refuse(const work_ptr& w, const std::string& reason, const error& why);
  void reject(const work_ptr& w);
  void settle(const confirmed& c);
  /// Nobody there to hear it: the answer is lost, the job is not.
  template <class Made>
  void answer(const work_ptr& w, Made&& made) {
    if (!w->d->what.properties.reply_to.empty() && outbox_->answer(made())) ++metrics_->replies;
  }

  // -- the end
  void stop();
  void leave_when_acknowledged();
  void leave();

  /// Runs `f` later unless the connection has changed.
  void after(kit::milliseconds delay, std::function<void(source_actor&)> f);

  kit::context& self_;
  bridges::services services_;
  const options options_;
  std::shared_ptr<metrics> metrics_;
  topology_keeper topology_{options_, *metrics_, declaring};
  std::shared_ptr<link> link_;
  std::optional<outbox> outbox_;
  std::shared_ptr<acknowledgements> acks_;
  std::shared_ptr<inbox<answered>> answers_;
  std::vector<answered> taken_;   // of them, while they are gone through
  std::uint64_t generation_ = 0;  // of the connection: what belongs to an older one is dropped
  std::string consumer_;
  int consumers_ = 0;
  std::string look_fault_;            // why the broker does not let us look at the queue; empty: it does
  std::uint64_t seen_delivered_ = 0;  // when the consumer was last looked at
  bool kept_waiting_ = false;         // messages were there then, and none came
  bool stopping_ = false, left_ = false;
  lanes<work_ptr> lanes_;
  waiting_room<work_ptr> no_room_;
  kit::local_flow flow_;          // what the house has been given and has not answered
  cloakroom<asked> at_house_;     // the same; bounded by the flow
  std::deque<work_ptr> waiting_;  // for credit; at most the prefetch
};

}  // namespace horizons::rabbitmq
