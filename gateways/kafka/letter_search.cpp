#include "gateways/kafka/letter_search.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "messages/topics.hpp"

namespace horizons::kafka {
namespace {

using bridges::dead_letter_filter;

constexpr std::size_t letters_max = 10'000;
constexpr std::size_t states_max = 200'000;
constexpr std::chrono::hours states_since{24 * (dead_letter_retention_days + 1)};  // older letters are gone

}  // namespace

letter_search::letter_search(kit::context& self, dead_letter_options options, bridges::services services)
    : self_(self), options_(std::move(options)), services_(std::move(services)), states_(states_max) {}

void letter_search::find(const dead_letter_filter& filter, then<std::vector<found_letter>> done) {
  if (filter.limit < 1 || filter.limit > letters_max)
    return done(failure(error_code::invalid_argument,
                        "limit = " + std::to_string(filter.limit) + "; expected 1 to " + std::to_string(letters_max)));
  read_states([this, filter, done = std::move(done)](result<void> known) {
    if (!known) return done(failure(known.error()));
    done(scan(filter));
  });
}

/// The audit's events since the last time.
void letter_search::read_states(then<void> done) {
  ask<journal::writer_api, journal::journal_status>(
      services_.writer, {}, [this, done = std::move(done)](result<journal::journal_status::reply> r) {
        if (!r) return done(failure(r.error()));
        read_states_to(r->last_position, std::move(done));
      });
}

void letter_search::read_states_to(std::uint64_t end, then<void> done) {
  journal::read_events question{{.after_position = states_read_to_, .type = "audit.recorded"}, 10'000};
  if (states_read_to_ == 0) question.filter.start = self_.utc() - states_since;
  ask<journal::reader_api, journal::read_events>(
      services_.reader, std::move(question),
      [this, end, done = std::move(done)](result<journal::read_events::reply> r) {
        if (!r) return done(failure(r.error()));
        for (const auto& e : r->events) states_.apply(e);
        states_read_to_ = r->events.empty() ? std::max(states_read_to_, end) : r->events.back().position;
        if (states_read_to_ >= end) return done({});
        read_states_to(end, std::move(done));
      });
}

result<std::vector<partition_range>> letter_search::ranges_for(const dead_letter_filter& filter,
                                                               const topic_reader& reader) const {
  if (!filter.id.empty()) {
    auto one = parse_letter_id(filter.id);
    if (!one) return failure(one.error());
    const bool ours = std::ranges::any_of(options_.sources,
                                          [&](const auto& source) { return dead_letter_topic(source) == one->topic; });
    if (!ours) return failure(error_code::not_found, "dead letter " + filter.id + " does not exist");
    auto all = reader.all_of(one->topic, options_.limit);
    if (!all) return failure(all.error());
    for (const auto& r : *all)
      if (r.partition == one->partition && r.first <= one->first && one->first < r.end)
        return std::vector<partition_range>{*one};
    return failure(error_code::not_found, "dead letter " + filter.id + " does not exist (any more)");
  }
  std::vector<partition_range> ranges;
  for (const auto& source : options_.sources) {
    auto all = reader.all_of(dead_letter_topic(source), options_.limit);
    if (!all && all.error().code == error_code::not_found) continue;
    if (!all) return failure(all.error());
    ranges.insert(ranges.end(), all->begin(), all->end());
  }
  const auto each = static_cast<std::int64_t>(options_.scanned_max / std::max<std::size_t>(1, ranges.size()) + 1);
  std::int64_t sum = 0;
  for (const auto& r : ranges) sum += r.end - r.first;
  if (sum > static_cast<std::int64_t>(options_.scanned_max))
    for (auto& r : ranges) r.first = std::max(r.first, r.end - each);
  return ranges;
}

result<std::vector<found_letter>> letter_search::scan(const dead_letter_filter& filter) const {
  if (!filter.bridge.empty() && filter.bridge != "kafka") return std::vector<found_letter>{};
  auto reader = topic_reader::open(options_.kafka);
  if (!reader) return failure(reader.error());
  auto ranges = ranges_for(filter, *reader);
  if (!ranges) return failure(ranges.error());

  using order = std::tuple<timestamp, std::string, std::int32_t, std::int64_t>;
  std::map<order, found_letter> oldest;  // at most `limit` letters and `bytes_max` bytes
  std::size_t bytes = 0;
  auto read = reader->read(*ranges, options_.limit, [&](stored_record&& r) {
    auto letter = to_letter(r);
    letter.state = states_.of(letter.id);
    if (!matches(filter, letter) || (!filter.state.empty() && filter.state != letter.state)) return true;
    bytes += bytes_of(r.what);
    order key{letter.last_failed_at.value_or(timestamp{}), r.topic, r.partition, r.offset};
    oldest.emplace(std::move(key), found_letter{std::move(letter), std::move(r)});
    while (oldest.size() > filter.limit || (bytes > options_.bytes_max && oldest.size() > 1)) {
      const auto last = std::prev(oldest.end());
      bytes -= bytes_of(last->second.stored.what);
      oldest.erase(last);
    }
    return true;
  });
  if (!read) return failure(read.error());
  std::vector<found_letter> letters;
  for (auto& [key, letter] : oldest) letters.push_back(std::move(letter));
  if (letters.empty() && !filter.id.empty())
    return failure(error_code::not_found, "dead letter " + filter.id + " does not exist (any more)");
  return letters;
}

}  // namespace horizons::kafka
