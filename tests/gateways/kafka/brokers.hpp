// Real brokers for tests: those HORIZONS_KAFKA_BROKERS names (./dev services env), topics with names of their own, and
// plain reading and writing.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/producer.hpp"
#include "gateways/kafka/topic_admin.hpp"
#include "gateways/kafka/topic_reader.hpp"
#include "messages/ulid.hpp"

namespace horizons::kafka::testing {

using namespace std::chrono_literals;

inline timestamp wall_now() { return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()); }

/// A name that no other test and no earlier run has.
inline std::string unique(const std::string& what) { return what + "-" + make_ulid(wall_now()).substr(6); }

inline std::vector<std::string> split(const std::string& text, char by = ',') {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) parts.push_back(part);
  return parts;
}

/// The same brokers by their secure listeners, three ports higher; `home`: where ./dev services keeps them.
inline kafka_options over_tls(kafka_options o, const std::filesystem::path& home) {
  for (auto& broker : o.brokers)
    broker = "localhost:" + std::to_string(std::stoi(broker.substr(broker.find(':') + 1)) + 3);
  o.tls_ca = (home / "kafka/tls/ca.pem").string();
  o.security_protocol = "sasl_ssl";
  o.sasl_mechanism = "PLAIN";
  o.sasl_username = "ada";
  o.sasl_password = "only for tests";
  return o;
}

/// Asks `condition` every few milliseconds until it holds; false when it never did. The brokers need the processor,
/// too.
template <class F>
bool eventually(F condition, milliseconds limit = 10s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(3ms);
  }
  return true;
}

class with_brokers : public ::testing::Test {
protected:
  void SetUp() override {
    const char* brokers = std::getenv("HORIZONS_KAFKA_BROKERS");
    if (!brokers)
      GTEST_SKIP() << "HORIZONS_KAFKA_BROKERS is not set: ./dev services up kafka; eval $(./dev services env)";
    options.brokers = split(brokers);
    options.group = unique("test");
    options.node = "test";
  }

  /// A topic of its own.
  std::string make_topic(int partitions, std::map<std::string, std::string> settings = {}) {
    auto name = unique("t");
    auto admin = topic_admin::open(options, 30s);
    EXPECT_TRUE(admin) << admin.error().text;
    auto made = admin->create({name, partitions, 3, std::move(settings)});
    EXPECT_TRUE(made) << made.error().text;
    return name;
  }

  std::vector<stored_record> read_all(const std::string& topic) {
    std::vector<stored_record> all;
    auto reader = topic_reader::open(options);
    EXPECT_TRUE(reader);
    auto ranges = reader->all_of(topic, 10s);
    EXPECT_TRUE(ranges) << ranges.error().text;
    if (!ranges) return all;
    auto read = reader->read(*ranges, 10s, [&](stored_record&& r) {
      all.push_back(std::move(r));
      return true;
    });
    EXPECT_TRUE(read) << read.error().text;
    return all;
  }

  kafka_options options;
};

/// What a command prints; its standard error goes to ours.
inline std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) return out;
  char buffer[4096];
  while (const auto n = ::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  const int status = ::pclose(pipe);
  EXPECT_EQ(status, 0) << command;
  return out;
}

inline std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : ",") + p;
  return out;
}

inline record_ptr text_record(std::string key, std::string value) {
  return std::make_shared<const record>(record{std::move(key), std::move(value), {}, std::nullopt});
}

}  // namespace horizons::kafka::testing
