// The front door: reads the configuration, builds the tree of actors and introduces the rooms to each other, runs the
// sub-commands. What actors and gateways know of each other is said here and nowhere else.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "actors/agents/agent.hpp"
#include "actors/agents/version.hpp"
#include "actors/consumers/job_spans.hpp"
#include "actors/consumers/live_feed.hpp"
#include "actors/jobs/attempt.hpp"
#include "actors/jobs/front.hpp"
#include "actors/observations/simulate.hpp"
#include "actors/observations/truth.hpp"
#include "gateways/bridges/bridge_set.hpp"
#include "gateways/cli/asking.hpp"
#include "gateways/cli/commands.hpp"
#include "gateways/cli/follow.hpp"
#include "gateways/cli/journal_commands.hpp"
#include "gateways/cli/progress_bar.hpp"
#include "gateways/cli/schema_commands.hpp"
#include "gateways/http/server.hpp"
#include "gateways/otlp/span_poster.hpp"
#include "gpu/device.hpp"
#include "messages/codec/json.hpp"
#include "messages/envelope.hpp"
#include "messages/make_event.hpp"
#include "runtime/config/config.hpp"
#include "runtime/journal/journal_actor.hpp"
#include "runtime/journal/journal_collector.hpp"
#include "runtime/journal/retention.hpp"
#include "runtime/kit/system.hpp"
#include "runtime/shutdown/crash_marker.hpp"
#include "runtime/shutdown/shutdown.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "runtime/telemetry/log.hpp"
#include "runtime/telemetry/metrics.hpp"
#include "runtime/telemetry/tracing.hpp"
#include "runtime/telemetry/watchdog.hpp"

namespace horizons {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// -- the node -----------------------------------------------------------------------------------------------------

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return *name ? name : "localhost";
}

/// A running node: the tree, and the way it comes up and goes down.
class node {
public:
  static result<std::unique_ptr<node>> start(const configuration& config);

  std::string url() const { return server_->url(); }
  /// Waits for a signal, stops in phases; the process's exit status.
  int run(shutdown::signal_waiter& signals);

private:
  explicit node(const configuration& config) : config_(config), data_dir_(fs::absolute(config.node.data_dir)) {}

  result<void> open();
  result<void> start_journal();
  result<void> start_devices();
  result<void> start_jobs();
  result<void> recover();
  result<void> start_bridges();
  result<void> start_telemetry();
  result<void> start_gateway();
  bridges::services bridge_services();
  /// Appends audit.recorded.
  void audit(std::string action, std::string actor, std::string resource_type, std::string resource_id,
             std::string outcome, bridges::callback<std::uint64_t> then);
  http::services services();
  void drain(kit::instant deadline);

  /// Starts a part of the tree below "/node" and waits until it runs.
  result<kit::address> add(supervision::child_spec spec);
  /// The address of an actor that a part's supervisor is about to start; it takes messages from the first moment. Empty
  /// when it did not appear: whoever is asked for then says so.
  template <class Api>
  kit::handle<Api> at(const std::string& path) {
    for (auto end = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < end;
         std::this_thread::yield())
      if (auto found = system_->find(path)) return kit::handle<Api>(found.cell());
    return {};
  }
  configuration config_;
  fs::path data_dir_;
  std::string node_id_, journal_id_;
  journal::owner_info me_;
  std::unique_ptr<journal::store> store_;  // opened before the tree, so that a refusal is the command's answer
  std::uint64_t epoch_ = 0;
  std::unique_ptr<shutdown::crash_marker> marker_;
  std::unique_ptr<kit::system> system_;
  kit::handle<supervision::supervisor_api> root_;
  kit::handle<journal::writer_api> writer_;
  kit::handle<journal::reader_api> reader_;
  kit::handle<jobs::scheduler_api> scheduler_;
  kit::handle<jobs::job_table_api> table_;
  kit::handle<consumers::live_feed_api> feed_;
  std::map<std::string, kit::handle<gpu::device_api>> devices_;
  jobs::waiting_count waiting_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::shared_ptr<jobs::waiting_by_tenant> waiting_of_ = std::make_shared<jobs::waiting_by_tenant>();
  bridges::bridge_set bridges_;
  jobs::told_at_start told_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<jobs::shard_map> shards_ = std::make_shared<jobs::shard_map>();
  std::shared_ptr<jobs::front> front_;
  std::shared_ptr<telemetry::metrics_page> page_ = std::make_shared<telemetry::metrics_page>();
  std::shared_ptr<std::atomic<bool>> failed_ = std::make_shared<std::atomic<bool>>(false);  // the root of the tree
  std::unique_ptr<telemetry::watchdog> watchdog_;
  std::shared_ptr<telemetry::tracer> tracer_;  // null: spans are not exported
  std::unique_ptr<http::http_server> server_;
};

result<kit::address> node::add(supervision::child_spec spec) {
  return system_->ask(root_, supervision::start_child_request{std::move(spec)}, 60s);
}

result<std::unique_ptr<node>> node::start(const configuration& config) {
  if (auto absent = unsupported(config); !absent.empty()) {
    std::string text;
    for (auto& line : absent) text += (text.empty() ? "" : "\n") + line;
    return failure(error_code::invalid_argument, text);
  }
  auto n = std::unique_ptr<node>(new node(config));
  for (auto step : {&node::open, &node::start_journal, &node::start_devices, &node::start_jobs, &node::recover,
                    &node::start_bridges, &node::start_telemetry, &node::start_gateway})
    if (auto ok = ((*n).*step)(); !ok) return failure(ok.error());
  return n;
}

result<void> node::open() {
  // A message type that would not survive the wire stops the node before it works.
  if (auto ok = message_types().self_test(); !ok) return ok;
  std::error_code ec;
  fs::create_directories(data_dir_ / "results", ec);
  if (ec)
    return failure(error_code::io, "node.data_dir = " + data_dir_.string() + " cannot be made: " + ec.message() +
                                       "; name a folder that this user may write");
  node_id_ = config_.node.id.empty() ? host_name() : config_.node.id;
  me_ = {node_id_, host_name(), std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())};
  auto store = journal::open_store(config_.journal.url, me_);
  if (!store) return failure(store.error());
  store_ = std::move(*store);
  journal_id_ = store_->id();
  std::vector<std::uint32_t> all(journal::shard_count);
  for (std::uint32_t i = 0; i < journal::shard_count; ++i) all[i] = i;
  auto epoch = store_->raise_epochs(all);
  if (!epoch) return failure(epoch.error());
  epoch_ = *epoch;

  kit::system_options options;
  options.on_root_failure = [failed = failed_](const std::string& path, const kit::exit_cause& cause) {
    log::error("the tree has failed", {{"path", path}, {"reason", cause.reason}});
    failed->store(true);
  };
  system_ = std::make_unique<kit::system>(options);
  page_->add(std::make_shared<telemetry::actor_collector>(*system_));
  root_ = system_->spawn<supervision::supervisor_api>(
      {.name = "node", .type = "supervisor"}, supervision::supervisor(supervision::strategy::one_for_one, {}, {}));
  return {};
}

result<void> node::start_journal() {
  // The store opened above is the writer's first; a restart opens it again.
  auto first = std::make_shared<std::unique_ptr<journal::store>>(std::move(store_));
  auto open_writer = [first, url = config_.journal.url, me = me_]() -> result<std::unique_ptr<journal::store>> {
    if (*first) return std::move(*first);
    return journal::open_store(url, me);
  };
  auto open_reader = [url = config_.journal.url] { return journal::open_reader(url); };
  auto metrics = std::make_shared<journal::journal_metrics>();
  page_->add(std::make_shared<journal::journal_collector>(metrics));
  auto part =
      add({{.name = "journal", .type = "supervisor"},
           supervision::supervisor(
               supervision::strategy::rest_for_one, {},
               {{{.name = "writer", .type = "journal_writer"}, journal::journal_writer(open_writer, metrics), {}, true},
                {{.name = "reader", .type = "journal_reader"}, journal::journal_reader(open_reader), {}, true}})});
  if (!part) return failure(part.error());
  writer_ = at<journal::writer_api>("/node/journal/writer");
  reader_ = at<journal::reader_api>("/node/journal/reader");
  return {};
}

result<void> node::start_devices() {
  // One CPU device with one job at a time: its numeric code uses all cores by itself.
  auto info = gpu::cpu_device();
  auto part = add({{.name = "gpu", .type = "supervisor"},
                   supervision::supervisor(supervision::strategy::rest_for_one, {},
                                           {{{.name = "device/0", .type = "device"}, gpu::device_actor(info)}})});
  if (!part) return failure(part.error());
  devices_[info.id] = at<gpu::device_api>("/node/gpu/device/0");
  return {};
}

jobs::scheduler_limits scheduler_limits_from(const jobs_section& section) {
  const auto limit = [](std::int64_t n) { return n == 0 ? jobs::no_limit : static_cast<int>(n); };
  jobs::scheduler_limits l;
  l.user = {.running_max = limit(section.running_max_per_user), .gpus_max = limit(section.gpus_max_per_user)};
  l.tenant = {.running_max = limit(section.running_max_per_tenant), .gpus_max = limit(section.gpus_max_per_tenant)};
  for (const auto& text : section.weights) {
    const auto w = parse_weight(text).value();  // checked when the configuration was read
    auto& account = w.user.empty() ? l.tenants.try_emplace(w.tenant, l.tenant).first->second
                                   : l.users.try_emplace(w.tenant + "/" + w.user, l.user).first->second;
    account.weight = w.weight;
  }
  return l;
}

result<void> node::start_jobs() {
  const bool on_disk = journal::stores_texts(config_.journal.url);
  const auto views = on_disk ? (data_dir_ / "views.db").string() : ":memory:";
  const journal::retention_options keep{.keep = std::chrono::days(config_.journal.retention_days),
                                        .relays = bridges::relay_sources(config_)};
  auto consumers =
      add({{.name = "consumers", .type = "supervisor"},
           supervision::supervisor(supervision::strategy::one_for_one, {},
                                   {{{.name = "job_table"}, jobs::job_table_actor(views, writer_), {}, true},
                                    {{.name = "live_feed"}, consumers::live_feed(writer_)},
                                    {{.name = "retention"}, journal::retention(keep, writer_, reader_)}})});
  if (!consumers) return failure(consumers.error());
  table_ = at<jobs::job_table_api>("/node/consumers/job_table");
  feed_ = at<consumers::live_feed_api>("/node/consumers/live_feed");

  jobs::scheduler_environment scheduling;
  for (auto& [id, device] : devices_) scheduling.devices.push_back({id, 1, device});
  scheduling.offer = [shards = shards_](jobs::offer_device o) {
    auto& shard = shards->of(o.job);
    shard.send(std::move(o));
  };
  scheduling.limits = scheduler_limits_from(config_.jobs);
  scheduling.preempt = [shards = shards_](jobs::preemption p) {
    auto& shard = shards->of(p.job);
    shard.send(jobs::tell_job{std::move(p.job), jobs::preempt_attempt{p.attempt, std::move(p.reason)}});
  };
  scheduling.waiting = waiting_;
  scheduling.waiting_of = waiting_of_;
  scheduling.told = told_;
  scheduling.open_jobs = {0, epoch_, writer_, table_};
  auto part = add({{.name = "jobs", .type = "supervisor"},
                   supervision::supervisor(supervision::strategy::one_for_one, {},
                                           {{{.name = "scheduler"}, jobs::scheduler_actor(std::move(scheduling))}})});
  if (!part) return failure(part.error());
  scheduler_ = at<jobs::scheduler_api>("/node/jobs/scheduler");

  auto marker = shutdown::crash_marker::open((data_dir_ / "running.marker").string());
  if (!marker) return failure(marker.error());
  marker_ = std::move(*marker);
  marker_->install_handlers();

  auto env = std::make_shared<jobs::job_environment>();
  env->node_id = node_id_;
  env->epoch = epoch_;
  env->writer = writer_;
  env->stores_texts = journal::stores_texts(config_.journal.url);
  env->reader = reader_;
  env->scheduler = scheduler_;
  env->table = table_;
  env->told = told_;
  env->devices = devices_;
  env->results_root = data_dir_ / "results";
  if (config_.data.allow) env->dataset_allow = *config_.data.allow;
  env->retries.attempts_max = static_cast<int>(config_.jobs.attempts_max);
  env->prices = {static_cast<double>(config_.jobs.cpu_hour_cents) / 100,
                 static_cast<double>(config_.jobs.gpu_hour_cents) / 100};
  env->on_device = [marker = marker_.get()](const std::string&, const std::string& job, int attempt) {
    if (job.empty())
      marker->clear(0);
    else
      marker->set_running(0, job, static_cast<std::uint32_t>(attempt));
  };

  std::vector<supervision::child_spec> shards;
  for (std::uint32_t i = 0; i < journal::shard_count; ++i)
    shards.push_back({{.name = std::to_string(i), .type = "shard"}, jobs::shard_actor(env, i)});
  auto shard_part = add({{.name = "shard", .type = "supervisor"},
                         supervision::supervisor(supervision::strategy::one_for_one, {}, std::move(shards))});
  if (!shard_part) return failure(shard_part.error());
  for (std::uint32_t i = 0; i < journal::shard_count; ++i)
    shards_->shards.push_back(at<jobs::shard_api>("/node/shard/" + std::to_string(i)));

  auto info = gpu::cpu_device();
  jobs::front_limits limits;
  limits.queued_max = static_cast<std::size_t>(config_.jobs.queued_max);
  limits.queued_max_per_tenant = static_cast<std::size_t>(config_.jobs.queued_max_per_tenant);
  limits.cpus_available = static_cast<int>(info.threads);
  limits.memory_gb_available = static_cast<double>(info.memory_bytes) / 1e9;
  front_ = std::make_shared<jobs::front>(*system_, shards_, scheduler_, table_, waiting_, waiting_of_,
                                         env->dataset_allow, limits);
  return {};
}

result<void> node::recover() {
  // The table first: it knows which jobs were not done when the node ended.
  auto status = system_->ask(writer_, journal::journal_status{}, 30s);
  if (!status) return failure(status.error());
  auto reached = system_->ask(table_, jobs::reach_position{status->last_position}, 600s);
  if (!reached) return failure(reached.error());

  const auto status_of = [&](const std::string& tenant, const std::string& job_id) -> std::optional<jobs::job_status> {
    auto job = system_->ask(table_, jobs::find_job{{tenant, job_id}}, 30s);
    if (!job) return {};
    return *job ? (*job)->status : jobs::job_status::none;
  };
  jobs::sweep_results(data_dir_ / "results", status_of);

  auto& previous = marker_->read_previous();
  std::size_t waiting = 0, running = 0;
  for (std::uint64_t after = 0;;) {
    auto page = system_->ask(table_, jobs::list_open_jobs{after, 10'000}, 60s);
    if (!page) return failure(page.error());
    if (page->empty()) break;
    for (auto& open : *page) {
      after = open.position;
      switch (open.status) {
        case jobs::job_status::queued:
          ++waiting;
          scheduler_.send(jobs::waits(open));
          break;
        case jobs::job_status::running:
        case jobs::job_status::retrying: {
          ++running;
          std::string signal;  // that took the process down while this attempt ran
          for (auto& j : previous.jobs)
            if (previous.signal != 0 && open.job.tenant + "/" + open.job.job_id == j.job_id &&
                static_cast<std::uint32_t>(open.attempt) == j.attempt)
              signal = std::string("SIG") + ::sigabbrev_np(previous.signal);
          shards_->of(open.job).send(jobs::recover_job{open.job, signal});
          break;
        }
        default:
          break;  // paused: nothing to do until somebody resumes it
      }
    }
  }
  told_->store(true);
  if (waiting + running > 0)
    log::info("recovered", {{"waiting", std::to_string(waiting)}, {"interrupted", std::to_string(running)}});
  return {};
}

void node::audit(std::string action, std::string actor, std::string resource_type, std::string resource_id,
                 std::string outcome, bridges::callback<std::uint64_t> then) {
  event_context about{.now = system_->utc()};
  about.user_id = actor;
  auto e = make_event(about, audit_recorded{std::move(action), std::move(actor), std::move(resource_type),
                                            std::move(resource_id), std::move(outcome)});
  if (!e) return then(failure(e.error()));
  journal::batch b;
  b.epoch = epoch_;
  b.events.push_back(std::move(*e));
  system_->ask(writer_, journal::append{std::move(b)}, 5s, [then = std::move(then)](result<journal::append_outcome> r) {
    if (!r) return then(failure(std::move(r.error())));
    then(r->positions.front());
  });
}

bridges::services node::bridge_services() {
  bridges::services s;
  s.handle = [f = front_](bridges::incoming in, bridges::callback<bridges::handled> then) {
    auto& c = in.what;
    if (c.job_id.empty() && c.command_name == "submit") c.job_id = std::move(in.fallback_job_id);
    if (!in.proven_user.empty()) c.user_id = std::move(in.proven_user);
    f->take(std::move(c), std::move(in.traceparent), std::move(in.mark),
            [then = std::move(then)](result<jobs::front::taken> r) {
              using outcome = bridges::handled::outcome;
              if (!r) return then(failure(std::move(r.error())));
              const auto what = !r->changed ? outcome::repeated : r->rejected ? outcome::rejected : outcome::applied;
              then(bridges::handled{what, r->marked, r->job.view()});
            });
  };
  s.audit = [this](std::string action, std::string actor, std::string resource_type, std::string resource_id,
                   std::string outcome, bridges::callback<std::uint64_t> then) {
    audit(std::move(action), std::move(actor), std::move(resource_type), std::move(resource_id), std::move(outcome),
          std::move(then));
  };
  s.writer = writer_;
  s.reader = reader_;
  s.journal_id = journal_id_;
  s.node_id = node_id_;
  s.epoch = epoch_;
  return s;
}

result<void> node::start_bridges() {
  auto made = bridges::make_bridges(config_, bridge_services(), *system_, "/node/bridges");
  if (!made) return failure(made.error());
  bridges_ = std::move(*made);
  for (auto& source : bridges_.metrics) page_->add(source);
  if (bridges_.children.empty()) return {};
  auto part = add({{.name = "bridges", .type = "supervisor"},
                   supervision::supervisor(supervision::strategy::one_for_one, {}, std::move(bridges_.children))});
  if (!part) return failure(part.error());
  return {};
}

result<void> node::start_telemetry() {
  using namespace telemetry;
  const auto& config = config_.telemetry;
  watchdog_ = std::make_unique<watchdog>(*system_, stuck_limits{.running = std::chrono::seconds(config.stuck_after_s)});
  if (config.otlp_endpoint.empty()) return {};
  tracer_ = std::make_shared<tracer>(tracer_options{.node = node_id_, .post = otlp::span_poster(config.otlp_endpoint)});
  page_->add(std::make_shared<span_collector>(tracer_));
  // Called by one actor: the fold needs no lock.
  auto watching = system_->ask(
      feed_, consumers::watch_events{[t = tracer_, spans = std::make_shared<consumers::job_spans>()](const event& e) {
        for (auto& s : spans->apply(e)) t->add(std::move(s));
      }},
      5s);
  if (!watching) return failure(watching.error());
  return {};
}

/// The flat list, parents first, as a tree of {name, state, …, children}.
json nested_tree(const std::vector<kit::tree_entry>& entries) {
  std::map<std::string, std::vector<const kit::tree_entry*>> below;  // by the parent's path
  std::set<std::string> paths;
  for (auto& e : entries) paths.insert(e.path);
  for (auto& e : entries) {
    // A name may hold slashes ("job/<id>"): the parent is the longest path that is an actor.
    auto parent = e.path;
    do parent.resize(parent.rfind('/'));
    while (!parent.empty() && !paths.contains(parent));
    below[parent].push_back(&e);
  }
  std::function<json(const std::string&)> children = [&](const std::string& path) {
    json list = json::array();
    for (auto* e : below[path])
      list.push_back({{"name", e->path.substr(path.size() + 1)},
                      {"path", e->path},
                      {"type", e->type},
                      {"state", e->state},
                      {"restarts", e->restarts},
                      {"last_error", e->last_error},
                      {"mailbox", e->mailbox},
                      {"started_unix_ms", e->started_unix_ms},
                      {"children", children(e->path)}});
    return list;
  };
  auto roots = children("");
  return roots.size() == 1 ? std::move(roots[0])
                           : json{{"name", ""}, {"state", "running"}, {"children", std::move(roots)}};
}

http::services node::services() {
  http::services s;
  s.version = std::string(software_version);
  s.node_id = node_id_;
  s.submit = [f = front_](http::identity who, command c, std::string traceparent,
                          http::callback<http::submission> then) {
    // Open mode: user_id in the body is a label, the person is the one who runs the node.
    if (c.user_id.empty()) c.user_id = who.user_id;
    c.tenant = who.tenant;
    f->submit(std::move(c), std::move(traceparent), [then](result<jobs::front::accepted> r) {
      if (!r) return then(failure(std::move(r.error())));
      then(http::submission{r->is_new, r->job.view()});
    });
  };
  s.order = [f = front_](http::identity who, std::string order, std::string id, std::string reason,
                         http::callback<json> then) {
    f->give_order({who.tenant, std::move(id)}, order, who.user_id, std::move(reason), std::move(then));
  };
  s.get_job = [f = front_](http::identity who, std::string id, http::callback<json> then) {
    f->get({who.tenant, std::move(id)}, std::move(then));
  };
  s.list_jobs = [f = front_](http::identity who, http::job_query q, http::callback<http::job_page> then) {
    f->list({who.tenant, q.status, q.user, q.agent, q.since, q.page_size, q.page_token},
            [then](result<jobs::job_page> r) {
              if (!r) return then(failure(std::move(r.error())));
              then(http::job_page{std::move(r->jobs), std::move(r->next_page_token)});
            });
  };
  s.read_events = [sys = system_.get(), reader = reader_](http::event_query q,
                                                          http::callback<std::vector<event>> then) {
    journal::read_events ask;
    ask.filter = {q.after_position, {}, q.tenant, q.job_id, q.type, q.start, q.end};
    ask.limit = q.limit;
    sys->ask(reader, std::move(ask), 30s, [then](result<journal::read_events::reply> r) {
      if (!r) return then(failure(std::move(r.error())));
      then(std::move(r->events));
    });
  };
  s.find_result = [f = front_, root = data_dir_ / "results"](http::identity who, std::string id, std::string name,
                                                             http::callback<http::result_location> then) {
    f->fold({who.tenant, id}, [=](result<jobs::job> j) {
      if (!j) return then(failure(std::move(j.error())));
      for (auto& r : j->results)
        if (r.name == name)
          return then(http::result_location{jobs::results_folder(root, who.tenant, id) / name, r.sha256, r.size});
      then(failure(error_code::not_found, "job " + id + " has no result \"" + name + "\""));
    });
  };
  s.agents = [] { return jobs::list_agents(); };
  s.tree = [sys = system_.get()] { return nested_tree(sys->tree()); };
  s.cluster = [id = node_id_, me = me_] {
    return json{
        {"profile", "embedded"},
        {"nodes", json::array({{{"id", id}, {"host", me.host}, {"since", to_string(me.since)}, {"state", "up"}}})}};
  };
  s.metrics_text = [page = page_, waiting = waiting_, more = bridges_.metrics_text] {
    std::string bridges;
    for (const auto& text : more) bridges += text();
    return page->prometheus_text() + bridges +
           "# HELP horizons_jobs_waiting Jobs that wait for a device.\n# TYPE horizons_jobs_waiting gauge\n" +
           "horizons_jobs_waiting " + std::to_string(waiting->load()) + "\n";
  };
  s.ready = [sys = system_.get(), writer = writer_, health = bridges_.health](http::callback<http::readiness> then) {
    sys->ask(writer, journal::journal_status{}, 2s, [then, health](result<journal::journal_status::reply> r) {
      std::string journal = !r ? r.error().text : r->last_error.empty() ? "up" : r->last_error;
      http::readiness all{journal == "up", {{"journal", journal}}};
      health([then, all](result<std::vector<std::pair<std::string, bridges::bridge_health>>> parts) mutable {
        if (!parts) return then(failure(parts.error()));
        for (auto& [name, h] : *parts) {
          all.ready = all.ready && h.ready;
          all.checks.emplace_back(name, h.ready ? "up" : std::move(h.state));
        }
        then(std::move(all));
      });
    });
  };
  s.dead_letters = bridges_.dead_letters;
  s.actors = system_.get();
  s.audit = [this](std::string action, std::string actor, std::string resource_type, std::string resource_id,
                   std::string outcome, http::callback<std::uint64_t> then) {
    audit(std::move(action), std::move(actor), std::move(resource_type), std::move(resource_id), std::move(outcome),
          std::move(then));
  };
  if (bridges_.adopt)
    s.adopt = [adopt = bridges_.adopt](http::identity who, std::string from, http::callback<json> then) {
      adopt(std::move(from), who.user_id, std::move(then));
    };
  s.watch = [sys = system_.get(), feed = feed_](std::function<void(const event&)> on_event) {
    auto id = sys->ask(feed, consumers::watch_events{std::move(on_event)}, 5s);
    return std::function<void()>([feed, id] {
      if (id) feed.send(consumers::unwatch_events{*id});
    });
  };
  return s;
}

result<void> node::start_gateway() {
  http::http_options options;
  options.listen = config_.http.listen;
  options.data_dir = data_dir_;
  auto server = http::http_server::start(options, services());
  if (!server) return failure(server.error());
  server_ = std::move(*server);
  return {};
}

int node::run(shutdown::signal_waiter& signals) {
  while (!failed_->load())
    if (signals.wait(500ms)) break;
  // A root that failed has lost its subtree: the journal has everything, a fresh process goes on from there.
  const bool failed = failed_->load();
  if (failed) ::kill(::getpid(), SIGTERM), (void)signals.wait(1s);
  using shutdown::phase;
  std::vector<std::string> survivors;
  auto report = shutdown::run_phases({{phase::stop_intake,
                                       [this](kit::instant) {
                                         server_->stop_accepting();
                                         scheduler_.send(jobs::hold{true});
                                       }},
                                      {phase::drain, [this](kit::instant deadline) { drain(deadline); }},
                                      {phase::stop_actors,
                                       [this, &survivors](kit::instant deadline) {
                                         server_->stop(500ms);
                                         survivors = system_->shutdown(std::chrono::duration_cast<kit::milliseconds>(
                                             deadline - std::chrono::steady_clock::now()));
                                       }}},
                                     signals);
  for (auto& path : survivors) log::error("did not end in time", {{"path", path}});
  if (!report.in_order || !survivors.empty()) {
    log::error("stopped out of order", {{"reason", report.reason}});
    std::cout.flush();
    ::_exit(failed ? 1 : 3);
  }
  return failed ? 1 : 0;
}

/// Running work is asked to stop and its job told; what does not stop in time runs again at the next start anyway.
void node::drain(kit::instant deadline) {
  for (auto& [id, device] : devices_)
    for (;;) {
      auto status = system_->ask(device, gpu::device_status{}, 1s);
      if (!status || status->units.empty() || std::chrono::steady_clock::now() + 200ms > deadline) break;
      for (auto& unit : status->units) device.send(gpu::stop_unit{unit});
      std::this_thread::sleep_for(20ms);
    }
}

// -- the sub-commands -----------------------------------------------------------------------------------------------

int run_node(const cli::client_options& options) {
  shutdown::signal_waiter signals;  // before any other thread
  auto config = cli::read_configuration(options);
  if (!config) return cli::fail(config.error());
  auto n = node::start(*config);
  if (!n) return cli::fail(n.error());
  std::cout << "ready " << (*n)->url() << std::endl;
  return (*n)->run(signals);
}

/// How `horizons replay --to state` makes a job's state from its events.
cli::job_rebuild rebuilt_jobs() {
  auto job = std::make_shared<jobs::job>();
  return {[job](const event& e) { job->apply(e); },
          [job] { return job->status == jobs::job_status::none ? json() : job->view(); }};
}

struct agent_options {
  std::string name, dataset, out;
  std::vector<std::string> params;
};

/// One agent here and now: the same code as on a node, without journal or actors.
int run_agent(const agent_options& o, bool as_json) {
  auto* agent = agents::find_agent(o.name);
  if (!agent) {
    std::cerr << "horizons: agent \"" << o.name << "\" is unknown; there are:";
    for (auto& a : agents::all_agents()) std::cerr << ' ' << a->name();
    std::cerr << '\n';
    return 2;
  }
  auto params = cli::parse_params(o.params);
  if (!params) return cli::fail(params.error());
  if (auto ok = agent->check(*params); !ok) return cli::fail(ok.error());
  auto dataset = jobs::local_dataset(o.dataset, {});
  if (!dataset) return cli::fail(dataset.error());
  std::error_code ec;
  fs::create_directories(o.out, ec);
  if (ec || !fs::is_empty(o.out, ec)) {
    std::cerr << "horizons: --out " << o.out << (ec ? ": " + ec.message() : " is not empty; name a new folder") << '\n';
    return 2;
  }
  cli::progress_bar bar(std::cerr, cli::is_terminal(), o.name);
  agents::agent_input input{"local", *dataset, o.dataset, *params, o.out};
  auto output =
      agent->run(input, {}, [&](double fraction, std::string_view stage) { bar.show(fraction, std::string(stage)); });
  bar.finish();
  if (!output) return cli::fail(output.error());
  if (as_json)
    std::cout << output->metrics.dump() << '\n';
  else
    std::cout << o.out << ": " << output->metrics.dump(2) << '\n';
  return 0;
}

json read_json_file(const fs::path& path) {
  std::ifstream in(path);
  return json::parse(in, nullptr, false);
}

int run_simulate(const observations::simulation_options& o, const std::string& out, bool as_json) {
  cli::progress_bar bar(std::cerr, cli::is_terminal(), "simulate");
  auto truth = observations::simulate(
      o, out, {}, [&](double fraction, std::string_view stage) { bar.show(fraction, std::string(stage)); });
  bar.finish();
  if (!truth) return cli::fail(truth.error());
  auto summary = observations::simulate_summary(*truth);
  if (as_json)
    std::cout << summary.dump() << '\n';
  else
    std::cout << out << ": " << truth->array << ", " << truth->antennas << " antennas, " << truth->sources.size()
              << " sources, " << truth->visibilities << " visibilities; truth in " << out << ".truth.json\n";
  return 0;
}

/// How well a source list agrees with a simulated truth.
int run_compare(const std::string& sources, const std::string& truth, const std::string& report, bool as_json) {
  double beam_arcsec = 0;
  if (auto r = read_json_file(report); r.is_object() && r.contains("beam"))
    beam_arcsec = (r["beam"].value("major_arcsec", 0.0) + r["beam"].value("minor_arcsec", 0.0)) / 2;
  auto compared = observations::compare_with_truth(read_json_file(sources), read_json_file(truth), beam_arcsec);
  if (!compared) return cli::fail(compared.error());
  if (as_json) {
    std::cout << observations::to_json(*compared).dump() << '\n';
    return 0;
  }
  char line[160];
  std::snprintf(line, sizeof line, "%zu of %zu sources, worst position %.2f beam, worst flux %.1f %%",
                compared->matches.size(), compared->sources, compared->worst_offset_beams,
                100 * compared->worst_flux_error);
  std::cout << line << '\n';
  return compared->matches.size() == compared->sources ? 0 : 1;
}

}  // namespace
}  // namespace horizons

int main(int argc, char** argv) {
  using namespace horizons;
  CLI::App app{
      "Cosmic Horizons Runtime: submit radio observations, watch them being imaged, get images and source lists."};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string(software_version));
  cli::client_options options;
  int status = 0;
  cli::add_global_options(app, options);
  cli::add_client_commands(app, options, status);

  auto* node = app.add_subcommand("node", "run a node; prints \"ready <url>\" when it serves")->fallthrough();
  std::string log_format = "human", log_level = "info";
  node->add_option("--log-format", log_format, "human or json")
      ->check(CLI::IsMember({"human", "json"}))
      ->capture_default_str();
  node->add_option("--log-level", log_level, "debug, info, warn, error or off")
      ->check(CLI::IsMember({"debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  node->callback([&] {
    log::configure({.level = *log::parse_level(log_level),
                    .format = log_format == "json" ? log::format::json : log::format::human});
    status = run_node(options);
  });

  agent_options agent;
  auto* run = app.add_subcommand("agent", "run one agent here and now, without a node")->fallthrough();
  run->add_option("name", agent.name, "which agent")->required();
  run->add_option("--dataset", agent.dataset, "file or folder to work on")->required();
  run->add_option("--out", agent.out, "folder for the results; made when absent")->required();
  run->add_option("--param", agent.params, "parameter as name=value; repeatable");
  run->callback([&] { status = run_agent(agent, options.json); });

  observations::simulation_options sim;
  std::string out, source_file, start, describe;
  auto* simulate = app.add_subcommand("simulate", "write a UVFITS observation of known truth")->fallthrough();
  simulate->add_option("--out", out, "UVFITS file to write; its truth goes to FILE.truth.json")->required();
  simulate->add_option("--array", sim.array, "small, vla or ngvla")->capture_default_str();
  simulate->add_option("--integrations", sim.integrations, "number of integrations, spread over four hours");
  simulate->add_option("--channels", sim.channels, "number of channels");
  simulate->add_option("--sources", sim.sources, "file with ra_deg dec_deg flux_jy; default: random sources");
  simulate->add_option("--noise-jy", sim.noise_jy, "rms of real and of imaginary part of each visibility")
      ->capture_default_str();
  simulate->add_option("--gain-error", sim.gain_error, "rms of gain amplitudes (fraction) and phases (radians)")
      ->capture_default_str();
  simulate->add_option("--rfi", sim.rfi_rate, "fraction of integrations x channels hit by interference")
      ->capture_default_str();
  simulate->add_option("--seed", sim.seed, "the same seed gives the same observation")->capture_default_str();
  simulate->callback([&] { status = run_simulate(sim, out, options.json); });

  std::string found, truth, report;
  auto* compare =
      app.add_subcommand("compare", "compare a source list with the truth of a simulated observation")->fallthrough();
  compare->add_option("--sources", found, "sources.json of a job")->required();
  compare->add_option("--truth", truth, "FILE.truth.json of the simulation")->required();
  compare->add_option("--report", report, "report.json of the job: its beam");
  compare->callback([&] { status = run_compare(found, truth, report, options.json); });

  cli::add_journal_commands(app, options, rebuilt_jobs(), status);
  cli::add_schema_commands(app, options, status);

  return cli::run(app, argc, argv, status);
}
