// Owns all actors of a process: start, look up, ask from outside, watch, stop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kit/kit.hpp"

namespace horizons::kit {

class virtual_clock;

struct system_options {
  std::size_t threads = 0;          // 0: the CPUs the process may use (cgroup and affinity), at least 2
  std::size_t max_throughput = 50;  // messages per turn: CAF's default starves neighbours (T4)
  /// A root actor failed and nobody is above it: the program decides (usually: exit with a status).
  std::function<void(const std::string& path, const exit_cause& cause)> on_root_failure{};
  /// Runs everything in the calling thread under this clock, with no thread of its own; see runtime/simulation.
  std::shared_ptr<virtual_clock> simulated{};
};

/// One line of the supervision tree.
struct tree_entry {
  std::string path;  // "/jobs/scheduler"
  std::string type;
  std::string state;  // starting, running, draining (see administration.hpp), stopping, backoff, ended
  int restarts = 0;
  std::string last_error;
  std::size_t mailbox = 0;
  std::int64_t started_unix_ms = 0;
};

/// What one mailbox looks like at this moment.
struct mailbox_reading {
  std::string path, type;
  std::size_t messages = 0, bytes = 0;  // queued in the data lane
  milliseconds oldest{0};               // age of the next message to be read, about
  std::string handling;                 // message type of the running handler; empty: idle
  milliseconds handling_for{0};
  std::uint64_t handled = 0;  // messages since the address exists; a rate is the difference of two readings
};

class metrics_registry;

class system {
public:
  explicit system(system_options options = {});
  ~system();  // stops what still runs, within bounds
  system(const system&) = delete;

  /// A root actor "/<name>".
  template <class Api>
  handle<Api> spawn(actor_options options, actor_body body) {
    return handle<Api>(spawn_any(std::move(options), std::move(body), false).cell());
  }
  template <class Api>
  handle<Api> spawn_blocking(actor_options options, actor_body body) {
    return handle<Api>(spawn_any(std::move(options), std::move(body), true).cell());
  }

  /// Asks from outside any actor; `then` runs once on an unspecified thread.
  template <class Api, request_message M>
  requires(Api::template has<M>) void ask(const handle<Api>& to, M m, milliseconds timeout,
                                          std::function<void(result<typename M::reply>)> then) {
    ask_any(to, detail::pack(std::move(m)), timeout, detail::unpack_answer<typename M::reply>(std::move(then)));
  }

  /// The same, waiting: for tests, the command line and other threads that may block. Never inside an actor.
  template <class Api, request_message M>
  requires(Api::template has<M>) result<typename M::reply> ask(const handle<Api>& to, M m, milliseconds timeout);

  address find(std::string_view path) const;  // empty address when nobody has that path
  std::vector<tree_entry> tree() const;       // in path order, parents first
  std::vector<mailbox_reading> mailboxes() const;
  /// Counters per actor type; may be kept beyond the system's life.
  std::shared_ptr<const metrics_registry> metrics() const;
  instant now() const;
  timestamp utc() const;

  /// Stops an actor and everything below it, in reverse start order; true when all ended within `grace`.
  bool stop(const address& who, milliseconds grace);
  void kill(const address& who);

  /// Stops everything in reverse start order; returns the paths of actors that did not end in time.
  std::vector<std::string> shutdown(milliseconds limit);

  struct state;
  state& internals() { return *state_; }

private:
  address spawn_any(actor_options options, actor_body body, bool blocking);
  void ask_any(const address& to, std::unique_ptr<detail::parcel> p, milliseconds timeout, detail::answer_handler then);
  std::unique_ptr<state> state_;
};

}  // namespace horizons::kit

#include "runtime/kit/system_ask.ipp"
