// The actor kit: everything the rest of the house knows about actors. CAF stays inside runtime/kit/*.cpp.
//
// A message is any movable struct. A request names its answer: `struct submit { using reply = accepted; … };`.
// A message type may say `static constexpr auto lane = kit::lane::control;` (never bounded, never dropped).
//
//   using counter_api = kit::accepts<add, total>;
//
//   kit::behavior counter(kit::context& self) {
//     auto sum = std::make_shared<int>(0);
//     return kit::behavior{}
//         .on<add>([sum](const add& m) { *sum += m.n; })
//         .on<total>([sum](const total&) -> result<int> { return *sum; });     // total::reply is int
//   }
//
//   auto h = system.spawn<counter_api>({.name = "counter"}, counter);
//   h.send(add{3});
//   system.ask(h, total{}, 1s, [](result<int> r) { … });
//
// A handle is a logical address: it stays valid when a supervisor restarts the actor behind it. While nobody is
// behind it, messages become counted dead letters and requests fail with `unavailable`.
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "messages/result.hpp"
#include "messages/timestamp.hpp"

namespace horizons::supervision {
enum class strategy : std::uint8_t;
struct restart_limits;
}  // namespace horizons::supervision

namespace horizons::kit {

using instant = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

/// data: bounded by the receiver's declared limits. control: exit, cancel, acknowledgement, health; never bounded.
enum class lane : std::uint8_t { data, control };

/// What happens to a data message when the receiver's lane is full.
enum class overflow : std::uint8_t { reject, drop_oldest, conflate };

/// What became of a message at the sender's side.
enum class delivery : std::uint8_t { accepted, rejected_full, dead };

/// Why an actor ended.
struct exit_cause {
  enum class kind : std::uint8_t { normal, shutdown, failed, killed };
  kind how = kind::normal;
  std::string reason;
  bool abnormal() const { return how == kind::failed || how == kind::killed; }
};

/// Bounds of the data lane.
struct lane_limits {
  std::size_t messages_max = 10'000;
  std::size_t bytes_max = std::size_t{64} << 20;  // as told by `std::size_t bytes_of(const M&)`, else sizeof(M)
  overflow on_overflow = overflow::reject;
};

struct actor_options {
  std::string name{};  // last part of the path, unique among its siblings
  std::string type{};  // what it is, for metrics; empty: the name
  lane_limits limits{};
};

template <class... Messages>
struct accepts {
  template <class M>
  static constexpr bool has = (std::same_as<M, Messages> || ...);
};

template <class M>
concept request_message = requires {
  typename M::reply;
};

class system;
class context;
class behavior;

namespace detail {

/// Identity and traits of a message type; one static object per type.
struct message_type {
  std::string_view name;
  kit::lane lane;
};

template <class M>
constexpr std::string_view message_name() {
  std::string_view s = __PRETTY_FUNCTION__;  // "... [with M = horizons::x; ...]"
  auto from = s.find("M = ") + 4;
  return s.substr(from, s.find_first_of(";]", from) - from);
}

template <class M>
constexpr kit::lane lane_of() {
  if constexpr (requires { M::lane; })
    return M::lane;
  else
    return kit::lane::data;
}

template <class M>
inline constexpr message_type type_of{message_name<M>(), lane_of<M>()};

struct parcel;
struct account;
struct answer;
class cell;
using cell_ptr = std::shared_ptr<cell>;

/// Whoever waits for answers: an actor's cell, or an asker outside of any actor.
class asker {
public:
  virtual ~asker() = default;
  virtual void answered(std::uint32_t generation, std::unique_ptr<answer> a) = 0;
};

/// Where the answer of one request goes. Answers once; later ones are dropped.
class return_address {
public:
  return_address() = default;
  return_address(std::shared_ptr<asker> to, std::uint32_t generation, std::uint64_t request)
      : to_(std::move(to)), request_(request), generation_(generation) {}
  return_address(return_address&&) noexcept = default;
  return_address& operator=(return_address&&) noexcept = default;

  explicit operator bool() const { return to_ != nullptr; }
  void put(std::unique_ptr<answer> a);
  void fail(error e);

private:
  std::shared_ptr<asker> to_;
  std::uint64_t request_ = 0;
  std::uint32_t generation_ = 0;
};

/// A message on its way: owned by the mailbox, read by exactly one handler. One allocation: it is linked into the
/// mailbox by itself.
struct parcel {
  enum class sort : std::uint8_t { message, answer, task, token };

  explicit parcel(const message_type& t, sort s = sort::message) : type(&t), what(s) {}
  virtual ~parcel() = default;
  parcel(const parcel&) = delete;
  virtual void* value() { return nullptr; }
  virtual return_address* return_to() { return nullptr; }   // requests only
  virtual std::uint64_t conflate_key() const { return 0; }  // M::conflate_key() when it has one

  const message_type* type;
  std::size_t bytes = 0;         // counted against the receiver's bytes_max
  std::int64_t enqueued_ns = 0;  // 0: not stamped
  std::uint32_t generation = 0;  // of the receiver when it was sent: a restarted actor does not see its past
  sort what;
  bool counted = false;    // in the receiver's data lane
  bool urgent = false;     // overtakes those that are not
  bool asks = false;       // a request: has a return address
  account* to = nullptr;   // while queued: whose books it is in
  parcel* next = nullptr;  // in the mailbox; see inbox.hpp
};

template <class M>
struct parcel_of : parcel {
  explicit parcel_of(M&& m) : parcel(type_of<M>), message(std::move(m)) {
    if constexpr (requires { bytes_of(message); })
      bytes = bytes_of(message);
    else
      bytes = sizeof(M);
  }
  void* value() override { return &message; }
  std::uint64_t conflate_key() const override {
    if constexpr (requires { message.conflate_key(); })
      return message.conflate_key();
    else
      return 0;
  }
  M message;
};

template <class M>
struct request_of final : parcel_of<M> {
  explicit request_of(M&& m) : parcel_of<M>(std::move(m)) { this->asks = true; }
  return_address* return_to() override { return &to; }
  return_address to;
};

/// An answer on its way back: a value (in answer_with) or an error.
struct answer : parcel {
  answer() : parcel(type_of<answer>, sort::answer) {}
  explicit answer(error e) : parcel(type_of<answer>, sort::answer), failed(std::make_unique<error>(std::move(e))) {}
  static constexpr auto lane = kit::lane::control;
  std::unique_ptr<error> failed;
  std::uint64_t request = 0;
};

template <class Reply>
struct answer_with final : answer {
  explicit answer_with(Reply&& r) : reply(std::move(r)) {}
  void* value() override { return &reply; }
  Reply reply;
};

using answer_handler = std::function<void(answer&)>;

template <class Reply>
answer_handler unpack_answer(std::function<void(result<Reply>)> then) {
  return [then = std::move(then)](answer& a) {
    if (a.failed)
      then(failure(std::move(*a.failed)));
    else
      then(std::move(*static_cast<Reply*>(a.value())));
  };
}

template <class M>
std::unique_ptr<parcel> pack(M m) {
  if constexpr (request_message<M>)
    return std::make_unique<request_of<M>>(std::move(m));
  else
    return std::make_unique<parcel_of<M>>(std::move(m));
}

/// Puts a message into the mailbox of whoever is behind the cell. See cell.hpp.
delivery deliver(const cell_ptr& to, std::unique_ptr<parcel> p);
const std::string& path_of(const cell_ptr& c);

}  // namespace detail

/// The right to answer one request, once. Dropping it unanswered answers with `internal: … without an answer`.
/// Copies share the right; answering is thread safe.
template <class Reply>
class promise {
public:
  explicit promise(detail::return_address to) : slot_(std::make_shared<slot>(std::move(to))) {}

  void deliver(Reply r) const {
    if (!slot_->used.test_and_set()) slot_->to.put(std::make_unique<detail::answer_with<Reply>>(std::move(r)));
  }
  void fail(error e) const {
    if (!slot_->used.test_and_set()) slot_->to.fail(std::move(e));
  }
  void set(result<Reply> r) const { r ? deliver(std::move(*r)) : fail(std::move(r.error())); }

private:
  struct slot {
    explicit slot(detail::return_address a) : to(std::move(a)) {}
    ~slot() {
      if (!used.test_and_set()) to.fail({error_code::internal, "the receiver dropped the request without an answer"});
    }
    detail::return_address to;
    std::atomic_flag used = ATOMIC_FLAG_INIT;
  };
  std::shared_ptr<slot> slot_;  // copyable, so that lambdas may hold it
};

/// Any actor's address, without its interface.
class address {
public:
  address() = default;
  explicit address(detail::cell_ptr c) : cell_(std::move(c)) {}
  explicit operator bool() const { return cell_ != nullptr; }
  const std::string& path() const { return detail::path_of(cell_); }
  const detail::cell_ptr& cell() const { return cell_; }
  friend bool operator==(const address&, const address&) = default;

protected:
  detail::cell_ptr cell_;
};

/// A typed address: only messages of its interface can be sent.
template <class Api>
class handle : public address {
public:
  using address::address;

  /// Fire and forget; the outcome tells whether the data lane took it.
  template <class M>
  requires(Api::template has<M>) delivery send(M m)
  const { return detail::deliver(cell_, detail::pack(std::move(m))); }
};

/// A timer that can be called off; destroying it does not.
class timer {
public:
  void cancel();
  explicit operator bool() const { return state_ != nullptr; }
  struct state;
  explicit timer(std::shared_ptr<state> s) : state_(std::move(s)) {}
  timer() = default;

private:
  std::shared_ptr<state> state_;
};

/// The handlers of an actor by message type.
class behavior {
public:
  /// `f(const M&)` or `f(M&)`; for requests also `f(const M&, promise<M::reply>)` or returning result<M::reply>.
  template <class M, class F>
  behavior&& on(F f) && {
    add(detail::type_of<M>, [f = std::move(f)](detail::parcel& p) mutable {
      auto& m = *static_cast<M*>(p.value());
      if constexpr (request_message<M>) {
        using reply = typename M::reply;
        auto& to = static_cast<detail::request_of<M>&>(p).to;
        if constexpr (std::invocable<F&, M&, promise<reply>>) {
          f(m, promise<reply>(std::move(to)));
        } else {
          auto r = f(m);
          if (r)
            to.put(std::make_unique<detail::answer_with<reply>>(std::move(*r)));
          else
            to.fail(std::move(r.error()));
        }
      } else {
        f(m);
      }
    });
    return std::move(*this);
  }

  using handler = std::function<void(detail::parcel&)>;
  const handler* find(const detail::message_type& t) const {
    for (auto& [type, h] : handlers_)
      if (type == &t) return &h;
    return nullptr;
  }

private:
  void add(const detail::message_type& t, handler h) { handlers_.emplace_back(&t, std::move(h)); }
  std::vector<std::pair<const detail::message_type*, handler>> handlers_;
};

/// Makes an actor's state and handlers; called again, with fresh state, at every restart.
using actor_body = std::function<behavior(context&)>;

/// How a supervised child is treated (Erlang/OTP supervisor(3)).
enum class restart : std::uint8_t { permanent, transient, temporary };

struct child_options {
  kit::restart restart = kit::restart::permanent;
  milliseconds grace{5'000};  // between the request to stop and the kill
  bool significant = false;
};

/// One child as its parent sees it.
struct child_state {
  std::string name, path, state, last_error;
  int restarts = 0;
};

/// What an actor sees of the world. Valid as long as the actor lives; not thread safe.
class context {
public:
  virtual ~context() = default;
  virtual kit::system& system() = 0;
  virtual const std::string& path() const = 0;
  virtual address self() const = 0;
  template <class Api>
  handle<Api> self_as() const {
    return handle<Api>(self().cell());
  }

  /// The kit's clock (virtual in simulations): for durations and deadlines.
  virtual instant now() const = 0;
  /// The same clock as wall time, for events.
  virtual timestamp utc() const = 0;

  /// Runs `f` in this actor after `delay`, unless cancelled or the actor ended.
  virtual timer after(milliseconds delay, std::function<void()> f) = 0;

  /// Asks and runs `then` in this actor, exactly once: with the answer, or an error (timed_out, unavailable …).
  template <class Api, request_message M>
  requires(Api::template has<M>) void request(const handle<Api>& to, M m, milliseconds timeout,
                                              std::function<void(result<typename M::reply>)> then) {
    request_any(to, detail::pack(std::move(m)), timeout, detail::unpack_answer<typename M::reply>(std::move(then)));
  }

  /// Runs `f` in this actor, from any thread; false when the actor has ended. Control lane.
  virtual std::function<bool(std::function<void()>)> mailbox_executor() = 0;

  /// Tells once when `who`'s present incarnation ends.
  virtual void monitor(const address& who, std::function<void(const exit_cause&)> then) = 0;

  /// Starts a supervised child below this actor's path. The child ends with its parent.
  template <class Api>
  handle<Api> spawn(actor_options options, actor_body body, child_options child = {.restart = restart::temporary}) {
    return handle<Api>(spawn_any(std::move(options), std::move(body), child, false).cell());
  }
  /// The same on a thread of its own: for one library that blocks.
  template <class Api>
  handle<Api> spawn_blocking(actor_options options, actor_body body,
                             child_options child = {.restart = restart::permanent}) {
    return handle<Api>(spawn_any(std::move(options), std::move(body), child, true).cell());
  }

  /// Both in one, for callers that hold a child's description as data.
  virtual address spawn_any(actor_options options, actor_body body, child_options child, bool blocking) = 0;

  /// How this actor's children are treated when one ends; before the first spawn. Without it: one_for_one with the
  /// default limits. Children are then started in order: the next one when the one before has run its body.
  virtual void supervise(supervision::strategy how, const supervision::restart_limits& limits) = 0;
  virtual std::vector<child_state> children() const = 0;

  /// Called when the actor is asked to stop (grace runs); the default is to end at once. Call `quit` when done.
  virtual void on_stop(std::function<void()> f) = 0;
  /// Ends this actor.
  virtual void quit(exit_cause cause = {}) = 0;
  /// Ends this actor abnormally: its supervisor decides what follows.
  void fail(std::string reason) { quit({exit_cause::kind::failed, std::move(reason)}); }
  /// Stops a child or any actor below this one.
  virtual void stop(const address& who) = 0;

private:
  virtual void request_any(const address& to, std::unique_ptr<detail::parcel> p, milliseconds timeout,
                           detail::answer_handler then) = 0;
};

}  // namespace horizons::kit
