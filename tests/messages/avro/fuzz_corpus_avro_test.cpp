// Replays the committed corpora of the Avro fuzzers.
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "tests/fuzz/avro_targets.hpp"

namespace horizons {
namespace {

int replay(const char* name, void (*target)(std::string_view)) {
  int files = 0;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(HORIZONS_SOURCE_DIR) / "tests/fuzz/corpus" / name)) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    target(bytes);  // aborts on a finding
    ++files;
  }
  return files;
}

TEST(avro_fuzz_corpus, replays_without_a_finding) {
  EXPECT_GT(replay("avro_schema", fuzz::avro_schema), 10);
  EXPECT_GT(replay("avro_event", fuzz::avro_event), 10);
}

}  // namespace
}  // namespace horizons
