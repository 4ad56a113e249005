// Replays the committed fuzzing corpora through the functions that the fuzzers call.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fuzz/messages_targets.hpp"

namespace horizons {
namespace {

using target = void (*)(std::string_view);

class fuzz_corpus : public ::testing::TestWithParam<std::pair<const char*, target>> {};

TEST_P(fuzz_corpus, replays_without_a_finding) {
  const auto& [name, run] = GetParam();
  const auto folder = std::filesystem::path(HORIZONS_SOURCE_DIR) / "tests/fuzz/corpus" / name;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().filename().string());
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    const std::string input = text.str();
    run(input);  // aborts when a property breaks
    // The same input cut short and with single bytes changed: cheap neighbours of every seed.
    for (std::size_t i = 0; i < input.size(); i += 1 + input.size() / 64) {
      run(std::string_view(input).substr(0, i));
      std::string changed = input;
      changed[i] = static_cast<char>(changed[i] ^ 0x81);
      run(changed);
    }
    ++files;
  }
  EXPECT_GE(files, 5) << folder;
}

INSTANTIATE_TEST_SUITE_P(
    all, fuzz_corpus,
    ::testing::Values(std::pair{"json_event", &fuzz::json_event}, std::pair{"json_command", &fuzz::json_command},
                      std::pair{"msgpack_event", &fuzz::msgpack_event}, std::pair{"cloudevents", &fuzz::cloudevents},
                      std::pair{"envelope", &fuzz::envelope}, std::pair{"traceparent", &fuzz::traceparent}),
    [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace horizons
