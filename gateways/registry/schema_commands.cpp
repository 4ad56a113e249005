#include "gateways/registry/schema_commands.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "messages/schema/history.hpp"

namespace horizons::registry {

std::string schema_check_report::text() const {
  std::string out;
  for (const auto& p : problems) out += p.text() + "\n";
  return out + std::to_string(schemas) + " schemas, " + std::to_string(versions) + " committed versions, " +
         std::string(avro::to_string(mode)) + ": " +
         (good() ? "compatible" : std::to_string(problems.size()) + (problems.size() == 1 ? " problem" : " problems")) +
         "\n";
}

std::string schema_check_report::json_text() const {
  auto list = nlohmann::json::array();
  for (const auto& p : problems)
    list.push_back({{"type", p.type},
                    {"version", p.version},
                    {"against", p.against},
                    {"path", p.path},
                    {"rule", p.rule},
                    {"detail", p.detail}});
  return nlohmann::json{
      {"schemas", schemas}, {"versions", versions}, {"mode", avro::to_string(mode)}, {"problems", list}}
      .dump();
}

result<schema_check_report> schema_check(const std::filesystem::path& folder, avro::compatibility_mode mode) {
  auto history = load_schema_history(folder);
  if (!history) return failure(std::move(history.error()));
  schema_check_report report;
  report.mode = mode;
  report.schemas = static_cast<int>(avro::message_schemas().size());
  for (const auto& [type, versions] : *history) report.versions += static_cast<int>(versions.size());
  report.problems = check_schemas(*history, mode);
  return report;
}

bool schema_register_report::good() const {
  return std::all_of(rows.begin(), rows.end(), [](const row& r) { return r.id != 0; });
}

std::string schema_register_report::text() const {
  std::size_t width = 0;
  for (const auto& r : rows) width = std::max(width, r.subject.size());
  std::string out;
  for (const auto& r : rows)
    out += r.subject + std::string(width - r.subject.size() + 2, ' ') +
           (r.id != 0 ? "id " + std::to_string(r.id) : "refused: " + r.refusal) + "\n";
  return out;
}

std::string schema_register_report::json_text() const {
  auto list = nlohmann::json::array();
  for (const auto& r : rows) {
    nlohmann::json one{{"type", r.type}, {"subject", r.subject}};
    if (r.id != 0) one["id"] = r.id;
    if (r.id == 0) one["refusal"] = r.refusal;
    list.push_back(std::move(one));
  }
  return nlohmann::json{{"schemas", list}}.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string subject_of(const avro::message_schema& schema) { return schema.schema.root().name; }

result<schema_register_report> schema_register(registry_client& registry, avro::compatibility_mode mode) {
  schema_register_report report;
  for (const auto& s : avro::message_schemas()) {
    schema_register_report::row row{s.type, subject_of(s)};
    auto id = registry.register_schema(row.subject, s.text);
    if (id) {
      row.id = *id;
      // After the first version: some registries keep rules only of subjects that exist.
      if (auto set = registry.set_mode(mode, row.subject); !set) return failure(std::move(set.error()));
    } else if (id.error().code == error_code::conflict || id.error().code == error_code::invalid_argument) {
      row.refusal = id.error().text;
    } else {
      return failure(std::move(id.error()));
    }
    report.rows.push_back(std::move(row));
  }
  return report;
}

}  // namespace horizons::registry
