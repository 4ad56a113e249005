#include "gateways/cli/bridge_commands.hpp"

#include <iostream>

#include "gateways/cli/asking.hpp"
#include "gateways/cli/table.hpp"
#include "gateways/kafka/configured.hpp"
#include "gateways/kafka/topics.hpp"

namespace horizons::cli {
namespace {

struct letter_filter {
  std::string bridge, job, type, reason, state, from, to;
  int limit = 100;

  std::string query() const {
    std::string text = "?page_size=" + std::to_string(limit);
    const auto add = [&](const char* name, const std::string& value) {
      if (!value.empty()) text += std::string("&") + name + "=" + escaped(value);
    };
    add("bridge", bridge);
    add("job_id", job);
    add("type", type);
    add("reason", reason);
    add("state", state);
    add("start", from);
    add("end", to);
    return text;
  }
};

void add_filter(CLI::App& to, const std::shared_ptr<letter_filter>& f) {
  to.add_option("--bridge", f->bridge, "kafka or rabbitmq");
  to.add_option("--job", f->job, "Only this job's");
  to.add_option("--type", f->type, "Only this command or event type");
  to.add_option("--reason", f->reason, "Only of this reason, like poison or conflict");
  to.add_option("--state", f->state, "open, replayed or parked");
  to.add_option("--from", f->from, "Failed at or after: RFC 3339 or a date");
  to.add_option("--to", f->to, "Exclusive; a date means the end of that day");
  to.add_option("--limit", f->limit, "At most so many")->check(CLI::Range(1, 10'000))->capture_default_str();
}

int list(const client_options& o, const letter_filter& f) {
  return ask_and_show(o, "listing dead letters", "GET", "/api/dlq" + f.query(), "", [](const json& page) {
    table rows({"ID", "REASON", "STATE", "REPLAYS", "JOB", "FAILED", "ERROR"});
    for (const auto& letter : page.value("dead_letters", json::array()))
      rows.add({shown(letter, "id"), shown(letter, "reason"), shown(letter, "state"), shown(letter, "replays"),
                shown(letter, "job_id"), shown(letter, "last_failed_at"), shown(letter, "error")});
    if (rows.size() == 0)
      std::cout << "no dead letters\n";
    else
      rows.print(std::cout);
  });
}

int show(const client_options& o, const std::string& id) {
  return ask_and_show(o, "dead letter " + id, "GET", "/api/dlq/" + escaped(id), "", [](const json& letter) {
    table rows({"dead letter", shown(letter, "id")});
    for (const char* name : {"bridge", "origin", "reason", "error", "state", "attempts", "replays", "first_failed_at",
                             "last_failed_at", "job_id", "type", "traceparent", "key", "key_base64"})
      if (const auto text = shown(letter, name); !text.empty()) rows.add({name, text});
    for (const auto& header : letter.value("headers", json::array()))
      rows.add({"header", shown(header, "name") + ": " + shown(header, "value") + shown(header, "value_base64")});
    rows.print(std::cout);
    std::cout << '\n' << shown(letter, "value") << shown(letter, "value_base64") << '\n';
  });
}

struct replay_choice {
  std::string id;
  bool all = false, dry_run = false;
  double rate = 100;
  int replays_max = 3;
};

int replay(const client_options& o, const replay_choice& c, const letter_filter& f) {
  if (c.id.empty() != c.all) {
    std::cerr
        << "name one dead letter, or --all with a filter: horizons dlq replay ID, horizons dlq replay --all --job "
           "JOB\n";
    return bad_arguments;
  }
  const auto path = c.all ? "/api/dlq/replay" + f.query() : "/api/dlq/" + escaped(c.id) + "/replay";
  const json body = {{"dry_run", c.dry_run}, {"rate_per_s", c.rate}, {"replays_max", c.replays_max}};
  return ask_and_show(o, "replaying", "POST", path, body.dump(), [&](const json& report) {
    std::cout << shown(report, "matched") << " matched, " << shown(report, "replayed")
              << (c.dry_run ? " would be replayed, " : " replayed, ") << shown(report, "skipped") << " skipped\n";
    for (const auto& note : report.value("notes", json::array())) std::cout << note.get<std::string>() << '\n';
  });
}

int park(const client_options& o, const std::string& id) {
  return ask_and_show(o, "parking", "POST", "/api/dlq/" + escaped(id) + "/park", "{}",
                      [&](const json&) { std::cout << id << "  parked\n"; });
}

int adopt(const client_options& o, const std::string& from) {
  return ask_and_show(o, "adopting", "POST", "/api/bridges/kafka/adopt", json{{"from", from}}.dump(),
                      [](const json& done) {
                        const auto partitions = done.value("partitions", json::array());
                        for (const auto& partition : partitions) std::cout << partition.get<std::string>() << '\n';
                      });
}

// -- topics: asks the brokers, not a node --------------------------------------------------------------------------

int topics(const client_options& o, bool apply) {
  const auto loaded = load_configuration(sources_of(o));
  if (!loaded) {
    std::cerr << loaded.error().text << '\n';
    return bad_arguments;
  }
  if (!loaded->config.kafka) {
    std::cerr << "[kafka] is not configured; name a file with --config, or --set kafka.brokers=host:9092\n";
    return bad_arguments;
  }
  const auto options = kafka::options_from(*loaded->config.kafka, "topics");
  if (!options) {
    std::cerr << options.error().text << '\n';
    return bad_arguments;
  }
  const auto report = apply ? kafka::topics_apply(*options) : kafka::topics_check(*options);
  if (!report) {
    std::cerr << "topics: " << report.error().text << '\n';
    return report.error().code == error_code::unavailable ? unreachable : failed;
  }
  std::cout << (o.json ? report->json_text() + "\n" : report->text());
  return report->good() ? done : failed;
}

}  // namespace

void add_bridge_commands(CLI::App& app, client_options& o, int& exit_status) {
  auto* dlq = app.add_subcommand("dlq", "Messages that could not be processed")->fallthrough();
  dlq->require_subcommand(1);

  auto f = std::make_shared<letter_filter>();
  auto* list_command = dlq->add_subcommand("list", "List them")->fallthrough();
  add_filter(*list_command, f);
  list_command->callback([&o, &exit_status, f] { exit_status = list(o, *f); });

  auto id = std::make_shared<std::string>();
  auto* show_command = dlq->add_subcommand("show", "Show one, with its bytes and headers")->fallthrough();
  show_command->add_option("id", *id, "As in the list")->required();
  show_command->callback([&o, &exit_status, id] { exit_status = show(o, *id); });

  auto chosen = std::make_shared<replay_choice>();
  auto filter = std::make_shared<letter_filter>();
  auto* replay_command = dlq->add_subcommand("replay", "Send them back where they came from")->fallthrough();
  replay_command->add_option("id", chosen->id, "As in the list");
  replay_command->add_flag("--all", chosen->all, "All that match the filter");
  replay_command->add_flag("--dry-run", chosen->dry_run, "Only say what would be done");
  replay_command->add_option("--rate", chosen->rate, "At most so many per second")->capture_default_str();
  replay_command->add_option("--replays-max", chosen->replays_max, "Leave what came back as often")
      ->capture_default_str();
  add_filter(*replay_command, filter);
  replay_command->callback([&o, &exit_status, chosen, filter] { exit_status = replay(o, *chosen, *filter); });

  auto parked = std::make_shared<std::string>();
  auto* park_command = dlq->add_subcommand("park", "Keep one from any further replay")->fallthrough();
  park_command->add_option("id", *parked, "As in the list")->required();
  park_command->callback([&o, &exit_status, parked] { exit_status = park(o, *parked); });

  auto* topics_command = app.add_subcommand("topics", "The Kafka topics of the catalogue")->fallthrough();
  topics_command->require_subcommand(1);
  topics_command->add_subcommand("check", "Compare them with what the brokers have")
      ->fallthrough()
      ->callback([&o, &exit_status] { exit_status = topics(o, false); });
  topics_command->add_subcommand("apply", "Create what is missing, set what differs")
      ->fallthrough()
      ->callback([&o, &exit_status] { exit_status = topics(o, true); });

  auto* bridge = app.add_subcommand("bridge", "The bridges to brokers")->fallthrough();
  bridge->require_subcommand(1);
  auto from = std::make_shared<std::string>();
  auto* adopt_command =
      bridge->add_subcommand("adopt", "Take the Kafka partitions over that another journal has committed")
          ->fallthrough();
  adopt_command->add_option("--from", *from, "committed, earliest or a time (RFC 3339)")->required();
  adopt_command->callback([&o, &exit_status, from] { exit_status = adopt(o, *from); });
}

}  // namespace horizons::cli
