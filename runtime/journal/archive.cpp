#include "runtime/journal/archive.hpp"

#include <zstd.h>

#include <algorithm>
#include <array>

#include "messages/codec/json.hpp"
#include "messages/fnv1a64.hpp"
#include "messages/limits.hpp"
#include "messages/text.hpp"
#include "runtime/journal/admission.hpp"

namespace horizons::journal {

namespace {

constexpr int compression = 6;  // of zstd's 1 to 22: the writer waits for it

std::string named(const segment& s) {
  return "journal: the archive of positions " + std::to_string(s.first) + " to " + std::to_string(s.last);
}

}  // namespace

std::string pack(std::span<const std::string> lines) {
  std::string text;
  for (const auto& line : lines) (text += line) += '\n';
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, compression);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string data(ZSTD_compressBound(text.size()), '\0');
  data.resize(ZSTD_compress2(context.get(), data.data(), data.size(), text.data(), text.size()));
  return data;
}

result<std::vector<std::string>> unpack(const segment& s) {
  constexpr std::size_t text_max = segment_bytes_max + limits::message_bytes_max + segment_events_max;
  const auto size = ZSTD_getFrameContentSize(s.data.data(), s.data.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > text_max)
    return failure(error_code::unreadable, named(s) + " is damaged: no zstd frame of its size");
  std::string text(size, '\0');
  const auto got = ZSTD_decompress(text.data(), text.size(), s.data.data(), s.data.size());
  if (ZSTD_isError(got)) return failure(error_code::unreadable, named(s) + " is damaged: " + ZSTD_getErrorName(got));
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const auto end = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  if (s.last < s.first || lines.size() != s.last - s.first + 1)
    return failure(error_code::unreadable, named(s) + " holds " + std::to_string(lines.size()) + " events");
  return lines;
}

std::span<const std::string_view> end_types() {
  static const std::array types{type_of(event_data(job_completed{})), type_of(event_data(job_failed{})),
                                type_of(event_data(job_cancelled{})), type_of(event_data(job_rejected{}))};
  return types;
}

std::int64_t archive_key(std::string_view job_id) { return static_cast<std::int64_t>(fnv1a64(job_id)); }

result<verified> verify_segment(const segment& s, const std::vector<std::string>& lines, chain_hasher& hasher,
                                verified at) {
  if (s.first > at.position + 1) return broken(at.position + 1, "is missing");
  while (at.position < s.last) {
    const auto& line = lines[++at.position - s.first];
    at.hash = hasher.link(at.hash, at.position, line);
    if (auto e = event_from_json(line); !e) return broken(at.position, "cannot be read: " + e.error().text);
  }
  if (at.hash != s.chain) return failure(error_code::unreadable, named(s) + " was changed");
  return at;
}

result<verified> archived_view::verify_archived(chain_hasher& hasher, verified at) {
  auto found = segment_from(at.position + 1, "");
  if (!found) return failure(std::move(found.error()));
  if (!*found) return broken(at.position + 1, "is missing");
  auto lines = unpack(**found);
  if (!lines) return failure(std::move(lines.error()));
  if (auto ok = verify_kept(**found, *lines); !ok) return failure(std::move(ok.error()));
  return verify_segment(**found, *lines, hasher, at);
}

result<std::uint64_t> archived_view::verify_both(const chain_state& head,
                                                 const std::function<bool(std::uint64_t)>& go_on) {
  if (head.count != head.position)
    return broken(head.position, "does not fit the head's count of " + std::to_string(head.count));
  chain_hasher hasher;
  verified at;
  while (at.position < head.position) {
    auto archived = archived_to();
    if (!archived) return failure(std::move(archived.error()));
    auto next = at.position < *archived ? verify_archived(hasher, at) : verify_table(hasher, at, head.position);
    if (!next) {
      auto now = archived_to();  // was it moved while we looked?
      if (now && *now > *archived) continue;
      return failure(std::move(next.error()));
    }
    at = *next;
    if (go_on && !go_on(at.position))
      return failure(error_code::cancelled, "stopped after " + std::to_string(at.position) + " events");
  }
  if (at.position != head.position || at.hash != head.hash)
    return broken(head.position, "does not fit the head's hash: the end of the journal was rewritten");
  return at.position;
}

result<void> archived_view::read_segments(const event_filter& filter, std::uint64_t first, std::uint64_t end,
                                          std::size_t limit, std::vector<event>& events, std::size_t& bytes) {
  // A job's name stands in its events as it is, unless JSON has to escape something of it.
  const bool plain = std::ranges::all_of(filter.job_id, [](char c) { return c > 0x20 && c != '"' && c != '\\'; });
  while (first < end) {
    auto found = segment_from(first, filter.job_id);
    if (!found) return failure(std::move(found.error()));
    if (!*found || (*found)->first >= end) return {};
    const segment& s = **found;
    auto lines = unpack(s);
    if (!lines) return failure(std::move(lines.error()));
    for (auto position = std::max(first, s.first); position <= s.last && position < end; ++position) {
      const std::string& line = (*lines)[position - s.first];
      if (plain && line.find(filter.job_id) == std::string::npos) continue;
      auto e = event_from_json(line);
      if (!e) return broken(position, "cannot be read: " + e.error().text);
      if (!matches(*e, filter)) continue;
      if (events.size() >= limit || bytes >= read_bytes_max) return {};
      e->position = position;
      bytes += line.size();
      events.push_back(std::move(*e));
    }
    first = s.last + 1;
  }
  return {};
}

result<std::vector<event>> archived_view::read_both(const event_filter& filter, std::uint64_t first, std::uint64_t end,
                                                    std::size_t limit) {
  bool whole = !filter.job_id.empty() && !filter.tenant.empty();  // taken to be in the table until seen not to be
  for (;;) {
    std::vector<event> events;
    std::size_t bytes = 0;
    auto from = first;
    if (!whole && from <= archived_to_) {
      from = archived_to_ + 1;
      if (auto ok = read_segments(filter, first, std::min(end, from), limit, events, bytes); !ok)
        return failure(std::move(ok.error()));
    }
    if (events.size() >= limit || bytes >= read_bytes_max) return events;
    if (from < end)
      if (auto ok = read_table(filter, from, end, limit, events, bytes); !ok) return failure(std::move(ok.error()));

    auto now = archived_to();
    if (!now) return failure(std::move(now.error()));
    archived_to_ = *now;
    if (from > archived_to_) return events;
    if (whole) {
      auto still = in_table(filter.tenant, filter.job_id);
      if (!still) return failure(std::move(still.error()));
      if (*still) return events;
      whole = false;
    }
  }
}

}  // namespace horizons::journal
