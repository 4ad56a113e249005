// The journal: every fact, appended once, with a position that only grows. One interface; SQLite and memory (and
// PostgreSQL, when clustered) behind it with the same semantics, held to by one set of contract tests.
//
// All calls block and none is thread safe: one actor owns the writer, another one a reader.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "messages/events.hpp"
#include "messages/result.hpp"
#include "runtime/journal/source_progress.hpp"

namespace horizons::journal {

inline constexpr std::uint32_t shard_count = 256;  // on disk from the first day: never changes

/// fnv1a64(tenant, 0, job_id) mod 256.
std::uint32_t shard_of(std::string_view tenant, std::string_view job_id);

/// "This job id, and this idempotency key, belong to this content": makes repeated submissions one job.
struct identity_claim {
  std::string tenant, user_id;
  std::string job_id;
  std::string idempotency_key;  // empty: only the job id is claimed
  std::string digest;           // SHA-256 of the canonical content, hexadecimal
};

/// The claim that stands in the way.
struct claimed_by {
  std::string job_id;
  std::string digest;
};

/// What one owner wants committed together: all of it or nothing. Of marks alone, the shard and its epoch do not
/// matter: the marks' own epochs fence them.
struct batch {
  std::uint32_t shard = 0;
  std::uint64_t epoch = 0;  // refused when older than the shard's
  std::vector<event> events;
  std::vector<identity_claim> claims;
  std::vector<source_mark> marks;
  std::size_t bytes = 0;           // of its events' values, when prepare found the batch right
  std::vector<std::string> texts;  // see prepare
};

/// The store's while it appends; then it belongs to all who read it, and nobody changes its events any more.
using batch_ptr = std::shared_ptr<batch>;

/// Whether a journal stores the texts of its events: one in memory ("memory:…") keeps the events themselves.
bool stores_texts(std::string_view url);

/// What the thread that appends can do instead of the writer's one: checks the batch and, for a store of texts, makes
/// those of its events. One that is not right stays as it is, and the store says why. Its events change no more.
void prepare(batch& b, bool with_texts = true);

struct append_outcome {
  std::vector<std::uint64_t> positions;  // one per event; a repeated event_id gets the position it already has
  std::optional<claimed_by> conflict;    // nothing of the batch was stored
};

struct event_filter {
  std::uint64_t after_position = 0;              // exclusive
  std::optional<std::uint64_t> before_position;  // exclusive
  std::string tenant, job_id, type;              // empty: any
  std::optional<timestamp> start, end;           // start inclusive, end exclusive, on the event's time
};

/// Without the positions.
bool matches(const event& e, const event_filter& filter);

/// What one step of archiving did.
struct archived {
  std::uint64_t first = 0, last = 0;  // positions in the new archive; 0: nothing was old enough
  std::uint64_t removed = 0;          // rows that are in an archive only from now on
};

struct owner_info {
  std::string node, host;
  timestamp since{};
};

class store {
public:
  virtual ~store() = default;

  /// Made with the journal, never changes: a ULID.
  virtual const std::string& id() const = 0;

  /// One durable commit (synced) of all batches. A batch that is fenced or in conflict is left out and says so; the
  /// others are committed. The outer error (io, disk_full, unavailable): nothing at all was committed, or, for
  /// `timed_out`, the outcome is unknown and the same batches may safely be appended again.
  virtual result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches) = 0;
  result<std::vector<result<append_outcome>>> append(std::span<const batch> batches);  // of copies

  /// Takes all shards for one owner: raises every epoch and returns the new one.
  virtual result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards) = 0;

  /// Events in position order, at most `limit` (1 … 10,000) and 64 MiB as JSON: only an empty answer is the end.
  virtual result<std::vector<event>> read(const event_filter& filter, std::size_t limit) = 0;

  virtual result<std::uint64_t> last_position() = 0;

  /// Takes a source for one owner: raises its epoch, so that marks of older owners are fenced, and tells where it
  /// stands. `next` is 0 and nothing is above or parked when the source was never claimed before.
  struct claimed_source {
    source_progress progress;
    bool is_new = false;
  };
  virtual result<claimed_source> claim_source(std::string_view source) = 0;
  /// Every source whose name begins with `prefix`, by name; at most 10,000.
  virtual result<std::map<std::string, source_progress>> read_sources(std::string_view prefix) = 0;

  /// The head of the hash chain: what the last event's chain column holds.
  struct chain_head {
    std::uint64_t position = 0, count = 0;
    std::string hash;  // hexadecimal
  };
  virtual result<chain_head> head() = 0;

  /// On disk, indexes included; 0 in memory.
  virtual result<std::uint64_t> size_bytes() = 0;

  virtual result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                                       std::string_view idempotency_key) = 0;

  /// Moves the oldest events, at most some thousand, from the table into a compressed archive, in one transaction:
  /// those of consecutive positions up to `up_to` that are all older than `before`, to within 1,024 positions. What
  /// read and verify tell stays the same. Events of jobs that have not ended stay in the table as well, and are removed
  /// by a later step. An event_id that is only in an archive is no longer known as a repeat.
  virtual result<archived> archive(timestamp before, std::uint64_t up_to) = 0;

  /// Walks the SHA-256 chain over every event, archived or not; the error names the first position that was changed, is
  /// missing or was cut off.
  virtual result<std::uint64_t> verify(const std::function<bool(std::uint64_t checked)>& go_on) = 0;
};

/// Opens (and makes or migrates) the journal at `url`: "sqlite:<path>", "memory:" or
/// "postgresql://user@host1,host2/db". Another process that has it open: error `unavailable`, naming the owner:
/// "journal is in use by node X on host Y since T …".
result<std::unique_ptr<store>> open_store(const std::string& url, const owner_info& me);

/// A second, read-only view of the same journal for reading beside the writer ("memory:" shares its data).
result<std::unique_ptr<store>> open_reader(const std::string& url);

}  // namespace horizons::journal
