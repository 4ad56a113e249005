#include <algorithm>

#include "gateways/kafka/source_actor.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

constexpr milliseconds ask_limit{30'000};
constexpr milliseconds adopt_look{100};

}  // namespace

source_actor::part* source_actor::find(std::uint64_t generation) {
  const auto p = by_generation_.find(generation);
  return p == by_generation_.end() ? nullptr : p->second;
}

/// What was asked for it in its former life finds nobody.
void source_actor::renew(part& p) {
  by_generation_.erase(p.generation);
  p.generation = ++generations_;
  by_generation_[p.generation] = &p;
}

/// The journal makes us the owner: former owners' marks are refused from now on, ours of a former life included.
void source_actor::claim(part& p) {
  renew(p);
  p.now = phase::claiming;
  p.committed.reset();
  self_.request(services_.writer, journal::claim_source{p.source}, ask_limit,
                [this, g = p.generation](result<journal::store::claimed_source> r) {
                  auto* p = find(g);
                  if (!p) return;
                  if (!r) return retry(*p, r.error(), &source_actor::claim);
                  p->claimed = std::move(*r);
                  ask(*p);
                });
}

void source_actor::ask(part& p) {
  p.now = phase::asking;
  self_.request(questions_, ask_facts{p.id}, ask_limit, [this, g = p.generation](result<partition_facts> r) {
    auto* p = find(g);
    if (!p) return;
    if (!r) return retry(*p, r.error(), &source_actor::ask);
    p->end = static_cast<std::int64_t>(r->end);
    const auto decision = decide_start(p->claimed, *r, services_.journal_id);
    if (const auto* other = std::get_if<foreign>(&decision)) {
      p->now = phase::foreign;
      p->trouble = "read so far by journal " + other->journal + ", this one is " + services_.journal_id +
                   "; decide with: horizons bridge adopt --from committed|earliest|TIME";
      log::error("a partition belongs to another journal", {{"partition", to_string(p->id)}, {"trouble", p->trouble}});
      return;
    }
    if (const auto* beyond = std::get_if<beyond_end>(&decision))
      return retry(*p,
                   {error_code::unavailable,
                    "ends at " + std::to_string(beyond->end) + ", but the journal has finished everything before " +
                        std::to_string(beyond->next) + "; was the topic deleted and made anew?"},
                   &source_actor::ask);
    const auto& begin = std::get<begin_at>(decision);
    if (begin.lost > 0) {
      metrics_->lost += begin.lost;
      log::error("records were deleted before they were read", {{"partition", to_string(p->id)},
                                                                {"count", std::to_string(begin.lost)},
                                                                {"now_from", std::to_string(begin.offset)}});
      services_.audit("bridge.records_lost", "kafka", "kafka-partition", p->source,
                      std::to_string(begin.lost) + " before " + std::to_string(begin.offset),
                      [](const result<std::uint64_t>&) {});
    }
    if (begin.store)
      store_start(*p, begin.offset, {});
    else
      read(*p, begin.offset);
  });
}

/// The journal is told first: marks of records far above what it knows would count as out of order.
void source_actor::store_start(part& p, std::uint64_t offset, const std::function<void(result<void>)>& then) {
  p.now = phase::storing;
  journal::batch b{.epoch = services_.epoch};
  b.marks.push_back({.source = p.source, .epoch = p.claimed.progress.epoch, .offset = offset, .all_before = true});
  self_.request(services_.writer, journal::append{std::move(b)}, ask_limit,
                [this, g = p.generation, offset, then](const result<journal::append_outcome>& r) {
                  auto* p = find(g);
                  if (p && r) {
                    auto& stored = p->claimed.progress;
                    stored.next = std::max(stored.next, offset);
                    p->claimed.is_new = false;
                    read(*p, offset);
                  } else if (p && r.error().code == error_code::fenced) {
                    give_up(*p, r.error().text);
                  } else if (p) {
                    retry(*p, r.error(), &source_actor::ask);
                  }
                  if (!then) return;
                  if (r)
                    then({});
                  else
                    then(failure(r.error()));
                });
}

void source_actor::read(part& p, std::uint64_t from) {
  auto stored = p.claimed.progress;
  stored.next = std::max(stored.next, from);
  if (!p.handler) {
    p.trouble = "no handler for this topic";
    return;
  }
  p.tracker.emplace(stored, options_.limits, p.generation);
  if (auto ok = consumer_->assign({{p.id, p.tracker->expected()}}); !ok) {
    p.tracker.reset();
    return retry(p, ok.error(), &source_actor::ask);
  }
  p.now = phase::reading;
  p.trouble.clear();
  p.backoff = milliseconds{0};
  log::info("reading a partition", {{"partition", to_string(p.id)},
                                    {"from", std::to_string(p.tracker->expected())},
                                    {"epoch", std::to_string(p.claimed.progress.epoch)}});
}

/// Work that is in flight goes on; its marks are refused or belong to what the next claim finds.
void source_actor::stop_reading(part& p) {
  if (!p.tracker) return;
  if (auto ok = consumer_->unassign({p.id}); !ok) log::warn("a partition is not let go", {{"error", ok.error().text}});
  renew(p);
  p.tracker.reset();
  p.held.clear();
  p.marks.clear();
  p.marking = false;
}

void source_actor::give_up(part& p, const std::string& why) {
  ++metrics_->fenced;
  stop_reading(p);
  renew(p);
  p.now = phase::fenced;
  p.trouble = "taken over by another owner";
  log::warn("a partition was taken over", {{"partition", to_string(p.id)}, {"error", why}});
  self_.after(options_.fenced_pause, [this, g = p.generation] {
    if (auto* p = find(g)) claim(*p);  // the group still says that it is ours
  });
}

void source_actor::retry(part& p, const error& e, void (source_actor::*what)(part&)) {
  p.trouble = e.text;
  p.backoff = std::clamp(p.backoff * 2, options_.retry_first, options_.retry_max);
  self_.after(p.backoff, [this, g = p.generation, what] {
    if (auto* p = find(g)) (this->*what)(*p);
  });
}

namespace {

struct adopting {
  kit::promise<adopt_partitions::reply> promise;
  adopt_partitions::reply reply;
  std::size_t open = 0;
  std::optional<error> failed;
  void settle() {
    if (--open != 0) return;
    if (failed)
      promise.fail(*failed);
    else
      promise.deliver(std::move(reply));
  }
};

}  // namespace

void source_actor::adopt(const adopt_partitions& how, const kit::promise<adopt_partitions::reply>& promise,
                         milliseconds patience) {
  const auto from = parse_adoption(how.from);
  if (!from) return promise.fail(from.error());
  // All of them at once: whoever says it early does not mean the partitions only that were looked at already.
  const bool undecided = std::ranges::any_of(
      parts_, [](const auto& p) { return p.second.now == phase::claiming || p.second.now == phase::asking; });
  if (undecided && patience > milliseconds{0}) {
    self_.after(adopt_look, [this, how, promise, patience] { adopt(how, promise, patience - adopt_look); });
    return;
  }
  std::vector<part*> waiting;
  for (auto& [id, p] : parts_)
    if (p.now == phase::foreign) waiting.push_back(&p);
  if (waiting.empty())
    return promise.fail(
        {error_code::conflict, "no partition of another journal is assigned to this node; it is " +
                                   (health().ready ? std::string("reading all of them") : health().state)});
  const auto state = std::make_shared<adopting>(adopting{promise, {}, waiting.size(), {}});
  for (auto* p : waiting) {
    const auto begin = [this, state, id = p->id, g = p->generation, how](result<std::uint64_t> offset) {
      auto* p = find(g);
      if (!p || !offset) {
        state->failed = p ? offset.error() : error{error_code::unavailable, to_string(id) + " went to another member"};
        return state->settle();
      }
      services_.audit("bridge.adopted", how.by, "kafka-partition", p->source,
                      "from " + how.from + ", offset " + std::to_string(*offset), [](const result<std::uint64_t>& r) {
                        if (!r) log::warn("an adoption is not audited", {{"error", r.error().text}});
                      });
      store_start(*p, *offset, [state, id, at = *offset](const result<void>& r) {
        if (r)
          state->reply.partitions.push_back(to_string(id) + " from offset " + std::to_string(at));
        else
          state->failed = r.error();
        state->settle();
      });
    };
    if (const auto* time = std::get_if<timestamp>(&*from)) {
      self_.request(questions_, ask_time{p->id, *time}, ask_limit, begin);
    } else {
      const bool committed = std::holds_alternative<adopt_committed>(*from);
      self_.request(questions_, ask_facts{p->id}, ask_limit, [begin, committed](result<partition_facts> f) {
        if (!f) return begin(failure(f.error()));
        begin(committed ? std::max(f->committed.value_or(f->first), f->first) : f->first);
      });
    }
  }
}

}  // namespace horizons::kafka
