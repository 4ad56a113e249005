#include "gateways/kafka/partition_tracker.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace horizons::kafka {
partition_tracker::partition_tracker(const journal::source_progress& stored, tracker_limits limits, std::uint64_t seed)
    : limits_(limits),
      expected_(stored.next),
      finished_before_(stored.above()),
      parked_(stored.parked()),
      random_(seed) {}

partition_tracker::verdict partition_tracker::receive(std::uint64_t offset, std::string_view lane, std::size_t bytes) {
  if (offset < expected_) return verdict::known;
  if (held() >= limits_.window_max) return verdict::full;
  if (offset > expected_) {
    if (std::exchange(suspected_, offset) != offset) return verdict::gap;
    gap_end_ = offset;
  }
  expected_ = offset + 1;
  if (!finished_before_.empty()) finished_before_.erase(finished_before_.begin(), finished_before_.lower_bound(offset));
  const auto ticket = first_ticket_ + window_.size();
  auto& s = window_.emplace_back(slot{.offset = offset, .bytes = bytes});
  if (finished_before_.erase(offset) != 0) {
    s.state = state::finished;
    pass_finished();
    return verdict::known;
  }
  ++unfinished_;
  bytes_ += bytes;
  if (!lane.empty()) {
    const auto [entry, is_new] = lanes_.try_emplace(std::string(lane));
    s.lane = &*entry;
    if (!is_new) {
      at(entry->second.last).next_in_lane = ticket;
      s.state = state::behind;
    }
    entry->second.last = ticket;
    ++entry->second.count;
    if (entry->second.waits) ++blocked_;
  }
  if (s.state == state::ready) ready_.push_back(ticket);
  return verdict::taken;
}

std::optional<std::uint64_t> partition_tracker::next(instant now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    wake(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
  }
  if (ready_.empty()) return std::nullopt;
  auto& s = at(ready_.front());
  ready_.pop_front();
  s.state = state::in_flight;
  ++in_flight_;
  return s.offset;
}

void partition_tracker::finish(std::uint64_t offset, const journal::source_mark& stored) {
  auto& s = at(ticket_of(offset));
  s.state = state::finished;
  --in_flight_;
  --unfinished_;
  bytes_ -= s.bytes;
  if (s.lane) --s.lane->second.count;
  if (stored.all_before && stored.offset >= gap_end_) gap_end_ = behind_gap_ = 0;
  if (s.next_in_lane) {
    at(s.next_in_lane).state = state::ready;
    ready_.push_back(s.next_in_lane);
  } else if (s.lane) {
    lanes_.erase(lanes_.find(s.lane->first));
  }
  pass_finished();
}

std::optional<instant> partition_tracker::fail(std::uint64_t offset, instant now, bool charged) {
  const auto ticket = ticket_of(offset);
  auto& s = at(ticket);
  if (charged && ++s.attempts >= limits_.attempts_max) return std::nullopt;
  const auto doublings = std::clamp(s.attempts - 1, 0, 30);
  const double backoff = std::min(static_cast<double>(limits_.backoff_max.count()),
                                  std::ldexp(static_cast<double>(limits_.backoff_first.count()), doublings));
  std::uniform_real_distribution<double> part(1 - limits_.jitter, 1 + limits_.jitter);
  const auto at = now + milliseconds(std::llround(backoff * part(random_)));
  wait(ticket, at);
  return at;
}

void partition_tracker::postpone(std::uint64_t offset, instant at) { wait(ticket_of(offset), at); }

void partition_tracker::wait(std::uint64_t ticket, instant until) {
  at(ticket).state = state::waiting;
  --in_flight_;
  waiting_.emplace(until, ticket);
  auto* lane = at(ticket).lane;
  blocked_ += lane ? lane->second.count : 1;
  if (lane) lane->second.waits = true;
}

void partition_tracker::wake(std::uint64_t ticket) {
  auto& s = at(ticket);
  s.state = state::ready;
  ready_.push_back(ticket);
  blocked_ -= s.lane ? s.lane->second.count : 1;
  if (s.lane) s.lane->second.waits = false;
}

journal::source_mark partition_tracker::mark_for(std::uint64_t offset) const {
  journal::source_mark m;
  m.all_before = window_.front().offset == offset;
  m.offset = m.all_before ? offset + 1 : offset;
  return m;
}

std::optional<journal::source_mark> partition_tracker::gap_mark(bool idle) {
  if (!gap_end_ || closing_ || lowest_unfinished() < gap_end_) return std::nullopt;
  if (!idle && behind_gap_ < limits_.window_max / 8) return std::nullopt;  // so many again may pass until it is stored
  closing_ = behind_gap_;
  journal::source_mark m;
  m.offset = lowest_unfinished();
  m.all_before = true;
  return m;
}

void partition_tracker::closed(const journal::source_mark& m, bool durable) {
  const auto before = *std::exchange(closing_, std::nullopt);
  if (!durable) return;
  behind_gap_ -= std::min(behind_gap_, before);
  if (m.offset >= gap_end_) gap_end_ = behind_gap_ = 0;
}

void partition_tracker::release(std::string_view lane) {
  if (const auto found = parked_.find(lane); found != parked_.end()) parked_.erase(found);
}

partition_tracker::flow partition_tracker::change_flow(bool hot) {
  const bool under = held() <= limits_.window_max / 2 && bytes_ <= limits_.bytes_max / 2;
  if (!paused_ && (full() || hot)) {
    paused_ = true;
    return flow::pause;
  }
  if (paused_ && under && !hot) {
    paused_ = false;
    return flow::resume;
  }
  return flow::keep;
}

std::optional<instant> partition_tracker::next_try() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->first;
}

int partition_tracker::attempts(std::uint64_t offset) const { return at(ticket_of(offset)).attempts; }

std::uint64_t partition_tracker::ticket_of(std::uint64_t offset) const {
  const auto guess = offset - window_.front().offset;  // right when there is no gap
  if (guess < window_.size() && window_[guess].offset == offset) return first_ticket_ + guess;
  const auto found = std::lower_bound(window_.begin(), window_.end(), offset,
                                      [](const slot& s, std::uint64_t o) { return s.offset < o; });
  return first_ticket_ + static_cast<std::uint64_t>(found - window_.begin());
}

void partition_tracker::pass_finished() {
  while (!window_.empty() && window_.front().state == state::finished) {
    window_.pop_front();
    ++first_ticket_;
    if (gap_end_) ++behind_gap_;
  }
}

}  // namespace horizons::kafka
