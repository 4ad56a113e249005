// Shows dead letters, sends them back, parks them; see dead_letter_queue.hpp. How they are found is letter_search.hpp.
#include <algorithm>
#include <map>

#include "gateways/kafka/dead_letter_queue.hpp"
#include "gateways/kafka/letter_search.hpp"
#include "messages/topics.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using bridges::dead_letter;
using bridges::dead_letter_filter;

constexpr milliseconds list_limit = 120s;
constexpr milliseconds replay_limit = 3'600s;
constexpr milliseconds step{20};
constexpr std::size_t ids_told_max = 1'000;

template <class T>
using then = std::function<void(result<T>)>;

class desk : public std::enable_shared_from_this<desk> {
public:
  desk(kit::context& self, dead_letter_options options, bridges::services services)
      : self_(self), options_(with_sources(std::move(options))), services_(std::move(services)) {
    search_ = std::make_shared<letter_search>(self_, options_, services_);
  }

  void list(const dead_letter_filter& filter, kit::promise<list_dead_letters::reply> answer) {
    search_->find(filter, [answer](result<std::vector<found_letter>> found) {
      if (!found) return answer.fail(found.error());
      list_dead_letters::reply letters;
      for (auto& f : *found) letters.push_back(std::move(f.letter));
      answer.deliver(std::move(letters));
    });
  }

  void park(const park_dead_letter& p, kit::promise<bool> answer) {
    search_->find({.id = p.id, .limit = 1}, [this, p, answer](result<std::vector<found_letter>> found) {
      if (!found) return answer.fail(found.error());
      if (found->front().letter.state == "parked") return answer.deliver(false);
      audit(letter_parked, p.by, p.id, "done", [answer](result<std::uint64_t> r) {
        if (r)
          answer.deliver(true);
        else
          answer.fail(r.error());
      });
    });
  }

  void replay(const replay_dead_letters& r, kit::promise<bridges::replay_report> answer) {
    if (!(r.options.rate_per_s > 0))
      return answer.fail({error_code::invalid_argument,
                          "rate_per_s = " + std::to_string(r.options.rate_per_s) + "; expected more than 0"});
    if (replaying_)
      return answer.fail({error_code::unavailable, "another replay is under way; ask again when it is done"});
    replaying_ = true;
    search_->find(r.filter, [this, r, answer](result<std::vector<found_letter>> found) {
      if (!found) {
        replaying_ = false;
        return answer.fail(found.error());
      }
      begin_replay(r, std::move(*found), answer);
    });
  }

private:
  struct running {
    replay_dead_letters what;
    std::vector<found_letter> letters;
    std::size_t next = 0, open = 0;
    double due = 0;  // letters that may go by now
    kit::instant last{};
    bridges::replay_report report;
    kit::promise<bridges::replay_report> answer;
    std::optional<topic_reader> reader;
    std::map<std::string, std::size_t> partitions;  // of the topics they go back to
  };
  using running_ptr = std::shared_ptr<running>;

  static dead_letter_options with_sources(dead_letter_options o) {
    if (o.sources.empty())
      for (const auto& t : kafka_topics) o.sources.emplace_back(t.name);
    return o;
  }

  std::function<void()> guarded(std::function<void()> f) {
    return [weak = weak_from_this(), f = std::move(f)] {
      if (auto d = weak.lock()) f();
    };
  }

  // -- sending back ---------------------------------------------------------------------------------------------------

  void begin_replay(const replay_dead_letters& what, std::vector<found_letter> found,
                    const kit::promise<bridges::replay_report>& answer) {
    auto r = std::make_shared<running>(running{.what = what, .answer = answer});
    r->report.matched = found.size();
    std::map<std::string, std::size_t> left_out;
    for (auto& f : found) {
      const auto why = reason_to_leave(f, what);
      if (why.empty())
        r->letters.push_back(std::move(f));
      else
        ++left_out[why];
    }
    for (const auto& [why, count] : left_out) {
      r->report.skipped += count;
      r->report.notes.push_back(std::to_string(count) + " left out: " + why);
    }
    if (what.options.dry_run) {
      r->report.replayed = r->letters.size();
      for (const auto& f : r->letters) tell(*r, f.letter.id);
      return end(*r);
    }
    if (auto ready = open_producer(); !ready) {
      replaying_ = false;
      return answer.fail(ready.error());
    }
    r->last = self_.now();
    r->due = 1;
    go_on(r);
  }

  static std::string reason_to_leave(const found_letter& f, const replay_dead_letters& what) {
    if (f.letter.state == "parked") return "parked";
    if (f.letter.replays >= what.options.replays_max)
      return "sent back " + std::to_string(what.options.replays_max) + " times already (replays_max)";
    if (f.letter.state == "replayed" && what.filter.id.empty() && what.filter.state.empty())
      return "replayed already; name the id or the state \"replayed\" to send them once more";
    if (origin_of(f.stored).topic.empty()) return "where they came from is not said";
    return {};
  }

  result<void> open_producer() {
    if (producer_) return {};
    auto opened = producer::open(
        {.kafka = options_.kafka, .messages_max = 1'000},
        [post = self_.mailbox_executor(), wake = guarded([this] { acknowledged(); })] { post(wake); },
        options_.metrics);
    if (!opened) return failure(opened.error());
    producer_ = std::move(*opened);
    return {};
  }

  /// Sends what is due by the rate, then waits a step.
  void go_on(const running_ptr& r) {
    const auto now = self_.now();
    const double rate = r->what.options.rate_per_s;
    r->due = std::min(r->due + rate * std::chrono::duration<double>(now - r->last).count(), std::max(1.0, rate));
    r->last = now;
    while (r->next < r->letters.size() && r->due >= 1) {
      const auto& f = r->letters[r->next];
      const auto o = origin_of(f.stored);
      auto record = std::make_shared<const kafka::record>(to_send_back(f.stored.what));
      if (!producer_->has_room(bytes_of(*record))) break;
      const auto token = ++last_token_;
      if (!producer_->send(o.topic, std::move(record), token, partition_of(*r, o))) break;
      sent_.emplace(token, std::pair{r, r->next});
      ++r->next;
      ++r->open;
      r->due -= 1;
    }
    if (r->next < r->letters.size())
      self_.after(step, guarded([this, r] { go_on(r); }));
    else if (r->open == 0)
      end(*r);
  }

  /// The partition it was on, so that its order among its neighbours stays; by key when that is gone.
  std::int32_t partition_of(running& r, const origin_place& o) {
    auto at = r.partitions.find(o.topic);
    if (at == r.partitions.end()) {
      std::size_t count = 0;
      auto reader = topic_reader::open(options_.kafka);
      if (reader)
        if (auto ranges = reader->all_of(o.topic, 5s); ranges) count = ranges->size();
      at = r.partitions.emplace(o.topic, count).first;
    }
    return o.partition >= 0 && static_cast<std::size_t>(o.partition) < at->second ? o.partition : producer::by_key;
  }

  void acknowledged() {
    for (auto& d : producer_->take_deliveries()) {
      const auto at = sent_.find(d.token);
      if (at == sent_.end()) continue;
      const auto [r, index] = at->second;
      sent_.erase(at);
      const auto& letter = r->letters[index].letter;
      const std::string outcome = d.refused ? "failed: " + d.refused->text
                                            : "done: " + origin_of(r->letters[index].stored).topic + "[" +
                                                  std::to_string(d.partition) + "]@" + std::to_string(d.offset);
      audit(letter_replayed, r->what.options.by, letter.id, outcome,
            [this, r = r, id = letter.id, refused = d.refused](result<std::uint64_t> audited) {
              if (refused) {
                ++r->report.skipped;
                r->report.notes.push_back(id + ": " + refused->text);
              } else {
                ++r->report.replayed;
                tell(*r, id);
              }
              if (!audited) r->report.notes.push_back(id + ": not audited: " + audited.error().text);
              --r->open;
              if (r->next == r->letters.size() && r->open == 0) end(*r);
            });
    }
  }

  static void tell(running& r, const std::string& id) {
    if (r.report.ids.size() < ids_told_max) r.report.ids.push_back(id);
  }

  void end(running& r) {
    replaying_ = false;
    constexpr std::size_t notes_max = 100;
    if (r.report.notes.size() > notes_max) r.report.notes.resize(notes_max);
    r.answer.deliver(std::move(r.report));
  }

  void audit(std::string_view action, const std::string& by, const std::string& id, std::string outcome,
             then<std::uint64_t> done) {
    services_.audit(
        std::string(action), by.empty() ? "unknown" : by, std::string(letter_resource), id, std::move(outcome),
        [post = self_.mailbox_executor(), weak = weak_from_this(), done = std::move(done)](result<std::uint64_t> r) {
          post([weak, done, r = std::move(r)] {
            if (auto d = weak.lock()) done(r);
          });
        });
  }

  kit::context& self_;
  const dead_letter_options options_;
  const bridges::services services_;
  std::shared_ptr<letter_search> search_;
  std::unique_ptr<producer> producer_;
  bool replaying_ = false;
  std::uint64_t last_token_ = 0;
  std::map<std::uint64_t, std::pair<running_ptr, std::size_t>> sent_;  // as many as the producer has under way
};

class box final : public bridges::dead_letter_box {
public:
  box(kit::system& system, kit::handle<dead_letter_desk_api> desk) : system_(system), desk_(std::move(desk)) {}

  void list(dead_letter_filter filter, bridges::callback<std::vector<dead_letter>> then) override {
    system_.ask(desk_, list_dead_letters{std::move(filter)}, list_limit, std::move(then));
  }
  void replay(dead_letter_filter filter, bridges::replay_options options,
              bridges::callback<bridges::replay_report> then) override {
    system_.ask(desk_, replay_dead_letters{std::move(filter), std::move(options)}, replay_limit, std::move(then));
  }
  void park(std::string id, std::string by, bridges::callback<bool> then) override {
    system_.ask(desk_, park_dead_letter{std::move(id), std::move(by)}, list_limit, std::move(then));
  }

private:
  kit::system& system_;
  const kit::handle<dead_letter_desk_api> desk_;
};

}  // namespace

kit::actor_body dead_letter_desk(dead_letter_options options, bridges::services services) {
  return [options = std::move(options), services = std::move(services)](kit::context& self) {
    auto d = std::make_shared<desk>(self, options, services);
    return kit::behavior{}
        .on<list_dead_letters>([d](const list_dead_letters& m, kit::promise<list_dead_letters::reply> answer) {
          d->list(m.filter, std::move(answer));
        })
        .on<replay_dead_letters>([d](const replay_dead_letters& m, kit::promise<bridges::replay_report> answer) {
          d->replay(m, std::move(answer));
        })
        .on<park_dead_letter>(
            [d](const park_dead_letter& m, kit::promise<bool> answer) { d->park(m, std::move(answer)); });
  };
}

std::shared_ptr<bridges::dead_letter_box> box_of(kit::system& system, kit::handle<dead_letter_desk_api> desk) {
  return std::make_shared<box>(system, std::move(desk));
}

}  // namespace horizons::kafka
