#include "runtime/journal/admission.hpp"

#include <algorithm>
#include <limits>

#include "messages/codec/json.hpp"
#include "messages/limits.hpp"
#include "messages/make_event.hpp"
#include "messages/text.hpp"

namespace horizons::journal {

namespace {

/// Crockford's base 32, upper case, without I, L, O and U.
constexpr std::array<std::uint8_t, 128> decode_table = [] {
  std::array<std::uint8_t, 128> table{};
  constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return table;
}();

result<void> admit_claim(const identity_claim& c) {
  if (!is_name(c.job_id))
    return failure(error_code::invalid_argument,
                   "claim.job_id " + quote(c.job_id) + " is not a job id; expected [A-Za-z0-9][A-Za-z0-9._-]{0,63}");
  if (!is_name(c.tenant))
    return failure(error_code::invalid_argument, "claim.tenant " + quote(c.tenant) + " is not a name");
  const auto label = [](std::string_view field, std::string_view text) -> result<void> {
    if (text.size() > limits::label_bytes_max)
      return failure(error_code::limit_exceeded, "claim." + std::string(field) + " has " + std::to_string(text.size()) +
                                                     " bytes; at most " + std::to_string(limits::label_bytes_max));
    if (auto wrong = text_fault(text); !wrong.empty())
      return failure(error_code::invalid_argument, "claim." + std::string(field) + " " + std::string(wrong));
    return {};
  };
  if (auto ok = label("user_id", c.user_id); !ok) return ok;
  if (auto ok = label("idempotency_key", c.idempotency_key); !ok) return ok;
  return label("digest", c.digest);
}

result<void> admit_lane(const source_mark& m, std::string_view field, std::string_view lane) {
  const bool control = std::ranges::any_of(lane, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (lane.size() > lane_bytes_max || control || !text_fault(lane).empty())
    return failure(error_code::invalid_argument, "mark." + std::string(field) + " " + quote(lane) + " of " +
                                                     quote(m.source) + " is not a lane; expected at most " +
                                                     std::to_string(lane_bytes_max) +
                                                     " bytes of text without control characters");
  return {};
}

result<void> admit_mark(const source_mark& m) {
  constexpr std::uint64_t offset_max = std::numeric_limits<std::int64_t>::max();  // as in Kafka
  if (auto ok = admit_source(m.source); !ok) return ok;
  if (m.offset >= offset_max)
    return failure(error_code::invalid_argument, "mark.offset " + std::to_string(m.offset) + " of " + quote(m.source) +
                                                     " is out of range; expected less than " +
                                                     std::to_string(offset_max));
  if (auto ok = admit_lane(m, "park", m.park); !ok) return ok;
  return admit_lane(m, "release", m.release);
}

error too_many(std::string_view what, std::size_t count, std::size_t most) {
  return {error_code::limit_exceeded,
          "a batch of " + std::to_string(count) + " " + std::string(what) + "; at most " + std::to_string(most)};
}

/// Checks the batch; answers about how many bytes its events' values have.
result<std::size_t> admitted_bytes(const batch& b) {
  if (b.shard >= shard_count && !marks_alone(b))
    return failure(
        error_code::invalid_argument,
        "batch.shard " + std::to_string(b.shard) + " does not exist; expected 0 to " + std::to_string(shard_count - 1));
  if (b.events.size() > batch_events_max) return failure(too_many("events", b.events.size(), batch_events_max));
  if (b.claims.size() > batch_claims_max) return failure(too_many("claims", b.claims.size(), batch_claims_max));
  std::size_t bytes = 0;
  for (const event& e : b.events) {
    const auto size = checked_size(e);
    if (!size) return failure(size.error().code, "event " + quote(e.event_id) + ": " + size.error().text);
    bytes += *size;
    if (e.sequence == 0 && is_life_cycle(e.data))
      return failure(error_code::invalid_argument, "event " + e.event_id + " (" + std::string(type_of(e.data)) +
                                                       ", job " + quote(e.job_id) +
                                                       ") has no sequence; life-cycle events count from 1");
  }
  for (const identity_claim& c : b.claims)
    if (auto ok = admit_claim(c); !ok) return failure(std::move(ok.error()));
  if (b.marks.size() > batch_marks_max) return failure(too_many("marks", b.marks.size(), batch_marks_max));
  for (const source_mark& m : b.marks)
    if (auto ok = admit_mark(m); !ok) return failure(std::move(ok.error()));
  return bytes;
}

}  // namespace

ulid_bytes bytes_of_ulid(std::string_view text) {
  std::uint64_t high = 0, low = 0;  // 26 characters of 5 bits: 130 bits, of which the first two are zero
  for (const char c : text) {
    high = high << 5 | low >> 59;
    low = low << 5 | decode_table[static_cast<unsigned char>(c) & 127];
  }
  ulid_bytes out;
  for (std::size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
    out[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
  }
  return out;
}

std::string stored_text(const event& e) {
  if (e.position == 0) return to_json(e);
  event bare = e;
  bare.position = 0;
  return to_json(bare);
}

void prepare(batch& b, bool with_texts) {
  if (b.bytes == 0) b.bytes = admitted_bytes(b).value_or(0);
  if (b.bytes == 0 || !with_texts || has_texts(b)) return;
  std::vector<std::string> texts;
  texts.reserve(b.events.size());
  for (const event& e : b.events) texts.push_back(stored_text(e));
  b.texts = std::move(texts);
}

result<void> admit(const batch& b) {
  if (b.bytes > 0) return {};
  if (auto bytes = admitted_bytes(b); !bytes) return failure(std::move(bytes.error()));
  return {};
}

result<void> admit_source(std::string_view source) {
  if (source.empty() || source.size() > source_bytes_max)
    return failure(error_code::invalid_argument, "source " + quote(source) + " has " + std::to_string(source.size()) +
                                                     " bytes; expected 1 to " + std::to_string(source_bytes_max));
  if (auto wrong = text_fault(source); !wrong.empty())
    return failure(error_code::invalid_argument, "source " + quote(source) + " " + std::string(wrong));
  return {};
}

result<void> admit(const event_filter& filter, std::size_t limit) {
  if (limit == 0 || limit > read_events_max)
    return failure(error_code::invalid_argument, "limit " + std::to_string(limit) + " is out of range; expected 1 to " +
                                                     std::to_string(read_events_max));
  for (const std::string* text : {&filter.tenant, &filter.job_id, &filter.type})
    if (auto wrong = text_fault(*text); !wrong.empty())
      return failure(error_code::invalid_argument, "filter " + quote(*text) + " " + std::string(wrong));
  if (filter.start && filter.end && *filter.end < *filter.start)
    return failure(error_code::invalid_argument,
                   "end " + to_string(*filter.end) + " lies before start " + to_string(*filter.start));
  return {};
}

error fenced_error(std::uint32_t shard, std::uint64_t epoch, std::uint64_t newer) {
  return {error_code::fenced, "shard " + std::to_string(shard) + " has epoch " + std::to_string(newer) +
                                  "; a write of epoch " + std::to_string(epoch) + " is refused: a newer owner exists"};
}

store::chain_head told(const chain_state& s) { return {s.position, s.count, hexadecimal(s.hash)}; }

error fenced_error(const source_mark& m, std::uint64_t epoch) {
  return {error_code::fenced, "source " + quote(m.source) + " has epoch " + std::to_string(epoch) +
                                  "; a mark of epoch " + std::to_string(m.epoch) + " is refused: it has another owner"};
}

error unclaimed_error(const source_mark& m) {
  return {error_code::invalid_argument,
          "source " + quote(m.source) + " was never claimed; a mark needs the epoch that claim_source gives"};
}

error sequence_error(const event& e) {
  return {error_code::conflict, "job " + quote(e.job_id) + " of tenant " + quote(e.tenant) +
                                    " has another event at sequence " + std::to_string(e.sequence) + "; " +
                                    std::string(type_of(e.data)) + " " + e.event_id + " is refused"};
}

error too_large(const event& e, std::size_t bytes) {
  return {error_code::limit_exceeded, "event " + e.event_id + " has " + std::to_string(bytes) + " bytes; at most " +
                                          std::to_string(limits::message_bytes_max)};
}

tl::unexpected<error> broken(std::uint64_t position, const std::string& what) {
  return failure(error_code::unreadable, "journal: position " + std::to_string(position) + " " + what);
}

error in_use_error(const owner_info& owner) {
  const auto known = [](const std::string& text) { return text.empty() ? std::string("unknown") : text; };
  return {error_code::unavailable, "journal is in use by node " + known(owner.node) + " on host " + known(owner.host) +
                                       " since " + to_string(owner.since) + "; give both a [cluster] section"};
}

}  // namespace horizons::journal
