#include "gateways/cli/schema_commands.hpp"

#include <iostream>

#include "gateways/cli/asking.hpp"
#include "gateways/registry/schema_commands.hpp"

namespace horizons::cli {

namespace {

struct schema_options {
  std::string folder = "docs/schemas/avro", mode = "FULL_TRANSITIVE", registry;
};

int check_schemas(const schema_options& o, bool as_json) {
  auto mode = avro::parse_compatibility_mode(o.mode);
  if (!mode) return fail(mode.error());
  auto report = registry::schema_check(o.folder, *mode);
  if (!report) return fail(report.error());
  std::cout << (as_json ? report->json_text() : report->text()) << '\n';
  return report->good() ? 0 : 1;
}

int register_schemas(const schema_options& o, const client_options& options) {
  auto mode = avro::parse_compatibility_mode(o.mode);
  if (!mode) return fail(mode.error());
  registry::registry_options where;
  where.url = o.registry;
  if (where.url.empty()) {
    auto config = read_configuration(options);
    if (!config) return fail(config.error());
    if (config->kafka) where.url = config->kafka->registry;
  }
  if (where.url.empty())
    return fail({error_code::invalid_argument,
                 "no registry is named; give --registry http://host:port/apis/ccompat/v7, or kafka.registry in the "
                 "configuration"});
  registry::registry_client client(where);
  auto report = registry::schema_register(client, *mode);
  if (!report) return fail(report.error());
  std::cout << (options.json ? report->json_text() : report->text()) << '\n';
  return report->good() ? 0 : 1;
}

}  // namespace

void add_schema_commands(CLI::App& app, client_options& o, int& exit_status) {
  auto s = std::make_shared<schema_options>();
  auto* schema = app.add_subcommand("schema", "the Avro schemas of the messages")->fallthrough();
  schema->require_subcommand(1);
  auto* check = schema->add_subcommand("check", "compare today's schemas with their committed history")->fallthrough();
  check->add_option("--history", s->folder, "folder of <type>/<version>.avsc")->capture_default_str();
  auto* enroll = schema->add_subcommand("register", "register every schema at a schema registry")->fallthrough();
  enroll->add_option("--registry", s->registry, "address of the registry; default: kafka.registry of the configuration")
      ->envname("HORIZONS_KAFKA_REGISTRY");
  for (auto* command : {check, enroll})
    command->add_option("--mode", s->mode, "NONE, BACKWARD, FORWARD, FULL, or one of them with _TRANSITIVE")
        ->capture_default_str();
  check->callback([&o, &exit_status, s] { exit_status = check_schemas(*s, o.json); });
  enroll->callback([&o, &exit_status, s] { exit_status = register_schemas(*s, o); });
}

}  // namespace horizons::cli
