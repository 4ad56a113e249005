// The promise to the past: today's schemas against docs/schemas/avro. HORIZONS_REGENERATE=1 writes the files of
// new versions; what was committed is never overwritten with something else.
#include "messages/schema/history.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "messages/schema/check.hpp"

namespace horizons {
namespace {

namespace fs = std::filesystem;
using avro::message_schema;

const fs::path folder = fs::path(HORIZONS_SOURCE_DIR) / "docs/schemas/avro";

TEST(schema_history, todays_schemas_are_committed_and_keep_the_promise) {
  if (std::getenv("HORIZONS_REGENERATE") != nullptr) {
    auto written = commit_schemas(folder);
    ASSERT_TRUE(written) << written.error().text;
  }
  auto history = load_schema_history(folder);
  ASSERT_TRUE(history) << history.error().text;
  EXPECT_EQ(history->size(), avro::message_schemas().size());
  for (const auto& problem : check_schemas(*history)) ADD_FAILURE() << problem.text();
}

message_schema made(const std::string& type, int version, const std::string& fields) {
  auto text = R"({"type":"record","name":"R","fields":[)" + fields + "]}";
  return {type, version, text, avro::schema::parse(text).value()};
}

committed_schema committed(const message_schema& s) { return {s.version, s.text, s.schema}; }

TEST(schema_history, says_which_field_and_which_rule) {
  const auto one = made("job.x", 1, R"({"name":"a","type":"int","default":0},{"name":"b","type":"string"})");
  const auto two = made(
      "job.x", 2, R"({"name":"a","type":"long","default":0},{"name":"b","type":"string"},{"name":"c","type":"int"})");
  const schema_history history{{"job.x", {committed(one), committed(two)}}};
  const auto problems = check_schemas(history, avro::compatibility_mode::full_transitive, std::span(&two, 1));
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].text(),
            "job.x 2 against 1: c: reader_field_missing_default_value: cannot read version 1: the writer does not send "
            "'c' and "
            "the reader has no default");
  EXPECT_EQ(problems[1].text(),
            "job.x 2 against 1: a: type_mismatch: version 1 cannot read it: the reader has int, the writer long");
  EXPECT_EQ(check_schemas(history, avro::compatibility_mode::forward, std::span(&two, 1)).size(), 1u);
}

TEST(schema_history, versions_may_not_be_forgotten_changed_or_taken_back) {
  const auto one = made("job.x", 1, R"({"name":"a","type":"int","default":0})");
  const auto changed = made("job.x", 1, R"({"name":"a","type":"int","default":1})");
  const auto two = made("job.x", 2, R"({"name":"a","type":"int","default":0})");
  auto rule_of = [](const schema_history& h, const message_schema& now) {
    auto problems = check_schemas(h, avro::compatibility_mode::full_transitive, std::span(&now, 1));
    return problems.empty() ? "" : problems[0].rule;
  };
  EXPECT_EQ(rule_of({{"job.x", {committed(one)}}}, one), "");
  EXPECT_EQ(rule_of({}, one), "not_committed");
  EXPECT_EQ(rule_of({{"job.x", {committed(one)}}}, two), "not_committed");
  EXPECT_EQ(rule_of({{"job.x", {committed(one)}}}, changed), "changed_in_place");
  EXPECT_EQ(rule_of({{"job.x", {committed(one), committed(two)}}}, one), "version_went_back");
  EXPECT_EQ(rule_of({{"job.x", {committed(one)}}, {"job.y", {committed(one)}}}, one), "type_removed");
}

TEST(schema_history, committing_writes_once_and_never_over_something_else) {
  const auto scratch = fs::temp_directory_path() / ("horizons-schemas-" + std::to_string(getpid()));
  fs::remove_all(scratch);
  EXPECT_EQ(commit_schemas(scratch).value(), static_cast<int>(avro::message_schemas().size()));
  EXPECT_EQ(commit_schemas(scratch).value(), 0);
  EXPECT_TRUE(check_schemas(load_schema_history(scratch).value()).empty());

  const auto file = scratch / "job.progress/1.avsc";
  std::ofstream(file) << R"("int")";
  auto refused = commit_schemas(scratch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_code::conflict);
  std::ofstream(file) << "{";
  auto unreadable = load_schema_history(scratch);
  ASSERT_FALSE(unreadable);
  EXPECT_NE(unreadable.error().text.find("1.avsc: schema: not JSON"), std::string::npos) << unreadable.error().text;
  fs::remove(file);
  std::ofstream(scratch / "job.progress/first.avsc") << R"("int")";
  EXPECT_FALSE(load_schema_history(scratch));
  fs::remove_all(scratch);
  EXPECT_TRUE(load_schema_history(scratch).value().empty());
}

}  // namespace
}  // namespace horizons
