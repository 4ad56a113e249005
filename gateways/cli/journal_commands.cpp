#include "gateways/cli/journal_commands.hpp"

#include <iostream>
#include <optional>

#include "gateways/cli/asking.hpp"
#include "gateways/cli/follow.hpp"
#include "gateways/kafka/avro_events.hpp"
#include "gateways/kafka/configured.hpp"
#include "gateways/kafka/replay.hpp"
#include "messages/codec/json.hpp"
#include "runtime/journal/journal.hpp"

namespace horizons::cli {

namespace {

using namespace std::chrono_literals;

struct replay_choice {
  std::string job, type, start, end, to, from_topic;
};

std::string replay_path(const replay_choice& c) {
  std::string path = "/api/events/replay?";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) path += std::string(name) + "=" + escaped(value) + "&";
  };
  add("job_id", c.job);
  add("type", c.type);
  add("start", c.start);
  add("end", c.end);
  return path;
}

/// All events that are asked for, page by page, from a node's journal; `take` false ends it.
int read_from_node(const client_options& o, const replay_choice& c, const std::function<bool(event&&)>& take) {
  std::optional<error> wrong;
  const auto a = client_of(o).lines(
      replay_path(c),
      [&](std::string_view line) {
        auto e = event_from_json(line);
        if (!e) wrong = e.error();
        return e && take(std::move(*e));
      },
      [] { return true; });
  if (!a || a->status / 100 != 2) return report(a, "reading events", std::cerr);
  return wrong ? fail(*wrong) : done;
}

result<kafka::kafka_options> kafka_of(const client_options& o) {
  auto config = read_configuration(o);
  if (!config) return failure(config.error());
  if (!config->kafka)
    return failure(error_code::invalid_argument,
                   "[kafka] is not configured; name a file with --config, or --set kafka.brokers=host:9092");
  return kafka::options_from(*config->kafka, "replay");
}

/// From the topic, by the records' times.
int read_from_topic(const client_options& o, const replay_choice& c, const std::function<bool(event&&)>& take) {
  auto options = kafka_of(o);
  if (!options) return fail(options.error());
  kafka::topic_query query{.kafka = *options, .topic = c.from_topic, .job_id = c.job, .type = c.type};
  for (auto [text, to] : {std::pair{&c.start, &query.start}, std::pair{&c.end, &query.end}})
    if (!text->empty()) {
      auto t = parse_timestamp(text->size() == 10 ? *text + "T00:00:00Z" : *text);
      if (!t) return fail({error_code::invalid_argument, t.error().text});
      *to = *t + (text == &c.end && text->size() == 10 ? 24h : 0h);
    }
  auto avro = options->registry.empty() ? nullptr : kafka::registered_decoder(options->registry);
  auto report =
      kafka::read_topic_events(query, avro, [&](event&& e, const kafka::stored_record&) { return take(std::move(e)); });
  if (!report) return fail(report.error());
  if (report->unreadable > 0)
    std::cerr << report->unreadable << " records of " << c.from_topic << " are no events and were left out\n";
  return done;
}

int read_events(const client_options& o, const replay_choice& c, const std::function<bool(event&&)>& take) {
  return c.from_topic.empty() ? read_from_node(o, c, take) : read_from_topic(o, c, take);
}

int replay_to_topic(const client_options& o, const replay_choice& c) {
  auto options = kafka_of(o);
  if (!options) return fail(options.error());
  std::vector<event> all;  // one command's worth; a topic's own tools copy whole topics
  constexpr std::size_t events_max = 1'000'000;
  if (auto status = read_events(o, c, [&](event&& e) {
        all.push_back(std::move(e));
        return all.size() <= events_max;
      }))
    return status;
  if (all.size() > events_max)
    return fail({error_code::invalid_argument, "more than 1000000 events; narrow --start and --end"});
  kafka::publish_options publish{.kafka = *options, .topic = c.to, .node = "replay"};
  if (!options->registry.empty()) publish.schema_id = kafka::registered_ids(options->registry);
  std::size_t at = 0;
  auto report = kafka::publish_events(publish, [&]() -> result<std::vector<event>> {
    const auto n = std::min<std::size_t>(all.size() - at, 1'000);
    std::vector<event> page(std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(at)),
                            std::make_move_iterator(all.begin() + static_cast<std::ptrdiff_t>(at + n)));
    at += n;
    return page;
  });
  if (!report) return fail(report.error());
  for (auto& note : report->notes) std::cerr << note << '\n';
  if (o.json)
    std::cout << json{{"events", report->events}, {"refused", report->refused}, {"topic", c.to}}.dump() << '\n';
  else
    std::cout << report->events << " events sent to " << c.to << '\n';
  return report->refused == 0 ? done : failed;
}

/// Folds a job's events anew and compares the outcome with what the node says of the job.
int replay_to_state(const client_options& o, const replay_choice& c, const job_rebuild& rebuild) {
  if (c.job.empty()) return fail({error_code::invalid_argument, "--to state needs --job ID: the state of which job?"});
  std::size_t events = 0;
  if (auto status = read_events(o, c, [&](event&& e) {
        rebuild.apply(e);
        ++events;
        return true;
      }))
    return status;
  auto here = rebuild.view();
  if (here.is_null()) return fail({error_code::not_found, "there is no event of job " + c.job});
  const auto a = client_of(o).ask("GET", "/api/jobs/" + escaped(c.job));
  if (!a || a->status / 100 != 2) return report(a, "job " + c.job, std::cerr);
  auto there = json::parse(a->body, nullptr, false);
  for (auto* view : {&here, &there}) view->erase("waiting_for");  // of this moment, not of the events
  const auto differences = json::diff(here, there);
  if (o.json)
    std::cout << json{{"job", here}, {"events", events}, {"differences", differences}}.dump() << '\n';
  else if (differences.empty())
    std::cout << "job " << c.job << ": " << events
              << " events give the state the node has: " << here["status"].get<std::string>() << '\n';
  else
    std::cout << "job " << c.job << ": the events give another state than the node has:\n"
              << differences.dump(2) << '\n';
  return differences.empty() ? done : failed;
}

int run_replay(const client_options& o, const replay_choice& c, const job_rebuild& rebuild) {
  if (c.to == "state") return replay_to_state(o, c, rebuild);
  if (!c.to.empty()) return replay_to_topic(o, c);
  return read_events(o, c, [](event&& e) {
    std::cout << to_json(e) << '\n';
    return !std::cout.fail();
  });
}

int verify_audit(const client_options& o) {
  auto config = read_configuration(o);
  if (!config) return fail(config.error());
  auto store = journal::open_reader(config->journal.url);
  if (!store) return fail(store.error());
  auto checked = (*store)->verify([](std::uint64_t) { return true; });
  if (!checked) return fail(checked.error());
  if (o.json)
    std::cout << json{{"checked", *checked}, {"intact", true}}.dump() << '\n';
  else
    std::cout << "journal " << (*store)->id() << ": " << *checked << " events, the chain is intact\n";
  return 0;
}

}  // namespace

void add_journal_commands(CLI::App& app, client_options& o, job_rebuild rebuild, int& exit_status) {
  auto c = std::make_shared<replay_choice>();
  auto* replay =
      app.add_subcommand("replay", "Events once more: to standard output, a topic, or a job's state")->fallthrough();
  replay->add_option("--job", c->job, "Only this job's");
  replay->add_option("--type", c->type, "Only this type, like job.completed");
  replay->add_option("--start,--from", c->start, "Inclusive: RFC 3339 or a date");
  replay->add_option("--end,--until", c->end, "Exclusive; a date means the end of that day");
  replay->add_option("--from-topic", c->from_topic, "Read this Kafka topic instead of the node's journal");
  replay->add_option("--to", c->to, "A topic; or \"state\": rebuild the job and compare it with the node's");
  replay->callback([&o, &exit_status, c, rebuild = std::move(rebuild)] { exit_status = run_replay(o, *c, rebuild); });

  auto* audit = app.add_subcommand("audit", "the journal's hash chain")->fallthrough();
  audit->require_subcommand(1);
  audit->add_subcommand("verify", "walk the chain; works beside a running node")
      ->fallthrough()
      ->callback([&o, &exit_status] { exit_status = verify_audit(o); });
}

}  // namespace horizons::cli
