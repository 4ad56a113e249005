// The actors around the journal: one writer with group commit, one reader. See journal.hpp for the semantics.
#pragma once

#include <memory>
#include <vector>

#include "runtime/journal/event_list.hpp"
#include "runtime/journal/journal.hpp"
#include "runtime/journal/journal_metrics.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::journal {

/// Commits `what`, together with whatever else waits, and answers when it is on disk.
/// The batch is the writer's until it has answered, which puts the positions into its events: then it belongs to all
/// who read it, and nobody changes it any more. Sending the same batch again, because the answer was an error, is safe.
struct append {
  using reply = append_outcome;
  std::shared_ptr<batch> what;
  explicit append(batch b);  // prepared here
  /// `b` should be prepared, by whoever made it.
  explicit append(std::shared_ptr<batch> b) : what(std::move(b)) {}
  friend std::size_t bytes_of(const append& a);
};

/// Tells `to` of every committed event after `after_position`, in order and without gaps, until `to` ends:
/// first from the store, then live. `to` gets `committed` messages. A second one of the same `to` replaces the first.
/// The writer forgets its subscribers when it is restarted: they monitor it and subscribe again where they stand.
struct subscribe {
  static constexpr auto lane = kit::lane::control;
  kit::handle<kit::accepts<struct committed>> to;
  std::uint64_t after_position = 0;
};

/// Consecutive committed events, shared by all subscribers. One that does not begin where the receiver stands
/// (`after_position`) belongs to an earlier subscription, of before its restart, and is to be dropped.
struct committed {
  std::shared_ptr<const event_list> events;
  std::uint64_t after_position = 0;
  friend std::size_t bytes_of(const committed&) { return 1; }
};

/// What the writer knows about itself, for readiness and metrics.
struct journal_status {
  static constexpr auto lane = kit::lane::control;
  struct reply {
    std::string id;
    std::uint64_t last_position = 0;
    std::uint64_t commits = 0, events = 0;
    double last_commit_ms = 0;
    std::string last_error;  // empty: healthy
  };
};

/// store::claim_source, in order with the appends.
struct claim_source {
  static constexpr auto lane = kit::lane::control;
  using reply = store::claimed_source;
  std::string source;
};

/// store::archive, one step: appends wait for it.
struct archive_events {
  static constexpr auto lane = kit::lane::control;
  using reply = archived;
  timestamp before{};
  std::uint64_t up_to = 0;
};

using writer_api = kit::accepts<append, subscribe, journal_status, claim_source, archive_events>;

struct read_events {
  struct reply {
    std::vector<event> events;
  };
  event_filter filter;
  std::size_t limit = 1000;
};

struct find_claim {
  struct reply {
    std::optional<claimed_by> claim;
  };
  std::string tenant, user_id, idempotency_key;
};

struct verify_chain {
  struct reply {
    std::uint64_t checked = 0;
  };
};

struct read_sources {
  using reply = std::map<std::string, source_progress>;
  std::string prefix;
};

struct read_head {
  using reply = store::chain_head;
};

using reader_api = kit::accepts<read_events, find_claim, verify_chain, read_sources, read_head>;

/// Bodies for kit spawn_blocking. `open` is called on the actor's own thread at every start: a restart reopens the
/// store.
using open_function = std::function<result<std::unique_ptr<store>>()>;
using pause_function = std::function<void(kit::instant::duration)>;
void sleep_on_own_thread(kit::instant::duration d);
/// A store that cannot be opened fails the actor with the reason. One that fails later fails the appends: the actor
/// stays and the next append tries again.
/// `pause` is how the writer waits for others to share its next commit, some milliseconds; empty, for simulations,
/// whose time stands still in a handler: it does not.
kit::actor_body journal_writer(open_function open, std::shared_ptr<journal_metrics> metrics = nullptr,
                               pause_function pause = sleep_on_own_thread);
/// Verifying walks the whole journal on this actor's thread: give it a reader of its own.
kit::actor_body journal_reader(open_function open);

}  // namespace horizons::journal
