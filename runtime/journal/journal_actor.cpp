#include "runtime/journal/journal_actor.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "runtime/journal/commit_group.hpp"

namespace horizons::journal {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

// The commits of many appenders begin this far apart, so that what a commit costs beside its rows (half-filled pages
// written again, a message to each subscriber) is shared by more events. The writer's thread sleeps meanwhile: a timer
// would have it woken by every append, which costs the appender more than the append. A lone appender, whose last
// commit was of its batch alone, never waits.
constexpr milliseconds commit_spacing = 2ms;
constexpr std::size_t catch_up_events = 500;  // read per turn: appends wait some milliseconds behind it, not more
constexpr milliseconds retry_first = 5ms;     // a full subscriber gets another try then, and ever later
constexpr milliseconds retry_max = 500ms;
constexpr std::chrono::minutes measure_every{1};  // the size on disk, a query of some milliseconds

/// To itself, at the end of the data lane: when it arrives, every append that was waiting is in the group. (The
/// control lane overtakes the data lane: a mark there would commit each append alone.)
struct commit_now {};
struct catch_up {
  std::uint64_t subscription = 0;
};
using own_api = kit::accepts<commit_now, catch_up>;

struct subscription {
  kit::handle<kit::accepts<committed>> to;
  std::uint64_t cursor = 0;  // everything up to here was sent
  bool live = false;         // stands at the head: gets commits as they happen
  milliseconds retry = retry_first;
};

class writer : public std::enable_shared_from_this<writer> {
public:
  writer(kit::context& self, std::unique_ptr<store> s, std::uint64_t last, std::shared_ptr<journal_metrics> metrics,
         pause_function pause)
      : self_(self),
        me_(self.self_as<own_api>()),
        store_(std::move(s)),
        last_(last),
        metrics_(std::move(metrics)),
        pause_(std::move(pause)) {
    measure();
  }

  void take(append& a, kit::promise<append_outcome> answer) {
    group_.add(std::move(a), std::move(answer));
    if (group_.full()) return commit();
    if (marked_) return;
    marked_ = true;
    const auto due = committed_at_ + commit_spacing;
    if (const auto now = self_.now(); pause_ && last_group_ > 1 && now < due) pause_(due - now);
    send_or_wait(commit_now{}, [this] { commit(); });
  }

  void commit() {
    marked_ = false;
    if (group_.empty()) return;
    auto group = std::exchange(group_, {});
    committed_at_ = self_.now();
    last_group_ = group.batches().size();
    auto outcomes = store_->append(group.batches());
    count_time(self_.now() - committed_at_);
    if (!outcomes) return refuse(group, outcomes.error());
    last_error_.clear();
    ++metrics_->commits;
    const auto before = last_;
    event_list fresh;
    for (std::size_t i = 0; i < outcomes->size(); ++i) {
      if ((*outcomes)[i] && !(*outcomes)[i]->conflict) note(group.batches()[i], (*outcomes)[i]->positions, fresh);
      count((*outcomes)[i]);
    }
    for (std::size_t i = 0; i < outcomes->size(); ++i) group.answers()[i].set(std::move((*outcomes)[i]));
    publish(before, std::move(fresh));
    metrics_->last_position = last_;
    if (self_.now() - measured_ >= measure_every) measure();
  }

  /// What was appended before is committed before.
  result<store::claimed_source> claim(const std::string& source) {
    commit();
    auto taken = store_->claim_source(source);
    if (!taken) last_error_ = taken.error().text;
    return taken;
  }

  result<archived> archive(const archive_events& what) {
    auto step = store_->archive(what.before, what.up_to);
    if (!step) return step;
    if (step->last > 0) metrics_->archived_to = step->last;
    metrics_->rows_archived += step->removed;
    return step;
  }

  void add(const subscribe& s) {
    if (!s.to) return;
    std::erase_if(subscriptions_, [&](const auto& entry) { return entry.second.to == s.to; });
    const auto id = ++subscription_id_;
    subscriptions_.emplace(id, subscription{s.to, s.after_position});
    metrics_->subscribers = subscriptions_.size();
    self_.monitor(s.to, [weak = weak_from_this(), id](const kit::exit_cause&) {
      if (auto w = weak.lock()) w->forget(id);
    });
    step(id);
  }

  /// One page for one subscriber that does not stand at the head.
  void step(std::uint64_t id) {
    const auto at = subscriptions_.find(id);
    if (at == subscriptions_.end() || at->second.live) return;
    subscription& s = at->second;
    auto page = store_->read({.after_position = s.cursor}, catch_up_events);
    if (!page) {
      last_error_ = page.error().text;
      return later(id, s);
    }
    if (page->empty()) {
      s.live = true;
      return;
    }
    const auto last = page->back().position;
    switch (s.to.send(committed{std::make_shared<const event_list>(std::move(*page)), s.cursor})) {
      case kit::delivery::accepted:
        s.cursor = last;
        s.retry = retry_first;
        return next(id);
      case kit::delivery::rejected_full:
        return later(id, s);
      case kit::delivery::dead:
        return forget(id);
    }
  }

  journal_status::reply status() const {
    return {store_->id(), last_, metrics_->commits, metrics_->events, double(metrics_->commit_us_last) / 1000,
            last_error_};
  }

private:
  void note(const batch_ptr& b, const std::vector<std::uint64_t>& positions, event_list& fresh) {
    const auto before = fresh.size();
    for (std::size_t i = 0; i < positions.size(); ++i) {
      // A batch that is sent again is read by others already: nothing of it changes any more.
      if (b->events[i].position != positions[i]) b->events[i].position = positions[i];
      if (positions[i] <= last_) {  // positions grow within a commit: this one was stored before
        ++metrics_->repeats;
        continue;
      }
      last_ = positions[i];
      ++metrics_->events;
      if (subscriptions_.empty()) continue;
      fresh.add(b->events[i]);
    }
    if (fresh.size() > before) fresh.keep(b);
  }

  void count(const result<append_outcome>& outcome) {
    if (outcome && !outcome->conflict)
      ++metrics_->batches;
    else if (outcome || outcome.error().code == error_code::conflict)
      ++metrics_->conflicts;
    else if (outcome.error().code == error_code::fenced)
      ++metrics_->fenced;
    else
      ++metrics_->refused;
  }

  void count_time(kit::instant::duration took) {
    const auto ns = std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count(), 0);
    metrics_->commit_us_last = static_cast<std::uint64_t>(ns / 1000);
    metrics_->commit_times.add(ns, 1);
  }

  void measure() {
    measured_ = self_.now();
    metrics_->last_position = last_;
    if (const auto bytes = store_->size_bytes()) metrics_->size_bytes = *bytes;
  }

  void refuse(const commit_group& group, const error& why) {
    ++metrics_->commits_failed;
    last_error_ = why.text;
    for (const auto& answer : group.answers()) answer.fail(why);
    // The outcome may be unknown: what is stored after all is found by reading.
    for (auto& [id, s] : subscriptions_)
      if (std::exchange(s.live, false)) later(id, s);
  }

  void publish(std::uint64_t before, event_list fresh) {
    if (fresh.empty()) return;
    const auto events = std::make_shared<const event_list>(std::move(fresh));
    std::vector<std::uint64_t> gone;
    for (auto& [id, s] : subscriptions_) {
      if (!s.live) continue;
      if (s.cursor != before) {  // others commit too, or an append of unknown outcome was stored: read what is between
        s.live = false;
        next(id);
        continue;
      }
      switch (s.to.send(committed{events, before})) {
        case kit::delivery::accepted:
          s.cursor = events->back().position;
          break;
        case kit::delivery::rejected_full:
          s.live = false;
          ++metrics_->subscribers_fell_behind;
          later(id, s);
          break;
        case kit::delivery::dead:
          gone.push_back(id);
          break;
      }
    }
    for (const auto id : gone) forget(id);
  }

  void forget(std::uint64_t id) {
    subscriptions_.erase(id);
    metrics_->subscribers = subscriptions_.size();
  }

  void next(std::uint64_t id) {
    send_or_wait(catch_up{id}, [this, id] { step(id); });
  }

  void later(std::uint64_t id, subscription& s) {
    after(s.retry, [this, id] { step(id); });
    s.retry = std::min(s.retry * 2, retry_max);
  }

  /// Takes its turn behind what waits in the data lane, or, when that is full, a moment later.
  template <class M>
  void send_or_wait(M m, std::function<void()> f) {
    if (me_.send(std::move(m)) != kit::delivery::accepted) after(1ms, std::move(f));
  }

  void after(milliseconds delay, std::function<void()> f) {
    self_.after(delay, [weak = weak_from_this(), f = std::move(f)] {
      if (auto w = weak.lock()) f();
    });
  }

  kit::context& self_;
  kit::handle<own_api> me_;
  std::unique_ptr<store> store_;
  std::uint64_t last_;  // the highest position known to be committed
  std::shared_ptr<journal_metrics> metrics_;
  pause_function pause_;
  commit_group group_;
  kit::instant measured_{}, committed_at_{};  // the last commit's beginning
  std::size_t last_group_ = 0;                // and its batches
  bool marked_ = false;                       // a commit_now is under way
  std::map<std::uint64_t, subscription> subscriptions_;
  std::uint64_t subscription_id_ = 0;
  std::string last_error_;
};

/// A reader's store, opened again after a failure.
class reader {
public:
  reader(open_function open, std::unique_ptr<store> s) : open_(std::move(open)), store_(std::move(s)) {}

  template <class F>
  auto with_store(F f) -> decltype(f(std::declval<store&>())) {
    if (!store_) {
      auto opened = open_();
      if (!opened) return failure(std::move(opened.error()));
      store_ = std::move(*opened);
    }
    auto answer = f(*store_);
    if (!answer && (answer.error().code == error_code::io || answer.error().code == error_code::unreadable))
      store_.reset();
    return answer;
  }

private:
  open_function open_;
  std::unique_ptr<store> store_;
};

}  // namespace

append::append(batch b) : what(std::make_shared<batch>(std::move(b))) { prepare(*what); }

std::size_t bytes_of(const append& a) {
  std::size_t sum = sizeof(append) + a.what->claims.size() * sizeof(identity_claim);
  for (const source_mark& m : a.what->marks)
    sum += sizeof(source_mark) + m.source.size() + m.park.size() + m.release.size();
  sum += a.what->events.size() * sizeof(event) + a.what->bytes;
  for (const std::string& text : a.what->texts) sum += text.size();
  return sum;
}

void sleep_on_own_thread(kit::instant::duration d) { std::this_thread::sleep_for(d); }

kit::actor_body journal_writer(open_function open, std::shared_ptr<journal_metrics> metrics, pause_function pause) {
  if (!metrics) metrics = std::make_shared<journal_metrics>();
  return [open = std::move(open), metrics, pause = std::move(pause)](kit::context& self) -> kit::behavior {
    auto opened = open();
    auto last = opened ? (*opened)->last_position() : result<std::uint64_t>(failure(opened.error()));
    if (!last) {
      self.fail(last.error().text);
      return {};
    }
    metrics->subscribers = 0;
    auto w = std::make_shared<writer>(self, std::move(*opened), *last, metrics, pause);
    self.on_stop([&self, weak = std::weak_ptr(w)] {
      if (auto alive = weak.lock()) alive->commit();
      self.quit();
    });
    return kit::behavior{}
        .on<append>([w](append& a, kit::promise<append_outcome> answer) { w->take(a, std::move(answer)); })
        .on<commit_now>([w](const commit_now&) { w->commit(); })
        .on<subscribe>([w](const subscribe& s) { w->add(s); })
        .on<claim_source>([w](const claim_source& c) { return w->claim(c.source); })
        .on<archive_events>([w](const archive_events& a) { return w->archive(a); })
        .on<catch_up>([w](const catch_up& c) { w->step(c.subscription); })
        .on<journal_status>([w](const journal_status&) -> result<journal_status::reply> { return w->status(); });
  };
}

kit::actor_body journal_reader(open_function open) {
  return [open = std::move(open)](kit::context& self) -> kit::behavior {
    auto opened = open();
    if (!opened) {
      self.fail(opened.error().text);
      return {};
    }
    auto r = std::make_shared<reader>(open, std::move(*opened));
    return kit::behavior{}
        .on<read_events>([r](const read_events& m) {
          return r->with_store([&](store& s) {
            return s.read(m.filter, m.limit).map([](std::vector<event> e) { return read_events::reply{std::move(e)}; });
          });
        })
        .on<find_claim>([r](const find_claim& m) {
          return r->with_store([&](store& s) {
            return s.find_claim(m.tenant, m.user_id, m.idempotency_key).map([](std::optional<claimed_by> c) {
              return find_claim::reply{std::move(c)};
            });
          });
        })
        .on<verify_chain>([r](const verify_chain&) {
          return r->with_store([](store& s) {
            return s.verify(nullptr).map([](std::uint64_t checked) { return verify_chain::reply{checked}; });
          });
        })
        .on<read_sources>(
            [r](const read_sources& m) { return r->with_store([&](store& s) { return s.read_sources(m.prefix); }); })
        .on<read_head>([r](const read_head&) { return r->with_store([](store& s) { return s.head(); }); });
  };
}

}  // namespace horizons::journal
