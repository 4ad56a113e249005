#include "runtime/journal/source_progress.hpp"

#include <algorithm>
#include <limits>

#include "messages/codec/base64.hpp"
#include "messages/codec/json.hpp"
#include "messages/text.hpp"

namespace horizons::journal {

namespace {

tl::unexpected<error> too_far(const source_mark& m, const std::string& what) {
  return failure(error_code::limit_exceeded,
                 "source " + quote(m.source) + ": offset " + std::to_string(m.offset) + " " + what);
}

tl::unexpected<error> unreadable(const std::string& what) {
  return failure(error_code::unreadable, "progress of a source: " + what);
}

std::string bitmap_of(const std::set<std::uint64_t>& above, std::uint64_t next) {
  if (above.empty()) return {};
  std::string bits((*above.rbegin() - next - 1) / 8 + 1, '\0');
  for (const auto offset : above) {
    const auto bit = offset - next - 1;
    bits[bit / 8] = static_cast<char>(static_cast<unsigned char>(bits[bit / 8]) | 1u << bit % 8);
  }
  return bits;
}

result<std::uint64_t> natural(const json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || !at->is_number_unsigned())
    return unreadable(std::string(name) + " is missing or not a natural number");
  return at->get<std::uint64_t>();
}

}  // namespace

result<void> source_progress::apply(const source_mark& m) {
  const bool parks = !m.park.empty() && !parked_.contains(m.park);
  const bool releases = m.release != m.park && parked_.contains(m.release);
  if (parks && parked_.size() - (releases ? 1 : 0) >= parked_max)
    return failure(error_code::limit_exceeded, "source " + quote(m.source) + " has " + std::to_string(parked_.size()) +
                                                   " parked lanes; at most " + std::to_string(parked_max) +
                                                   ": replay or drop some");
  if (!m.all_before && m.offset > next && !above_.contains(m.offset)) {
    if (above_.size() >= above_max)
      return too_far(m, "finished above " + std::to_string(next) + ", which is not, like " +
                            std::to_string(above_.size()) + " others; at most " + std::to_string(above_max));
    if (m.offset - next > span_max)
      return too_far(
          m, "finished more than " + std::to_string(span_max) + " above " + std::to_string(next) + ", which is not");
  }
  if (releases) parked_.erase(m.release);
  if (parks) parked_.insert(m.park);

  if (m.all_before)
    next = std::max(next, m.offset);
  else if (m.offset == next)
    ++next;
  else if (m.offset > next)
    above_.insert(m.offset);
  absorb();
  return {};
}

/// What stands above `next` without a gap is below it.
void source_progress::absorb() {
  auto first = above_.begin();
  while (first != above_.end() && *first <= next) next = std::max(next, *first++ + 1);
  above_.erase(above_.begin(), first);
}

std::string source_progress::encode() const {
  return json_text(
      {{"epoch", epoch}, {"next", next}, {"above", codec::to_base64(bitmap_of(above_, next))}, {"parked", parked_}});
}

result<source_progress> source_progress::decode(std::string_view text) {
  const auto parsed = parse_json(text);
  if (!parsed) return unreadable(parsed.error().text);
  if (!parsed->is_object()) return unreadable("is not an object");
  source_progress p;
  const auto epoch = natural(*parsed, "epoch");
  if (!epoch) return failure(epoch.error());
  const auto next = natural(*parsed, "next");
  if (!next) return failure(next.error());
  p.epoch = *epoch;
  p.next = *next;

  const auto above = parsed->find("above");
  if (above == parsed->end() || !above->is_string()) return unreadable("above is missing or not a text");
  const auto bits = codec::from_base64(above->get_ref<const std::string&>());
  if (!bits) return unreadable("above: " + bits.error().text);
  if (bits->size() > span_max / 8 || p.next > std::numeric_limits<std::uint64_t>::max() - span_max - 1)
    return unreadable("above reaches too far");
  for (std::uint64_t bit = 0; bit < bits->size() * 8; ++bit)
    if (static_cast<unsigned char>((*bits)[bit / 8]) >> bit % 8 & 1u) p.above_.insert(p.above_.end(), p.next + 1 + bit);
  if (p.above_.size() > above_max) return unreadable("above has more than " + std::to_string(above_max) + " offsets");

  const auto parked = parsed->find("parked");
  if (parked == parsed->end() || !parked->is_array() || parked->size() > parked_max)
    return unreadable("parked is missing or not a list of at most " + std::to_string(parked_max));
  for (const json& lane : *parked) {
    if (!lane.is_string()) return unreadable("parked has something that is not a text");
    p.parked_.insert(lane.get<std::string>());
  }
  return p;
}

}  // namespace horizons::journal
