#include <algorithm>

#include "gateways/kafka/source_actor.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds append_limit{30'000};
constexpr std::size_t marks_per_batch = 1'000;
constexpr int full_doublings_max = 4;

}  // namespace

void source_actor::take_answers() {
  answers_now_.clear();
  {
    const std::lock_guard lock(outside_->mutex);
    answers_now_.swap(outside_->answers);
  }
  const auto& answers = answers_now_;
  if (answers.empty()) return;
  const moment now{self_.now(), self_.utc()};
  for (const auto& a : answers) {
    ++answers_;
    auto* p = find(a.generation);
    if (!p || p->now != phase::reading || !p->held.find(a.offset)) continue;
    if (a.buried)
      buried(*p, a.offset, a.outcome);
    else
      answered(*p, a.offset, a.outcome, now);
  }
  for (auto& [id, p] : parts_) {
    if (p.now != phase::reading) continue;
    if (const auto m = p.tracker->gap_mark(false)) mark(p, *m, true);
    flush_marks(p);
    if (p.now == phase::reading) mind_flow(p);
  }
}

void source_actor::answered(part& p, std::uint64_t offset, const result<bool>& outcome, const moment& now) {
  auto& h = p.held.at(offset);
  if (outcome) {
    house_ok_ = now.steady;
    probing_ = false;
    full_in_a_row_ = 0;
    if (*outcome) {
      ++metrics_->applied;
      done(p, offset, mark_of(h), now.utc);
    } else {
      ++metrics_->repeated;
      mark(p, mark_of(h));
    }
    return;
  }
  const auto& e = outcome.error();
  if (e.code == error_code::fenced) return give_up(p, e.text);
  if (e.code == error_code::limit_exceeded) return queue_full(p, offset);
  if (e.code == error_code::cancelled) return failed(p, offset, e, false);
  if (bridges::may_pass(e.code)) return failed(p, offset, e, true);
  h.dead = std::make_unique<failed_record>(failed_record{.reason = std::string(to_string(e.code)), .error = e.text});
  bury(p, offset);
}

/// Charged against the record only if the house has worked since its last failure: an outage of the journal must not
/// send everything to the dead letters.
void source_actor::failed(part& p, std::uint64_t offset, const error& e, bool may_be_charged) {
  auto& h = p.held.at(offset);
  ++metrics_->retries;
  const bool first = !h.first_failed;
  if (first) h.first_failed = self_.utc();
  const bool charged = may_be_charged && (first || e.code == error_code::internal || house_ok_ > h.last_failed);
  h.last_failed = self_.now();
  probe_house();
  if (const auto at = p.tracker->fail(offset, self_.now(), charged)) {
    h.credit.reset();
    detach(h);
    self_.after(std::chrono::ceil<milliseconds>(*at - self_.now()), [out = outside_] { out->wake(); });
    return;
  }
  h.dead = std::make_unique<failed_record>(failed_record{.reason = "transient", .error = e.text});
  bury(p, offset);
}

void source_actor::probe_house() {
  const auto now = self_.now();
  if (now - last_probe_ < milliseconds{1'000} && last_probe_ != instant{}) return;
  last_probe_ = now;
  self_.request(services_.writer, journal::journal_status{}, milliseconds{1'000},
                [this](const result<journal::journal_status::reply>& r) {
                  if (r && r->last_error.empty()) house_ok_ = self_.now();
                });
}

/// Nothing failed: it is asked again later, and so is everything else.
void source_actor::queue_full(part& p, std::uint64_t offset) {
  ++metrics_->refused_full;
  const auto now = self_.now();
  if (hold_until_ <= now) {
    const auto pause = options_.full_pause * (1 << std::min(full_in_a_row_, full_doublings_max));
    ++full_in_a_row_;
    hold_until_ = now + pause;
    self_.after(pause, [out = outside_] { out->wake(); });
  }
  probing_ = true;
  p.held.at(offset).credit.reset();
  p.tracker->postpone(offset, hold_until_);
  detach(p.held.at(offset));
}

void source_actor::bury(part& p, std::uint64_t offset) {
  auto& h = p.held.at(offset);
  auto& d = *h.dead;
  if (d.topic.empty()) {
    d.topic = p.id.topic;
    d.partition = p.id.number;
    d.offset = offset;
    d.original = copy_of(h);
    d.time = h.time_kind;
    d.attempts = h.tries;
    d.first_failed_at = h.first_failed.value_or(self_.utc());
    d.last_failed_at = self_.utc();
    if (h.about) {
      d.job_id = h.about->job_id;
      d.traceparent = h.about->traceparent;
    }
    log::warn("a record goes to the dead letters", {{"record", to_string(p.id) + "@" + std::to_string(offset)},
                                                    {"reason", d.reason},
                                                    {"error", d.error},
                                                    {"job_id", d.job_id}});
  }
  bury_(d, [out = outside_, g = p.generation, offset](const result<void>& r) {
    out->put({.generation = g,
              .offset = offset,
              .outcome = r ? result<bool>(true) : result<bool>(failure(r.error())),
              .buried = true});
  });
}

void source_actor::buried(part& p, std::uint64_t offset, const result<bool>& outcome) {
  auto& h = p.held.at(offset);
  if (!outcome) {  // the dead letters are away, too: this record waits, with its lane
    log::warn("the dead letters do not take a record", {{"error", outcome.error().text}});
    if (const auto at = p.tracker->fail(offset, self_.now(), false)) {
      h.credit.reset();
      self_.after(std::chrono::ceil<milliseconds>(*at - self_.now()), [out = outside_] { out->wake(); });
    }
    return;
  }
  ++metrics_->dead_letters;
  auto m = p.tracker->mark_for(offset);
  if (h.dead->reason == "transient" && !h.lane.empty() &&
      p.tracker->parked_lanes() < journal::source_progress::parked_max)
    m.park = h.lane;
  mark(p, std::move(m));
}

void source_actor::mark(part& p, journal::source_mark m, bool of_gap) {
  m.source = p.source;
  m.epoch = p.claimed.progress.epoch;
  p.marks.emplace_back(std::move(m), of_gap);
}

void source_actor::flush_marks(part& p) {
  if (p.marking || p.marks.empty()) return;
  p.marking = true;
  const auto count = std::min(p.marks.size(), marks_per_batch);
  journal::batch b{.epoch = services_.epoch};
  for (std::size_t i = 0; i < count; ++i) b.marks.push_back(p.marks[i].first);
  self_.request(services_.writer, journal::append{std::move(b)}, append_limit,
                [this, g = p.generation, count](const result<journal::append_outcome>& r) {
                  auto* p = find(g);
                  if (!p || p->now != phase::reading) return;
                  if (!r && r.error().code == error_code::fenced) return give_up(*p, r.error().text);
                  p->marking = false;
                  if (!r) {  // they stay, and storing them twice does no harm: the tick tries again
                    log::warn("marks are not stored", {{"partition", to_string(p->id)}, {"error", r.error().text}});
                    return;
                  }
                  std::vector<std::pair<journal::source_mark, bool>> stored(
                      p->marks.begin(), p->marks.begin() + static_cast<std::ptrdiff_t>(count));
                  p->marks.erase(p->marks.begin(), p->marks.begin() + static_cast<std::ptrdiff_t>(count));
                  const auto now = self_.utc();
                  for (const auto& [m, of_gap] : stored) {
                    if (of_gap)
                      p->tracker->closed(m, true);
                    else
                      done(*p, m.all_before ? m.offset - 1 : m.offset, m, now);
                  }
                  outside_->wake();
                });
}

void source_actor::done(part& p, std::uint64_t offset, const journal::source_mark& m, timestamp now) {
  const auto& h = p.held.at(offset);
  ++p.finished;
  if (h.time_kind != time_kind::none) metrics_->latency.add(std::chrono::duration<double>(now - h.time).count());
  if (!m.park.empty()) p.tracker->park(m.park);
  if (!m.release.empty()) p.tracker->release(m.release);
  p.tracker->finish(offset, m);
  p.held.erase(offset);
}

}  // namespace horizons::kafka
