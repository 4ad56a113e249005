#include "messages/schema/check.hpp"

#include <algorithm>

namespace horizons {

std::string schema_problem::text() const {
  return type + (version == 0 ? "" : " " + std::to_string(version)) +
         (against == 0 ? "" : " against " + std::to_string(against)) + ": " + (path.empty() ? "" : path + ": ") + rule +
         ": " + detail;
}

namespace {

void check_one(const avro::message_schema& now, const std::vector<committed_schema>& committed,
               avro::compatibility_mode mode, std::vector<schema_problem>& problems) {
  auto problem = [&](int against, std::string rule, std::string detail) {
    problems.push_back({now.type, now.version, against, "", std::move(rule), std::move(detail)});
  };
  std::vector<avro::schema> older;
  std::vector<int> versions;
  bool found = false;
  for (const auto& c : committed) {
    if (c.version > now.version) problem(c.version, "version_went_back", "a later version is committed already");
    if (c.version == now.version) {
      found = true;
      if (c.text != now.text)
        problem(c.version, "changed_in_place",
                c.schema.canonical() == now.schema.canonical()
                    ? "defaults or words differ from the committed file; write it again"
                    : "the committed version looks different; raise the version in the description");
    }
    if (c.version < now.version) {
      older.push_back(c.schema);
      versions.push_back(c.version);
    }
  }
  if (!found) problem(0, "not_committed", "this version is not in the history; write it and commit it");
  for (auto& f : avro::check_against(older, now.schema, mode))
    problems.push_back({now.type, now.version, versions[f.version], std::move(f.what.path),
                        std::string(avro::to_string(f.what.rule)),
                        (f.candidate_reads ? "cannot read version " + std::to_string(versions[f.version])
                                           : "version " + std::to_string(versions[f.version]) + " cannot read it") +
                            ": " + f.what.detail});
}

}  // namespace

std::vector<schema_problem> check_schemas(const schema_history& history, avro::compatibility_mode mode,
                                          std::span<const avro::message_schema> current) {
  std::vector<schema_problem> problems;
  for (const auto& now : current) {
    static const std::vector<committed_schema> none;
    const auto committed = history.find(now.type);
    check_one(now, committed == history.end() ? none : committed->second, mode, problems);
  }
  for (const auto& [type, versions] : history)
    if (std::none_of(current.begin(), current.end(), [&, name = type](const auto& s) { return s.type == name; }))
      problems.push_back(
          {type, 0, versions.back().version, "", "type_removed", "it was committed and is no message any more"});
  return problems;
}

}  // namespace horizons
