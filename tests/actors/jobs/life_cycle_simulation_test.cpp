// The embedded node's job life cycle under virtual time: people submit, cancel, pause, resume and retry while the
// journal fails, actors are killed and the node loses its power. Afterwards everything must have settled, and nobody
// may have been told something that the journal does not say. A seed that fails prints itself and what happened.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/actors/jobs/simulated_node.hpp"

namespace horizons::jobs {
namespace {

using namespace std::chrono_literals;
using journal::memory_fault;
using simulated::node;

constexpr int jobs_max = 14;
constexpr int actions = 80;

std::string name_of(int n) { return "job-" + std::to_string(n); }

/// One run: a node, its users and its misfortunes, all from one seed.
class story {
public:
  explicit story(std::uint64_t seed) : sim_(seed), node_(sim_, world(), all_names()) {
    node_.journal().set_faults({[this](std::uint64_t) { return next_fault(); },
                                [this] {
                                  if (!std::exchange(power_fails_at_sync_, false)) return;
                                  say("power fails between write and sync");
                                  node_.journal().crash();
                                  powerless_ = true;
                                }});
  }

  /// What is wrong, one line each; empty: nothing.
  std::vector<std::string> run() {
    if (!node_.start()) return {"the node did not start"};
    for (int i = 0; i < actions; ++i) {
      // Sometimes only a few messages long, so that the next thing happens in the midst of the one before.
      auto messages = one_in(2) ? random(40) : 1'000'000;
      sim_.run_until([&] { return powerless_ || messages-- == 0; }, milliseconds{random(1'500)});
      if (powerless_ || !node_.alive()) power_cycle();
      act();
    }
    calm_down();
    settle();
    probe();
    check();
    return wrong_;
  }

  std::string trace() const {
    std::string text;
    for (auto& line : trace_) text += "  " + line + "\n";
    return text;
  }
  std::uint64_t digest() const { return sim_.digest(); }
  std::uint64_t seed() const { return sim_.seed(); }

private:
  // -- what the world does ----------------------------------------------------------------------------------------

  std::uint64_t random(std::uint64_t below) { return sim_.random(below); }
  bool one_in(std::uint64_t n) { return random(n) == 0; }

  void say(const std::string& text) {
    sim_.note("* " + text);
    auto ms = std::chrono::duration_cast<milliseconds>(sim_.now().time_since_epoch()).count();
    trace_.push_back(std::to_string(ms) + " " + text);
  }

  static std::vector<std::string> all_names() {
    std::vector<std::string> names{"probe"};
    for (int i = 0; i < jobs_max; ++i) names.push_back(name_of(i));
    return names;
  }

  simulated::surroundings world() {
    simulated::surroundings w;
    w.plan = [this](const std::string& unit) {
      auto [at, is_new] = plans_.try_emplace(unit);
      if (is_new && !calm_) {
        at->second.takes = one_in(6) ? milliseconds{3'600'000} : milliseconds{random(8'000)};
        at->second.ignores_stop = one_in(12);
      }
      return at->second;
    };
    w.run = [this](const attempt_request& r, std::stop_token stop,
                   const gpu::progress_sink& progress) -> result<attempt_outcome> {
      auto unit = unit_id({r.tenant, r.job_id}, r.attempt);
      if (stop.stop_requested()) {
        say(unit + " stops");
        return failure(error_code::cancelled, "stopped");
      }
      progress(0.3, "gridding");
      progress(0.8, "cleaning");
      auto fate = calm_ ? 9 : random(10);
      say(unit + (fate == 0 ? " fails for good" : fate <= 2 ? " fails" : " succeeds"));
      if (fate == 0) return failure(error_code::unreadable, "dataset is truncated");
      if (fate <= 2) return failure(error_code::io, "disk is busy");
      attempt_outcome done;
      done.results.push_back({"image.fits", 100, std::string(64, 'a')});
      done.metrics = {{"attempt", r.attempt}};
      return done;
    };
    return w;
  }

  memory_fault next_fault() {
    if (calm_ || sim_.now() > fault_until_) return memory_fault::none;
    // Not every commit fails, so that work goes on between.
    return one_in(4) ? memory_fault::none : fault_;
  }

  // -- actions ----------------------------------------------------------------------------------------------------

  void act() {
    auto what = random(100);
    if (what < 25) return submit_new();
    if (what < 35) return submit_again();
    if (what < 55) return give_order();
    if (what < 65) return look();
    if (what < 75) return disturb_journal();
    if (what < 92) return kill_somebody();
    if (what < 96) return power_cycle();
    if (one_in(2))
      power_fails_at_sync_ = true;
    else
      fault_ = memory_fault::torn_write, fault_until_ = sim_.now() + 1s, torn_ = true;
  }

  command a_command(int n) {
    command c;
    c.job_id = name_of(n);
    c.user_id = "u" + std::to_string(n % 3);
    c.agent = "image-reconstruction";
    c.dataset = "file:///data/" + std::to_string(n) + ".uvfits";
    c.priority = 1 + n % 5;
    c.wants.walltime_s = n % 4 == 0 ? 30 : 7'200;
    if (n % 2) c.idempotency_key = "key-" + std::to_string(n);
    return c;
  }

  void submit_new() {
    if (submitted_ == jobs_max) return look();
    submit(a_command(submitted_++));
  }

  void submit_again() {
    if (!submitted_) return;
    auto n = static_cast<int>(random(static_cast<std::uint64_t>(submitted_)));
    auto c = a_command(n);
    if (one_in(3)) c.dataset += ".other";
    // The same key under another job id: that id is never used for anything else.
    else if (!c.idempotency_key.empty() && one_in(2))
      c.job_id = name_of((n + 1) % jobs_max), c.user_id = "u" + std::to_string(n % 3);
    submit(c);
  }

  /// What somebody was told about a job.
  struct told {
    std::uint64_t asked, answered;  // by one counter
    std::string job_id;
    json view;
  };

  struct submission {
    command what;
    std::optional<result<front::accepted>> answer;
  };

  void submit(command c) {
    auto s = std::make_shared<submission>();
    s->what = c;
    submissions_.push_back(s);
    auto label = "submit " + c.job_id + " " + c.dataset + " " + c.idempotency_key;
    say(label);
    node_.door().submit(std::move(c), "", [this, s, label, asked = ++tick_](result<front::accepted> r) {
      say(label + " -> " +
          (r ? std::string(r->is_new ? "new " : "known ") + r->job.view().value("job_id", "") : r.error().text));
      s->answer = r;
      if (r) remember(asked, r->job.view());
    });
  }

  void remember(std::uint64_t asked, const json& view) { told_.push_back({asked, ++tick_, view.at("job_id"), view}); }

  std::string some_job() {
    return name_of(static_cast<int>(random(static_cast<std::uint64_t>(std::max(submitted_, 1)))));
  }

  void give_order() {
    static constexpr const char* orders[] = {"cancel", "pause", "resume", "retry", "resume"};
    order(some_job(), orders[random(5)]);
  }

  void order(const std::string& id, const std::string& what) {
    say(what + " " + id);
    node_.door().give_order({"default", id}, what, "somebody", "", [this, what, id, asked = ++tick_](result<json> r) {
      say(what + " " + id + " -> " + (r ? r->value("status", "") : r.error().text));
      if (r) remember(asked, *r);
    });
  }

  void look() {
    auto id = some_job();
    node_.door().get({"default", id}, [this, id, asked = ++tick_](result<json> r) {
      if (r)
        remember(asked, *r);
      else if (r.error().code == error_code::not_found)
        missing_.push_back({asked, ++tick_, id, {}});
    });
  }

  void disturb_journal() {
    static constexpr memory_fault faults[] = {memory_fault::disk_full, memory_fault::io, memory_fault::answer_lost};
    if (torn_) return;
    fault_ = faults[random(3)];
    fault_until_ = sim_.now() + milliseconds{random(8'000)};
    say("the journal fails for a while: " + std::to_string(static_cast<int>(fault_)));
  }

  void kill_somebody() {
    if (sim_.now() < next_kill_) return;  // more than the supervisors' limit would be a crash of the node
    next_kill_ = sim_.now() + milliseconds{one_in(3) ? 0 : 4'000};
    auto id = some_job();
    const std::string paths[] = {"/node/journal/writer", "/node/journal/reader", "/node/consumers/job_table",
                                 "/node/jobs/scheduler", "/node/gpu/device/0",   node::shard_path(id),
                                 node::job_path(id),     node::job_path(id),     node::job_path(id)};
    auto& path = paths[random(std::size(paths))];
    say("kill " + path);
    node_.kill(path);
  }

  void power_cycle() {
    say("power off and on");
    powerless_ = power_fails_at_sync_ = torn_ = false;
    fault_until_ = {};
    node_.crash();
    if (!node_.start()) wrong_.push_back("the node did not start again");
  }

  // -- the end ----------------------------------------------------------------------------------------------------

  void calm_down() {
    say("faults end");
    calm_ = true;
    if (torn_ || powerless_ || !node_.alive()) power_cycle();
    power_fails_at_sync_ = false;
  }

  std::map<std::string, job> folds() const {
    std::map<std::string, job> out;
    for (auto& e : node_.events())
      if (!e.job_id.empty()) out[e.job_id].apply(e);
    return out;
  }

  void settle() {
    std::string open;
    for (int minute = 0; minute < 150; ++minute) {  // units of an hour may be under way, once for each of two devices
      sim_.run_for(1min);
      open.clear();
      for (auto& [id, j] : folds())
        if (!is_final(j.status) && j.status != job_status::paused)
          open += " " + id + " " + std::string(to_string(j.status));
      if (open.empty()) break;
    }
    if (!open.empty()) wrong_.push_back("not settled:" + open);
    for (auto& s : submissions_)
      if (!s->answer) wrong_.push_back("submission of " + s->what.job_id + " was never answered");
  }

  /// No device is lost: two jobs of the lowest priority find one each.
  void probe() {
    auto c = a_command(0);
    c.job_id = "probe";
    c.priority = 5;
    submit(c);
    sim_.run_for(2min);
    auto all = folds();
    if (all["probe"].status != job_status::completed)
      wrong_.push_back("the probe is " + std::string(to_string(all["probe"].status)));
    auto& system = sim_.node("n");
    for (auto path : {"/node/gpu/device/0", "/node/gpu/device/1"}) {
      auto status = sim_.ask("n", kit::handle<gpu::device_api>(system.find(path).cell()), gpu::device_status{}, 5s);
      if (!status || !status->units.empty())
        wrong_.push_back(std::string(path) + " is not idle: " + (status ? status->units.front() : status.error().text));
    }
    if (!wrong_.empty())
      for (auto& e : system.tree()) trace_.push_back("tree: " + e.path + " " + e.state + " " + e.last_error);
  }

  void check() {
    auto events = node_.events();
    check_events(events);
    check_submissions(events);
    check_told(events);
    check_views();
  }

  void check_events(const std::vector<event>& events) {
    std::set<std::string> ids;
    std::map<std::string, job> jobs;
    std::map<std::string, int> submitted;
    for (auto& e : events) {
      if (!ids.insert(e.event_id).second) wrong_.push_back("event " + e.event_id + " twice");
      if (!is_life_cycle(e.data)) continue;
      auto& j = jobs[e.job_id];
      auto at = e.job_id + " #" + std::to_string(e.sequence) + " " + std::string(type_of(e.data));
      auto line = "journal: " + horizons::to_string(e.time) + " " + at;
      std::visit(
          [&](const auto& data) {
            if constexpr (requires { data.reason; }) line += " " + data.reason;
            if constexpr (requires { data.device; }) line += " " + data.device;
          },
          e.data);
      trace_.push_back(line);
      if (e.sequence != j.last_sequence + 1) wrong_.push_back(at + " follows #" + std::to_string(j.last_sequence));
      if (std::holds_alternative<job_submitted>(e.data) && ++submitted[e.job_id] > 1)
        wrong_.push_back(at + ": submitted twice");
      if (std::holds_alternative<job_completed>(e.data) && j.status != job_status::running)
        wrong_.push_back(at + " while " + std::string(to_string(j.status)));
      if (std::holds_alternative<job_completed>(e.data) &&
          e.time - *j.started_at > std::chrono::seconds{j.request.wants.walltime_s} + 1min)
        wrong_.push_back(at + " after more than its walltime");
      if (auto* f = std::get_if<job_failed>(&e.data); f && f->error.type == "interrupted")
        wrong_.push_back(at + ": " + f->error.detail);  // stops of a few actors must not use up a job's starts
      std::visit(
          [&](const auto& data) {
            if constexpr (requires { data.old_status; })
              if (data.old_status != to_string(j.status))
                wrong_.push_back(at + " from " + data.old_status + " while " + std::string(to_string(j.status)));
          },
          e.data);
      j.apply(e);
    }
  }

  void check_submissions(const std::vector<event>& events) {
    std::map<std::string, job_submitted> stored;
    std::map<std::string, std::string> users;
    for (auto& e : events)
      if (auto* s = std::get_if<job_submitted>(&e.data)) stored.emplace(e.job_id, *s), users[e.job_id] = e.user_id;
    std::map<std::string, int> made;
    for (auto& s : submissions_) {
      if (!s->answer) continue;
      auto& id = s->what.job_id;
      if (auto& a = *s->answer) {
        auto job_id = (*a).job.view().value("job_id", "");
        auto at = stored.find(job_id);
        if (at == stored.end())
          wrong_.push_back("acknowledged and not there: " + job_id);
        else if (at->second.dataset != s->what.dataset)
          wrong_.push_back("acknowledged with other content: " + job_id);
        if (a->is_new && (job_id != id || ++made[id] > 1)) wrong_.push_back("told to be new: " + id);
      } else if (a.error().code == error_code::disk_full || a.error().code == error_code::io) {
        // Refused: nothing of it may be there, unless another submission of the same job brought it.
        auto same =
            std::count_if(submissions_.begin(), submissions_.end(), [&](auto& o) { return o->what.job_id == id; });
        if (same == 1 && stored.contains(id)) wrong_.push_back("refused and there: " + id);
      } else if (a.error().code == error_code::conflict) {
        auto other = std::count_if(stored.begin(), stored.end(),
                                   [&](auto& o) { return o.first == id || users[o.first] == s->what.user_id; });
        if (!other) wrong_.push_back("conflict with nobody: " + id);
      }
    }
  }

  /// Every answer is the fold of a prefix of the journal, and later ones are of longer prefixes.
  void check_told(const std::vector<event>& events) {
    std::map<std::string, std::vector<json>> views;  // by job, after each sequence
    std::map<std::string, job> jobs;
    for (auto& e : events) {
      if (!is_life_cycle(e.data)) continue;
      jobs[e.job_id].apply(e);
      views[e.job_id].push_back(jobs[e.job_id].view());
    }
    for (auto& t : told_) {
      auto sequence = t.view.value("last_sequence", std::uint64_t{0});
      auto& known = views[t.job_id];
      if (sequence == 0 || sequence > known.size()) {
        wrong_.push_back("told of " + t.job_id + " #" + std::to_string(sequence) + ", which is not in the journal");
        continue;
      }
      auto view = t.view;
      view["waiting_for"] = nullptr;
      if (view != known[sequence - 1])
        wrong_.push_back("told " + view.dump() + "\n    the journal says " + known[sequence - 1].dump());
      for (auto& earlier : told_)
        if (earlier.job_id == t.job_id && earlier.answered < t.asked &&
            earlier.view.value("last_sequence", std::uint64_t{0}) > sequence)
          wrong_.push_back("told older news of " + t.job_id);
    }
    for (auto& m : missing_)
      for (auto& t : told_)
        if (t.job_id == m.job_id && t.answered < m.asked) wrong_.push_back("told that " + m.job_id + " does not exist");
  }

  void check_views() {
    for (auto& [id, j] : folds()) {
      std::optional<result<job>> answer;
      node_.door().fold({"default", id}, [&](result<job> r) { answer = std::move(r); });
      sim_.run_until([&] { return answer.has_value(); }, 60s);
      if (!answer || !*answer || !(**answer == j)) wrong_.push_back("the job's actor differs from the journal: " + id);
      auto row = sim_.ask("n", node_.table(), find_job{{"default", id}}, 10s);
      if (!row || !*row || !(**row == j)) wrong_.push_back("the job table differs from the journal: " + id);
    }
  }

  simulation::simulation sim_;
  std::map<std::string, simulated::unit_plan> plans_;
  std::vector<std::shared_ptr<submission>> submissions_;
  std::vector<told> told_, missing_;
  std::vector<std::string> trace_, wrong_;
  bool calm_ = false, powerless_ = false, power_fails_at_sync_ = false, torn_ = false;
  memory_fault fault_ = memory_fault::none;
  kit::instant fault_until_{}, next_kill_{};
  int submitted_ = 0;
  std::uint64_t tick_ = 0;
  node node_;
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  auto* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(life_cycle_simulation, settles_and_tells_the_truth) {
  const auto seeds = number_from("HORIZONS_SIMULATION_SEEDS", std::getenv("HORIZONS_LONG") ? 500 : 200);
  const auto first = number_from("HORIZONS_SIMULATION_SEED", 1);  // look at one: this and HORIZONS_SIMULATION_SEEDS=1
  int failed = 0;
  for (auto seed = first; seed < first + seeds && failed < 3; ++seed) {
    story s(seed);
    auto wrong = s.run();
    if (wrong.empty()) continue;
    ++failed;
    std::string text;
    for (auto& line : wrong) text += "  " + line + "\n";
    ADD_FAILURE() << "seed " << seed << " (HORIZONS_SIMULATION_SEED=" << seed << "):\n"
                  << text << "what happened:\n"
                  << s.trace();
  }
}

/// The report of an attempt that was stopped may come when the next one runs already.
TEST(life_cycle_simulation, news_of_an_earlier_attempt_do_not_touch_the_later_one) {
  job j;
  j.status = job_status::running;
  j.attempt = 2;
  EXPECT_TRUE(decide(j, lose_attempt{"it was stopped", false, 1}, {}, "n")->events.empty());
  EXPECT_EQ(decide(j, lose_attempt{"it was stopped", false, 2}, {}, "n")->events.size(), 1u);
  auto late = decide(j, finish_attempt{1, 1.0, {}, {}}, {}, "n");
  EXPECT_TRUE(late->events.empty());
  EXPECT_TRUE(late->effects.empty());  // what is published may be the later attempt's
}

TEST(life_cycle_simulation, the_same_seed_is_the_same_story) {
  story a(7), b(7), c(8);
  a.run();
  b.run();
  c.run();
  EXPECT_EQ(a.digest(), b.digest());
  EXPECT_NE(a.digest(), c.digest());
}

}  // namespace
}  // namespace horizons::jobs
