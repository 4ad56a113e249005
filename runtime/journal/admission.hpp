// What a batch and a read must look like before any store takes them, the same for every store. It knows no
// database; what depends on what is stored already (fencing, conflicts, repeats) is the store's.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "runtime/journal/chain.hpp"
#include "runtime/journal/journal.hpp"

namespace horizons::journal {

inline constexpr std::size_t batch_events_max = 10'000;  // one owner's one decision, however large a workflow
inline constexpr std::size_t batch_claims_max = 10'000;
inline constexpr std::size_t append_batches_max = 100'000;  // in one commit; the writer actor sends far fewer
inline constexpr std::size_t batch_marks_max = 10'000;
inline constexpr std::size_t source_bytes_max = 1024;  // cluster, topic (249 bytes in Kafka) and partition
inline constexpr std::size_t lane_bytes_max = 256;     // a record's key, mostly a job's id
inline constexpr std::size_t read_events_max = 10'000;
inline constexpr std::size_t read_bytes_max = std::size_t{64} << 20;  // an event may have 1 MiB: bounds one page

/// A ULID's 128 bits, most significant first, so that bytes sort as the texts do.
using ulid_bytes = std::array<std::uint8_t, 16>;

/// `text` must be a ULID (is_ulid).
ulid_bytes bytes_of_ulid(std::string_view text);

/// Bounds, shard number, every event valid and, on the life cycle, numbered; claims complete. The error names the
/// part, its value and what would be right. At once for a prepared batch.
result<void> admit(const batch& b);

/// An event as it is stored: its JSON without a position.
std::string stored_text(const event& e);

/// Whether prepare has made the texts.
inline bool has_texts(const batch& b) { return !b.events.empty() && b.texts.size() == b.events.size(); }

/// Whether only the marks' own epochs fence this batch.
inline bool marks_alone(const batch& b) { return !b.marks.empty() && b.events.empty() && b.claims.empty(); }

/// 1 to source_bytes_max bytes of text.
result<void> admit_source(std::string_view source);

/// Limit, order of the bounds, texts.
result<void> admit(const event_filter& filter, std::size_t limit);

/// "fenced: shard 17 has epoch 5 …"
error fenced_error(std::uint32_t shard, std::uint64_t epoch, std::uint64_t newer);

/// The head as callers see it.
store::chain_head told(const chain_state& s);

/// The source has another owner than the mark's.
error fenced_error(const source_mark& m, std::uint64_t epoch);

/// Nobody ever claimed the mark's source.
error unclaimed_error(const source_mark& m);

/// Another event already stands at this place of the job's life cycle.
error sequence_error(const event& e);

/// An event that no reader could take.
error too_large(const event& e, std::size_t bytes);

/// "journal: position 17 was changed"
tl::unexpected<error> broken(std::uint64_t position, const std::string& what);

/// "journal is in use by node X on host Y since T; give both a [cluster] section"
error in_use_error(const owner_info& owner);

}  // namespace horizons::journal
