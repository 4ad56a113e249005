// Programs of others, as docs/rabbitmq.md shows them: they submit jobs and read events.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "tests/gateways/rabbitmq/broker.hpp"
#include "tests/gateways/rabbitmq/house.hpp"

namespace horizons::rabbitmq::testing {
namespace {

/// The n-th code block of a language in the documentation.
std::string code_block(const std::string& language, int n) {
  std::ifstream file(HORIZONS_SOURCE_DIR "/docs/rabbitmq.md");
  std::string line, block;
  bool inside = false;
  while (std::getline(file, line)) {
    if (inside && line == "```") return block;
    if (inside) block += line + "\n";
    if (line == "```" + language && n-- == 0) inside = true;
  }
  ADD_FAILURE() << "docs/rabbitmq.md has no such " << language << " program";
  return {};
}

class RabbitmqClients : public BrokerTest {
protected:
  void SetUp() override {
    BrokerTest::SetUp();
    if (IsSkipped()) return;
    house_ = std::make_unique<house>(vhost_->name());
    auto m = std::make_shared<metrics>();
    house_->system.spawn_blocking<source_api>({.name = "source"}, source(house_->services(), options_, m));
    house_->system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane},
                                             relay(house_->services(), options_, m));
    ASSERT_TRUE(eventually([&] { return m->source.connected && m->relay.connected; }));
  }
  void TearDown() override { house_.reset(); }

  std::string write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::string run(const std::string& command) {
    return output_of("RABBITMQ_URL=" + vhost_->urls().front() + " timeout 60 " + command + " 2>&1");
  }
  /// Runs both programs of a language and looks at what they print.
  void submit_and_read(const std::string& submit, const std::string& read) {
    const auto answer = run(submit);
    ASSERT_TRUE(answer.starts_with("application/json {")) << answer;
    const auto job = nlohmann::json::parse(answer.substr(answer.find('{')))["job_id"].get<std::string>();
    EXPECT_TRUE(job.starts_with("amqp-")) << job;
    ASSERT_EQ(house_->events("job.submitted").size(), 1u);
    EXPECT_EQ(house_->events("job.submitted")[0].job_id, job);
    ASSERT_TRUE(house_->append({house_->event_of(job, job_completed{}, 2)}));
    EXPECT_EQ(run(read + " " + job), "job.submitted " + job + " 1\njob.completed " + job + " 2\n");
  }

  std::unique_ptr<house> house_;
  const std::filesystem::path folder_ = HORIZONS_BINARY_DIR "/rabbitmq-clients";
};

TEST_F(RabbitmqClients, PythonPika) {
  std::string python;
  for (const std::string each : {"python3", "/usr/bin/python3"})
    if (output_of(each + " -c 'import pika; print(pika.__version__)' 2>/dev/null") != "") python = each;
  if (python.empty()) GTEST_SKIP() << "pika is not installed: apt-get install python3-pika";
  submit_and_read(python + " " + write(folder_ / "submit.py", code_block("python", 0)),
                  python + " " + write(folder_ / "events.py", code_block("python", 1)));
}

TEST_F(RabbitmqClients, NodeAmqplib) {
  if (output_of("npm --version 2>/dev/null").empty()) GTEST_SKIP() << "npm is not installed: apt-get install npm";
  if (!std::filesystem::exists(folder_ / "node_modules/amqplib")) {
    std::filesystem::create_directories(folder_);
    const auto said =
        output_of("npm install --no-audit --no-fund --prefix " + folder_.string() + " amqplib@0.10.9 2>&1");
    if (!std::filesystem::exists(folder_ / "node_modules/amqplib"))
      GTEST_SKIP() << "npm could not install amqplib: " << said;
  }
  submit_and_read("node " + write(folder_ / "submit.js", code_block("js", 0)),
                  "node " + write(folder_ / "events.js", code_block("js", 1)));
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
