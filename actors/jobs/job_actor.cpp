#include "actors/jobs/job_actor.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "actors/jobs/durable_append.hpp"
#include "actors/jobs/open_jobs.hpp"

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

constexpr auto read_timeout = 30s;  // milliseconds; longer means the disk hangs
constexpr std::size_t history_page = 1'000;

/// Progress becomes an event when it moved by this share, or after this time: a job has some 20 of them, not thousands.
constexpr double progress_step = 0.05;
constexpr auto progress_interval = 2s;

/// Runs on the device's thread: thins out what the agent reports and sends the rest to the job's shard.
class progress_reporter {
public:
  progress_reporter(kit::handle<shard_api> shard, job_key key, int attempt)
      : shard_(std::move(shard)), key_(std::move(key)), attempt_(attempt) {}

  void operator()(double fraction, std::string_view stage) {
    auto now = std::chrono::steady_clock::now();
    if (fraction < last_ + progress_step && now - last_time_ < progress_interval) return;
    if (fraction <= last_ && stage == last_stage_) return;
    last_ = fraction;
    last_time_ = now;
    last_stage_ = stage;
    std::optional<double> eta;
    std::chrono::duration<double> elapsed = now - began_;
    if (fraction > 0.01) eta = elapsed.count() * (1 - fraction) / fraction;
    shard_.send(tell_job{key_, report_progress{attempt_, fraction, std::string(stage), eta}});
  }

private:
  kit::handle<shard_api> shard_;
  job_key key_;
  int attempt_;
  double last_ = 0;
  std::string last_stage_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now(), last_time_ = began_;
};

class job_shell {
public:
  job_shell(kit::context& self, std::shared_ptr<const job_environment> env, kit::handle<shard_api> shard,
            std::uint32_t shard_number, job_key key, std::shared_ptr<const journal::batch> born)
      : self_(self), env_(std::move(env)), shard_(std::move(shard)), shard_number_(shard_number), key_(std::move(key)) {
    if (!born) return;
    for (auto& e : born->events) j_.apply(e);
    phase_ = phase::ready;
  }

  void receive(job_message& m) {
    ++seen_;
    if (auto* offer = std::get_if<job_message::offer>(&m.what))  // said again while the disk hangs
      for (auto& other : waiting_)
        if (auto* same = std::get_if<job_message::offer>(&other.what);
            same && same->attempt == offer->attempt && same->device == offer->device)
          return;
    waiting_.push_back(std::move(m));
    pump();
  }

private:
  enum class phase { unknown, loading, ready };

  // -- order: one thing at a time ---------------------------------------------------------------------------------

  void pump() {
    while (!busy_ && !waiting_.empty()) {
      if (phase_ == phase::unknown) {
        auto is_recovery = [](auto& m) { return std::holds_alternative<job_message::recovery>(m.what); };
        return load(std::any_of(waiting_.begin(), waiting_.end(), is_recovery), [this] { loaded(); });
      }
      auto m = std::move(waiting_.front());
      waiting_.pop_front();
      std::visit([this](auto& what) { take(what); }, m.what);
      if (!busy_ && j_.status == job_status::none) phase_ = phase::unknown;  // it may be submitted any time
    }
    if (!busy_) rest();
  }

  /// What is over leaves memory at once, what waits after a while.
  void rest() {
    if (asking_ > 0 || j_.status == job_status::running || j_.status == job_status::retrying) return;
    if (is_final(j_.status) || j_.status == job_status::none) return say_idle();
    if (idle_armed_) return;
    idle_armed_ = true;
    self_.after(env_->idle_before_passivation, [this, seen = seen_] {
      idle_armed_ = false;
      if (busy_ || asking_ > 0 || !waiting_.empty()) return;
      seen == seen_ ? say_idle() : rest();
    });
  }

  void say_idle() {
    if (std::exchange(said_idle_at_, seen_) != seen_) shard_.send(job_idle{key_, seen_});
  }

  /// Reads what is new in the journal, then goes on with `then`. `settled`: an earlier life of this actor may have left
  /// an append on its way.
  void load(bool settled, std::function<void()> then) {
    busy_ = true;
    phase_ = phase::loading;
    if (!settled) return read(0, std::move(then));
    settle_appends(self_, {shard_number_, env_->epoch, env_->writer, env_->table},
                   [this, then = std::move(then)]() mutable { read(0, std::move(then)); });
  }

  void read(std::uint64_t after, std::function<void()> then) {
    journal::read_events ask;
    ask.filter.after_position = after;
    ask.filter.tenant = key_.tenant;
    ask.filter.job_id = key_.job_id;
    ask.limit = history_page;
    self_.request(env_->reader, std::move(ask), read_timeout,
                  [this, after, then = std::move(then)](result<journal::read_events::reply> r) mutable {
                    if (!r) {
                      // Nobody can be answered without the history: try again, the requests have their own timeouts.
                      self_.after(500ms,
                                  [this, after, then = std::move(then)]() mutable { read(after, std::move(then)); });
                      return;
                    }
                    for (auto& e : r->events) j_.apply(e);
                    if (!r->events.empty())
                      return read(r->events.back().position, std::move(then));  // only an empty page is the end
                    phase_ = phase::ready;
                    busy_ = false;
                    then();
                  });
  }

  void loaded() {
    if (j_.status == job_status::running) return find_attempt();
    if (j_.status == job_status::retrying)
      self_.after(env_->retries.backoff_first, [this] { shard_.send(tell_job{key_, retry_due{}}); });
    if (j_.status == job_status::queued) tell_scheduler();
    pump();
  }

  /// After a restart of this actor or of the node: is the attempt still there?
  void find_attempt() {
    busy_ = true;
    auto device = env_->devices.find(j_.device);
    if (device == env_->devices.end()) return lost();
    self_.request(device->second, gpu::has_unit{unit_id(key_, j_.attempt)}, 5s, [this](result<bool> there) {
      if (!there) {  // the device is being restarted
        self_.after(500ms, [this] { find_attempt(); });
        return;
      }
      if (!*there) return lost();
      watch_walltime(j_.attempt,
                     j_.started_at ? std::chrono::floor<std::chrono::seconds>(self_.utc() - *j_.started_at) : 0s);
      busy_ = false;
      pump();
    });
  }

  void lost() {
    std::string crashed_by;
    for (auto& m : waiting_)
      if (auto* r = std::get_if<job_message::recovery>(&m.what)) crashed_by = r->crashed_by;
    report_lost(j_.device, j_.attempt, crashed_by.empty() ? "the node stopped while it ran" : crashed_by,
                !crashed_by.empty());
    busy_ = false;
    pump();
  }

  /// Through the shard: an outcome that the unit told before it left the device counts.
  void report_lost(const std::string& device, int attempt, std::string why, bool crashed) {
    env_->scheduler.send(device_free{device, key_, attempt});
    shard_.send(tell_job{key_, lose_attempt{std::move(why), crashed, attempt}});
  }

  error not_found() const { return {error_code::not_found, "job " + key_.job_id + " does not exist"}; }

  // -- the messages -----------------------------------------------------------------------------------------------

  void take(job_message::instruction& i) {
    step(
        std::move(i.what.what),
        [this, answer = i.answer, mark = i.what.mark.has_value()](result<bool> r) {
          r ? answer.deliver({j_.view(), mark && *r}) : answer.fail(r.error());
        },
        i.what.mark);
  }

  void take(job_message::question& q) {
    if (j_.status == job_status::none)
      q.answer.fail(not_found());
    else
      q.answer.deliver(j_);
  }

  void take(job_message::offer& o) {
    if (o.attempt <= j_.attempt) {
      look_for_unit(o.device, o.attempt);
      if (j_.status == job_status::queued) tell_scheduler();  // it knows an older state of this job
      return;
    }
    if (o.attempt != j_.attempt + 1 || j_.status == job_status::none) {
      env_->scheduler.send(device_free{o.device, key_, o.attempt});
      return;
    }
    offered_ = o;
    step(start_attempt{env_->node_id, o.device}, [](const result<bool>&) {});
  }

  /// The scheduler holds a device for an attempt that began already: does the device know of it?
  void look_for_unit(const std::string& name, int attempt) {
    auto device = env_->devices.find(name);
    if (device == env_->devices.end()) return report_lost(name, attempt, "device " + name + " is not there", false);
    ++asking_;
    self_.request(device->second, gpu::has_unit{unit_id(key_, attempt)}, 5s, [this, name, attempt](result<bool> there) {
      --asking_;
      if (there && !*there)
        report_lost(name, attempt, "device " + name + " was restarted", false);
      else if (there && (j_.status != job_status::running || j_.attempt != attempt))
        stop_unit(attempt);
      // No answer: the scheduler asks again.
      if (!busy_ && waiting_.empty()) rest();
    });
  }

  void take(job_input& input) {
    auto is_progress = [](const job_input& i) { return std::holds_alternative<report_progress>(i); };
    if (is_progress(input))  // only the newest counts
      for (auto& m : waiting_)
        if (auto* later = std::get_if<job_input>(&m.what); later && is_progress(*later)) return;
    step(std::move(input), [](const result<bool>&) {});
  }

  void take(job_message::recovery&) {}  // loading has done what was needed

  // -- events -----------------------------------------------------------------------------------------------------

  /// Decides, appends (with `mark`, when there is something to append), folds, carries out, then tells `done` whether
  /// anything was appended.
  void step(job_input input, std::function<void(result<bool>)> done,
            const std::optional<journal::source_mark>& mark = {}) {
    if (j_.status == job_status::none) return done(failure(not_found()));
    auto d = decide(j_, input, env_->retries, env_->node_id);
    if (!d) {
      done(failure(d.error()));
      return;
    }
    if (d->events.empty()) {
      for (auto& e : d->effects) carry_out(e);
      done(false);
      return;
    }
    auto b = std::make_shared<journal::batch>();
    b->shard = shard_number_;
    b->epoch = env_->epoch;
    add_events(*b, {j_.tenant, j_.user_id, j_.job_id, j_.correlation_id, {}, j_.traceparent}, j_.last_sequence,
               self_.utc(), std::move(d->events));
    if (mark) b->marks.push_back(*mark);
    busy_ = true;
    append_until_known(self_, *env_, b, /*give_up=*/false,
                       [this, b, input = std::move(input), mark, done = std::move(done),
                        effects = std::move(d->effects)](result<journal::append_outcome> r) mutable {
                         busy_ = false;
                         if (!r && r.error().code == error_code::conflict) {
                           // Somebody of an earlier life has written: decide again on what is so.
                           load(true, [this, input = std::move(input), mark, done = std::move(done)]() mutable {
                             step(std::move(input), std::move(done), mark);
                             pump();
                           });
                           return;
                         }
                         if (!r) {
                           // With a mark it may be the bridge that lost its partition: its own affair.
                           if (r.error().code == error_code::fenced && b->marks.empty())
                             self_.fail("another node owns this shard: " + r.error().text);
                           done(failure(r.error()));
                           // An outcome that the journal does not take would leave the job running for ever.
                           if (auto* f = std::get_if<finish_attempt>(&input))
                             step(fail_attempt{f->attempt,
                                               f->duration_s,
                                               {r.error().code, "its results cannot be recorded: " + r.error().text},
                                               error_class::invalid},
                                  [](const result<bool>&) {});
                         } else {
                           for (auto& e : b->events) j_.apply(e);
                           for (auto& e : effects) carry_out(e);
                           done(true);
                         }
                         pump();
                       });
  }

  // -- effects ----------------------------------------------------------------------------------------------------

  void tell_scheduler() { env_->scheduler.send(waits(j_)); }

  void carry_out(const job_effect& effect) {
    std::visit(overloaded{
                   [&](const enqueue_job&) { tell_scheduler(); },
                   [&](const dequeue_job&) { env_->scheduler.send(job_leaves{key_}); },
                   [&](const free_device&) {
                     env_->scheduler.send(device_free{offered_.device, key_, offered_.attempt});
                   },
                   [&](const wait_to_retry& w) {
                     self_.after(w.delay, [this] { shard_.send(tell_job{key_, retry_due{}}); });
                   },
                   [&](const stop_attempt& s) { stop_unit(s.attempt); },
                   [&](const begin_attempt& r) { start_unit(r.attempt); },
                   [&](const discard_results& d) {
                     // Off the actor's thread would be nicer, but this is rare and small: an attempt that finished
                     // in the moment it was cancelled.
                     discard(env_->results_root, key_.tenant, key_.job_id, d.attempt);
                   },
                   [&](const discard_progress&) {
                     if (keeps_checkpoints(j_.request.agent))
                       discard_checkpoint(env_->results_root, key_.tenant, key_.job_id);
                   },
               },
               effect);
  }

  void stop_unit(int attempt) {
    walltime_.cancel();
    for (auto& [_, device] : env_->devices) device.send(gpu::stop_unit{unit_id(key_, attempt)});
  }

  /// What the device needs of an attempt. Everything the unit tells goes through the shard: it outlives this actor.
  struct unit_context {
    std::shared_ptr<const job_environment> env;
    kit::handle<shard_api> shard;
    job_key key;
    std::string device;
    attempt_request request;

    void tell(job_input input) const { shard.send(tell_job{key, std::move(input)}); }

    void run(std::stop_token stop) const {
      const int attempt = request.attempt;
      if (env->on_device) env->on_device(device, request.tenant + "/" + request.job_id, attempt);
      auto began = std::chrono::steady_clock::now();
      auto outcome = env->run(request, std::move(stop), progress_reporter(shard, key, attempt));
      std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      if (env->on_device) env->on_device(device, "", 0);
      if (outcome)
        tell(finish_attempt{attempt, took.count(), std::move(outcome->results), std::move(outcome->metrics)});
      else if (outcome.error().code == error_code::cancelled)
        tell(lose_attempt{"it was stopped", false, attempt});
      else
        tell(fail_attempt{attempt, took.count(), outcome.error(), classify(outcome.error().code)});
    }

    void end(gpu::unit_end how) const {
      const int attempt = request.attempt;
      env->scheduler.send(device_free{device, key, attempt});
      if (how == gpu::unit_end::abandoned)
        tell(fail_attempt{attempt,
                          0,
                          {error_code::timed_out, "the attempt did not stop when asked and was given up"},
                          error_class::timeout});
      if (how == gpu::unit_end::lost) tell(lose_attempt{"device " + device + " was restarted", false, attempt});
    }
  };

  void start_unit(int attempt) {
    auto context = std::make_shared<unit_context>();
    context->env = env_;
    context->shard = shard_;
    context->key = key_;
    context->device = j_.device;
    auto& request = context->request;
    request.tenant = key_.tenant;
    request.job_id = key_.job_id;
    request.agent = j_.request.agent;
    request.dataset = j_.request.dataset;
    request.params = j_.request.params;
    request.attempt = attempt;
    request.results_root = env_->results_root;
    request.allow = env_->dataset_allow;

    gpu::run_unit unit;
    unit.id = unit_id(key_, attempt);
    unit.work = [context](std::stop_token stop) { context->run(std::move(stop)); };
    unit.on_end = [context](gpu::unit_end how) { context->end(how); };
    auto device = env_->devices.find(j_.device);
    if (device == env_->devices.end() || device->second.send(std::move(unit)) == kit::delivery::dead) {
      report_lost(j_.device, attempt, "device " + j_.device + " is not there", false);
      return;
    }
    watch_walltime(attempt, 0s);
  }

  void watch_walltime(int attempt, std::chrono::seconds spent) {
    auto limit = j_.request.wants.walltime_s;
    walltime_.cancel();
    walltime_ = self_.after(std::max(std::chrono::seconds{limit} - spent, 0s), [this, attempt, limit] {
      stop_unit(attempt);
      shard_.send(tell_job{
          key_, fail_attempt{attempt,
                             static_cast<double>(limit),
                             {error_code::timed_out, "longer than resources.walltime_s = " + std::to_string(limit)},
                             error_class::timeout}});
    });
  }

  kit::context& self_;
  std::shared_ptr<const job_environment> env_;
  kit::handle<shard_api> shard_;
  std::uint32_t shard_number_;
  job_key key_;

  job j_;
  phase phase_ = phase::unknown;
  bool busy_ = false;                // an append, a load or the search for the attempt is in flight
  std::deque<job_message> waiting_;  // bounded by what the shard's data lane lets in
  std::uint64_t seen_ = 0, said_idle_at_ = 0;
  bool idle_armed_ = false;
  int asking_ = 0;  // devices; their answers must find this actor
  job_message::offer offered_;
  kit::timer walltime_;
};

}  // namespace

kit::actor_body job_actor(std::shared_ptr<const job_environment> env, kit::handle<shard_api> shard,
                          std::uint32_t shard_number, job_key key, std::shared_ptr<const journal::batch> born) {
  return [env, shard, shard_number, key, born](kit::context& self) {
    auto j = std::make_shared<job_shell>(self, env, shard, shard_number, key, born);
    return kit::behavior{}
        .on<job_message>([j](job_message& m) { j->receive(m); })
        .on<passivate>([&self](const passivate&) { self.quit(); });
  };
}

}  // namespace horizons::jobs
