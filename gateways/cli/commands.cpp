#include "gateways/cli/commands.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "gateways/bridges/publish.hpp"
#include "gateways/cli/actor_commands.hpp"
#include "gateways/cli/asking.hpp"
#include "gateways/cli/bridge_commands.hpp"
#include "gateways/cli/follow.hpp"
#include "gateways/cli/table.hpp"
#include "gateways/cli/tree.hpp"
#include "messages/text.hpp"
#include "messages/ulid.hpp"

namespace horizons::cli {
namespace {

constexpr std::size_t file_bytes_max = 1 << 20;  // as the node takes

std::string percent(const json& job) {
  const auto found = job.find("progress");
  return found != job.end() && found->is_number() ? std::to_string(static_cast<int>(found->get<double>() * 100)) + " %"
                                                  : "";
}

// -- submit -----------------------------------------------------------------------------------------------------

struct submit_options {
  std::string file, agent, dataset, user, key;
  std::vector<std::string> params;
  std::string via = "http";
  int priority = 0;
  bool wait = false;
};

result<json> submission_of(const submit_options& s) {
  json body = json::object();
  if (!s.file.empty()) {
    std::ifstream opened;
    if (s.file != "-") opened.open(s.file);
    std::istream& in = s.file == "-" ? std::cin : opened;
    if (!in)
      return failure(error_code::invalid_argument,
                     s.file + ": cannot be read; expected a file with a submission in JSON");
    std::string text(file_bytes_max + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    if (text.size() > file_bytes_max) return failure(error_code::invalid_argument, s.file + ": has more than 1 MiB");
    body = json::parse(text, nullptr, false);
    if (!body.is_object())
      return failure(error_code::invalid_argument,
                     s.file + ": is no JSON object; expected {\"agent\": …, \"dataset\": …}");
  }
  const auto put = [&](const char* name, const std::string& value) {
    if (!value.empty()) body[name] = value;
  };
  put("agent", s.agent);
  put("user_id", s.user);
  put("idempotency_key", s.key);
  if (s.dataset.find("://") != std::string::npos)
    put("dataset", s.dataset);
  else if (!s.dataset.empty())  // a path here is a path there: the node reads it itself
    put("dataset", "file://" + std::filesystem::absolute(s.dataset).lexically_normal().string());
  if (s.priority) body["priority"] = s.priority;
  if (!s.params.empty()) {
    auto params = parse_params(s.params);
    if (!params) return failure(params.error());
    body["params"].update(*params);  // over what the file says
  }
  if (!body.contains("agent") || !body.contains("dataset"))
    return failure(error_code::invalid_argument,
                   "a submission needs an agent and a dataset: horizons submit --agent image-reconstruction --dataset "
                   "FILE, or a JSON file");
  return body;
}

/// Through a broker: the job's id is made here, so that it can be watched.
int submit_via(const client_options& o, const submit_options& s, json body) {
  const auto config = load_configuration(sources_of(o));
  if (!config) {
    std::cerr << config.error().text << '\n';
    return bad_arguments;
  }
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto id = shown(body, "job_id").empty() ? make_ulid(now) : shown(body, "job_id");
  body["job_id"] = id;
  const auto sent =
      bridges::publish_submission(config->config, s.via, id, body.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!sent) {
    std::cerr << "submitting via " << s.via << ": " << sent.error().text << '\n';
    return sent.error().code == error_code::invalid_argument ? bad_arguments : failed;
  }
  if (o.json)
    std::cout << json{{"job_id", id}, {"via", s.via}}.dump() << '\n';
  else
    std::cout << "job " << id << "  sent to " << s.via << '\n';
  if (s.wait) return follow(client_of(o), id, std::cout, o.json);
  if (!o.json) std::cout << "watch it: horizons job " << id << " --follow\n";
  return done;
}

int submit(const client_options& o, const submit_options& s) {
  auto body = submission_of(s);
  if (!body) {
    std::cerr << body.error().text << '\n';
    return bad_arguments;
  }
  if (s.via != "http") return submit_via(o, s, std::move(*body));
  const auto c = client_of(o);
  const auto a = c.ask("POST", "/api/jobs", body->dump(-1, ' ', false, json::error_handler_t::replace));
  if (!a || a->status / 100 != 2) return report(a, "submitting", std::cerr);
  const auto job = object_of(*a);
  if (!job) return report(failure(job.error()), "submitting", std::cerr);
  const auto id = shown(*job, "job_id");
  if (o.json)
    std::cout << a->body << '\n';
  else
    std::cout << "job " << id << "  " << shown(*job, "status") << (a->status == 200 ? "  (was there before)" : "")
              << '\n';
  if (s.wait) return follow(c, id, std::cout, o.json);
  if (!o.json) std::cout << "watch it: horizons job " << id << " --follow\n";
  return done;
}

// -- looking ----------------------------------------------------------------------------------------------------

int list_jobs(const client_options& o, const std::string& status, const std::string& user) {
  const auto c = client_of(o);
  table rows({"JOB", "AGENT", "STATUS", "", "USER", "SUBMITTED"});
  std::string token;
  do {
    std::string path = "/api/jobs?page_size=500";
    if (!status.empty()) path += "&status=" + escaped(status);
    if (!user.empty()) path += "&user=" + escaped(user);
    if (!token.empty()) path += "&page_token=" + escaped(token);
    const auto a = c.ask("GET", path);
    if (!a || a->status / 100 != 2) return report(a, "listing jobs", std::cerr);
    const auto page = object_of(*a);
    if (!page) return report(failure(page.error()), "listing jobs", std::cerr);
    for (const auto& job : page->value("jobs", json::array())) {
      if (o.json)
        std::cout << job.dump() << '\n';
      else
        rows.add({shown(job, "job_id"), shown(job, "agent"), shown(job, "status"), percent(job), shown(job, "user_id"),
                  shown(job, "submitted_at")});
    }
    const auto next = shown(*page, "next_page_token");
    token = next == token ? "" : next;
  } while (!token.empty() && rows.size() < 100'000);
  if (o.json) return done;
  if (rows.size() == 0)
    std::cout << "no jobs"
              << (status.empty() && user.empty()
                      ? "; submit one with: horizons submit --agent image-reconstruction --dataset FILE"
                      : " like that")
              << '\n';
  else
    rows.print(std::cout);
  return done;
}

int show_job(const client_options& o, const std::string& id, bool follow_it) {
  const int shown_status = ask_and_show(o, "job " + id, "GET", "/api/jobs/" + escaped(id), "", [&](const json& job) {
    table rows({"job", shown(job, "job_id")});
    for (const char* name : {"status", "progress", "agent", "dataset", "user_id", "tenant", "priority", "attempt",
                             "reason", "waiting_for", "submitted_at", "started_at", "finished_at"})
      if (const auto text = std::string_view(name) == "progress" ? percent(job) : shown(job, name); !text.empty())
        rows.add({name, text});
    if (const auto error = job.find("error"); error != job.end() && error->is_object())
      rows.add({"error", shown(*error, "title") + ": " + shown(*error, "detail")});
    if (const auto params = job.find("params"); params != job.end() && !params->empty())
      rows.add({"params", params->dump()});
    for (const auto& name : job.value("results", json::array()))
      rows.add({"result",
                name.is_string() ? o.node + "/api/jobs/" + id + "/results/" + name.get<std::string>() : name.dump()});
    rows.print(std::cout);
  });
  return shown_status == done && follow_it ? follow(client_of(o), id, std::cout, o.json) : shown_status;
}

int order(const client_options& o, const std::string& what, const std::string& id, const std::string& reason) {
  const std::string body =
      reason.empty() ? "{}" : json{{"reason", reason}}.dump(-1, ' ', false, json::error_handler_t::replace);
  return ask_and_show(o, what + " job " + id, "POST", "/api/jobs/" + escaped(id) + "/" + what, body,
                      [&](const json& job) { std::cout << "job " << id << "  " << shown(job, "status") << '\n'; });
}

int list_events(const client_options& o, const std::string& job, const std::string& type, const std::string& from,
                const std::string& to) {
  std::string path = "/api/events/replay?";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) path += std::string(name) + "=" + escaped(value) + "&";
  };
  add("job_id", job);
  add("type", type);
  add("start", from);
  add("end", to);
  const auto a = client_of(o).lines(
      path,
      [&](std::string_view line) {
        const auto e = json::parse(line, nullptr, false);
        if (o.json || !e.is_object())
          std::cout << line << '\n';
        else
          std::cout << shown(e, "timestamp") << "  " << shown(e, "job_id") << "  " << shown(e, "event_type") << "  "
                    << e.value("data", json::object()).dump() << '\n';
        return !std::cout.fail();
      },
      [] { return true; });
  return a && a->status / 100 == 2 ? done : report(a, "reading events", std::cerr);
}

int check_config(const client_options& o, const std::string& file) {
  auto sources = sources_of(o);
  sources.file = file;
  const auto loaded = load_configuration(sources);
  if (!loaded) {
    std::cerr << loaded.error().text << '\n';
    return failed;
  }
  for (const auto& warning : loaded->warnings) std::cerr << "warning: " << warning << '\n';
  for (const auto& line : unsupported(loaded->config)) std::cerr << "warning: " << line << '\n';
  std::cout << describe(loaded->config);
  return done;
}

}  // namespace

config_sources sources_of(const client_options& o) {
  config_sources sources{.file = std::nullopt, .environment = horizons_environment(), .set = o.set};
  if (o.config) sources.file = *o.config;
  return sources;
}

result<json> parse_params(const std::vector<std::string>& params) {
  auto parsed = json::object();
  for (const auto& param : params) {
    const auto equals = param.find('=');
    if (equals == std::string::npos || equals == 0)
      return failure(error_code::invalid_argument, "--param " + quote(param) + ": expected name=value");
    const auto text = param.substr(equals + 1);
    auto value = json::parse(text, nullptr, false);  // 4, 0.5, true, [1, 2]; anything else is a text
    parsed[param.substr(0, equals)] = value.is_discarded() ? json(text) : value;
  }
  return parsed;
}

void add_global_options(CLI::App& app, client_options& o) {
  app.add_option("--node", o.node, "The node to talk to")->envname("HORIZONS_NODE")->capture_default_str();
  app.add_flag("--json", o.json, "Output for programs");
  app.add_option("--token", o.token, "Proof of identity; by itself the token of <data_dir> is used");
  app.add_option("--config", o.config, "Configuration file, TOML");
  app.add_option("--set", o.set, "section.key=value, instead of what the file says; repeatable")->take_all();
  app.fallthrough();  // `horizons jobs --json` as well as `horizons --json jobs`
}

void add_client_commands(CLI::App& app, client_options& o, int& exit_status) {
  const auto command = [&](const std::string& name, const std::string& doc) {
    auto* sub = app.add_subcommand(name, doc);
    sub->fallthrough();
    return sub;
  };
  auto* submit_command = command("submit", "Submit a job");
  auto s = std::make_shared<submit_options>();
  submit_command->add_option("file", s->file, "Submission in JSON; - is standard input");
  submit_command->add_option("--agent", s->agent, "Which agent runs it");
  submit_command->add_option("--dataset", s->dataset, "URI of the observation, or a path");
  submit_command->add_option("--param", s->params, "name=value, of the agent; repeatable")
      ->take_all()
      ->allow_extra_args(false);
  submit_command->add_option("--priority", s->priority, "1 (highest) to 5")->check(CLI::Range(1, 5));
  submit_command->add_option("--user", s->user, "A label in open mode");
  submit_command->add_option("--idempotency-key", s->key, "The same key gives the same job");
  submit_command->add_option("--via", s->via, "http, kafka or rabbitmq: which door; brokers as configured")
      ->check(CLI::IsMember({"http", "kafka", "rabbitmq"}))
      ->capture_default_str();
  submit_command->add_flag("--wait", s->wait, "Show progress until the job ends");
  submit_command->callback([&o, &exit_status, s] { exit_status = submit(o, *s); });

  struct words {
    std::string a, b, c, d;
    bool flag = false;
  };
  const auto texts = [] { return std::make_shared<words>(); };

  auto* jobs = command("jobs", "List jobs");
  auto w = texts();
  jobs->add_option("--status", w->a, "Only with this status");
  jobs->add_option("--user", w->b, "Only this user's");
  jobs->callback([&o, &exit_status, w] { exit_status = list_jobs(o, w->a, w->b); });

  auto* job = command("job", "Show a job");
  w = texts();
  job->add_option("id", w->a, "Job id")->required();
  job->add_flag("--follow", w->flag, "Show progress until it ends");
  job->callback([&o, &exit_status, w] { exit_status = show_job(o, w->a, w->flag); });

  for (const std::string what : {"cancel", "pause", "resume", "retry"}) {
    auto* sub = command(what, static_cast<char>(what[0] - 32) + what.substr(1) + " a job");
    w = texts();
    sub->add_option("id", w->a, "Job id")->required();
    sub->add_option("--reason", w->b, "Why; it stands in the job's events");
    sub->callback([&o, &exit_status, w, what] { exit_status = order(o, what, w->a, w->b); });
  }

  auto* events = command("events", "Show what happened");
  w = texts();
  events->add_option("--job", w->a, "Only this job's");
  events->add_option("--type", w->b, "Only this type, like job.completed");
  events->add_option("--from", w->c, "Inclusive: RFC 3339 or a date");
  events->add_option("--to", w->d, "Exclusive; a date means the end of that day");
  events->callback([&o, &exit_status, w] { exit_status = list_events(o, w->a, w->b, w->c, w->d); });

  auto* tree = command("tree", "Draw the supervision tree");
  tree->callback([&o, &exit_status] {
    exit_status =
        ask_and_show(o, "the tree", "GET", "/api/tree", "", [](const json& root) { std::cout << draw_tree(root); });
  });

  add_bridge_commands(app, o, exit_status);
  add_actor_commands(app, o, exit_status);

  auto* config = command("config", "Configuration");
  config->require_subcommand(1);
  auto* check = config->add_subcommand("check", "Check a file and show what it amounts to");
  check->fallthrough();
  w = texts();
  check->add_option("file", w->a, "TOML file")->required();
  check->callback([&o, &exit_status, w] { exit_status = check_config(o, w->a); });
}

int run(CLI::App& app, int argc, const char* const* argv, const int& exit_status) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? done : bad_arguments;
  }
  return exit_status;
}

}  // namespace horizons::cli
