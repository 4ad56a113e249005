#include "runtime/config/config.hpp"

#include <fstream>
#include <random>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace horizons {
namespace {

class config_test : public testing::Test {
protected:
  std::filesystem::path file = std::filesystem::temp_directory_path() /
                               ("horizons-config-" + std::to_string(::getpid()) + "-" +
                                testing::UnitTest::GetInstance()->current_test_info()->name() + ".toml");

  ~config_test() override { std::filesystem::remove(file); }

  result<loaded_configuration> load(const std::string& text, std::vector<std::string> set = {},
                                    std::map<std::string, std::string> environment = {}) {
    std::ofstream(file) << text;
    return load_configuration({file, std::move(environment), std::move(set)});
  }

  std::string error_of(const std::string& text, std::vector<std::string> set = {},
                       std::map<std::string, std::string> environment = {}) {
    const auto loaded = load(text, std::move(set), std::move(environment));
    if (loaded) return "was accepted";
    auto error = loaded.error().text;
    for (auto at = error.find(file.string()); at != std::string::npos; at = error.find(file.string()))
      error.replace(at, file.string().size(), "FILE");
    return error;
  }
};

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST_F(config_test, nothing_given_is_the_embedded_node) {
  const auto loaded = load_configuration({});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->config.http.listen, "127.0.0.1:8080");
  EXPECT_EQ(loaded->config.journal.url, "sqlite:horizons-data/journal.db");
  EXPECT_EQ(loaded->config.jobs.queued_max, 1'000'000);
  EXPECT_FALSE(loaded->config.kafka);
  EXPECT_FALSE(loaded->config.data.allow);
  EXPECT_TRUE(unsupported(loaded->config).empty());
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST_F(config_test, shares_of_tenants_and_users) {
  const auto loaded = load("[jobs]\nweights = [\"physics=2\", \"physics/ada=0.5\"]\nrunning_max_per_user = 4\n");
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->config.jobs.running_max_per_user, 4);
  EXPECT_EQ(loaded->config.jobs.weights.size(), 2u);
  const auto ada = parse_weight("physics/ada=0.5").value();
  EXPECT_EQ(ada.tenant + " " + ada.user, "physics ada");
  EXPECT_EQ(ada.weight, 0.5);
  EXPECT_EQ(parse_weight("physics=2")->user, "");
  for (const char* bad : {"", "physics", "physics=", "physics=0", "physics=nan", "physics=2x", "=2", "/ada=2",
                          "physics/=2", "phy sics=2", "physics=1e9"})
    EXPECT_FALSE(parse_weight(bad)) << bad;
  EXPECT_NE(error_of("[jobs]\nweights = [\"physics\"]\n").find("\"physics\", which has no weight"), std::string::npos);
}

TEST_F(config_test, the_later_source_wins) {
  const std::string text = "[jobs]\nattempts_max = 4\nqueued_max = 500\n[node]\ndata_dir = \"/data\"\n";
  const auto loaded =
      load(text, {"jobs.attempts_max=6"}, {{"HORIZONS_JOBS_ATTEMPTS_MAX", "5"}, {"HORIZONS_JOBS_QUEUED_MAX", "600"}});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->config.jobs.attempts_max, 6);
  EXPECT_EQ(loaded->config.jobs.queued_max, 600);
  EXPECT_EQ(loaded->config.jobs.queued_max_per_tenant, 600);  // a default never exceeds what was asked for
  EXPECT_EQ(loaded->config.journal.url, "sqlite:/data/journal.db");
  EXPECT_EQ(loaded->config.origins.at("jobs.attempts_max"), "--set");
  EXPECT_EQ(loaded->config.origins.at("jobs.queued_max"), "HORIZONS_JOBS_QUEUED_MAX");
  EXPECT_EQ(loaded->config.origins.at("node.data_dir"), file.string() + ":5");
}

TEST_F(config_test, lists_are_comma_separated_outside_files) {
  const auto loaded = load("", {"node.roles=jobs, gpu", "gpu.devices=0,1", "data.allow=[\"file:///a/\"]"},
                           {{"HORIZONS_KAFKA_BROKERS", "h1:9092,h2:9093"}});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->config.node.roles, (std::vector<std::string>{"jobs", "gpu"}));
  EXPECT_EQ(loaded->config.gpu.devices, (device_choice{"listed", {0, 1}}));
  EXPECT_EQ(loaded->config.data.allow, (std::vector<std::string>{"file:///a/"}));
  ASSERT_TRUE(loaded->config.kafka);
  EXPECT_EQ(loaded->config.kafka->brokers, (std::vector<std::string>{"h1:9092", "h2:9093"}));
}

TEST_F(config_test, a_registry_alone_in_the_environment_changes_nothing) {
  const auto loaded = load("", {}, {{"HORIZONS_KAFKA_REGISTRY", "http://127.0.0.1:8081"}});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_FALSE(loaded->config.kafka);
  EXPECT_NE(error_of("[kafka]\nregistry = \"http://h:1\"\n").find("needs kafka.brokers"), std::string::npos);
}

TEST_F(config_test, a_wrong_type_names_line_value_and_what_would_be_right) {
  EXPECT_EQ(error_of("[kafka]\nbrokers = 9092\n"),
            "FILE:2: kafka.brokers = 9092 is a number; expected a list of addresses like \"host1:9092,host2:9092\"");
  EXPECT_EQ(error_of("[jobs]\nqueued_max = \"many\"\n"),
            "FILE:2: jobs.queued_max = \"many\" is a text; expected a whole number like 1000000");
  EXPECT_EQ(error_of("", {"jobs.queued_max=many"}),
            "--set: jobs.queued_max = \"many\" is a text; expected a whole number like 1000000");
  EXPECT_EQ(error_of("", {}, {{"HORIZONS_KAFKA_CREATE_TOPICS", "yes"}}),
            "HORIZONS_KAFKA_CREATE_TOPICS: kafka.create_topics = \"yes\" is a text; expected true or false");
  EXPECT_EQ(error_of("[gpu]\ndevices = \"gpu0\"\n"),
            "FILE:2: gpu.devices = \"gpu0\" is a text; expected \"auto\", \"cpu\" or a list like [0, 1]");
  EXPECT_EQ(error_of("http = 3\n"), "FILE:1: http is a number; expected a section [http]");
  EXPECT_EQ(error_of("listen = 3\n"), "FILE:1: listen stands in no section; expected [section] and key = value");
}

TEST_F(config_test, impossible_values) {
  EXPECT_EQ(error_of("[jobs]\nattempts_max = 0\n"), "FILE:2: jobs.attempts_max = 0 is out of range; expected 1 to 100");
  EXPECT_NE(error_of("[http]\nlisten = \"8080\"\n").find("it has no port; expected host:port"), std::string::npos);
  EXPECT_NE(error_of("[http]\nlisten = \"localhost:99999\"\n").find("0 to 65535"), std::string::npos);
  EXPECT_NE(error_of("[http]\nlisten = \"::1:80\"\n").find("brackets"), std::string::npos);
  EXPECT_NE(error_of("[journal]\nurl = \"mysql://x\"\n").find("expected \"sqlite:<path>\""), std::string::npos);
  EXPECT_NE(error_of("[node]\nroles = [\"jobs\", \"boss\"]\n").find("has \"boss\", which is not a role"),
            std::string::npos);
  EXPECT_NE(error_of("[node]\nroles = []\n").find("is empty"), std::string::npos);
  EXPECT_NE(error_of("[data]\nallow = [\"/data\"]\n").find("file:///"), std::string::npos);
}

TEST_F(config_test, keys_that_contradict_each_other) {
  EXPECT_NE(error_of("[http]\nlisten = \"0.0.0.0:8080\"\n")
                .find("FILE:2: http.listen = \"0.0.0.0:8080\" is open to the network"),
            std::string::npos);
  EXPECT_NE(error_of("[http]\ntls_key = \"k.pem\"\n").find("tls_cert and http.tls_key belong together"),
            std::string::npos);
  EXPECT_NE(error_of("[auth]\nmode = \"jwt\"\n").find("needs auth.jwks"), std::string::npos);
  EXPECT_NE(error_of("[kafka]\ngroup = \"x\"\n").find("needs kafka.brokers"), std::string::npos);
  EXPECT_NE(error_of("[cluster]\nlisten = \"10.0.0.1:1\"\n").find("secret_file"), std::string::npos);
  EXPECT_NE(error_of("[jobs]\nqueued_max = 5\nqueued_max_per_tenant = 6\n").find("is above jobs.queued_max = 5"),
            std::string::npos);
}

TEST_F(config_test, typos_are_answered_with_the_right_name) {
  EXPECT_EQ(error_of("[http]\nlisen = \"x\"\n"), "FILE:2: http.lisen is not known; did you mean http.listen?");
  EXPECT_EQ(error_of("[node]\nlisten = \"x\"\n"), "FILE:2: node.listen is not known; did you mean http.listen?");
  EXPECT_EQ(error_of("[kafak]\n"), "FILE:1: [kafak] is not known; did you mean [kafka]?");
  EXPECT_EQ(error_of("[gpu]\nzzzzzzzzzzzz = 1\n"),
            "FILE:2: gpu.zzzzzzzzzzzz is not known; [gpu] has devices, memory_cap_mib");
  EXPECT_EQ(error_of("", {"htp.listen=x"}), "--set: [htp] is not known; did you mean [http]?");
  EXPECT_EQ(error_of("", {"nonsense"}), "--set \"nonsense\": expected section.key=value");
}

TEST_F(config_test, every_mistake_is_reported_at_once_up_to_a_limit) {
  const auto three = error_of("[jobs]\nattempts_max = 0\nqueued = 4\n[http]\nlisten = 1\n", {"jobs.attempts_max=0"});
  EXPECT_EQ(std::count(three.begin(), three.end(), '\n'), 3) << three;
  std::string many = "[jobs]\n";
  for (int i = 0; i < 50; ++i) many += "k" + std::to_string(i) + " = 1\n";
  EXPECT_NE(error_of(many).find("and 30 more"), std::string::npos);
}

TEST_F(config_test, unreadable_files) {
  EXPECT_NE(error_of("[http\nlisten = 1\n").find("FILE:1: "), std::string::npos);
  EXPECT_NE(error_of("a = 1\na = 2\n").find("FILE:2: "), std::string::npos);
  EXPECT_NE(error_of(std::string(2 << 20, '#')).find("at most 1 MiB"), std::string::npos);
  const auto missing = load_configuration({"/nonexistent/x.toml", {}, {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text, "/nonexistent/x.toml: cannot be read: No such file or directory");
  EXPECT_NE(error_of("x = " + std::string(10'000, '[')).find("FILE:1: "), std::string::npos);  // deep nesting ends
}

TEST_F(config_test, unknown_variables_are_warned_about_and_tools_are_left_alone) {
  const auto loaded =
      load("", {}, {{"HORIZONS_HTPP_LISTEN", "x"}, {"HORIZONS_THREADS", "2"}, {"HORIZONS_S3_ENDPOINT", "http://h"}});
  ASSERT_TRUE(loaded) << loaded.error().text;
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_EQ(loaded->warnings[0],
            "HORIZONS_HTPP_LISTEN is set and means nothing here; did you mean HORIZONS_HTTP_LISTEN?");
}

TEST_F(config_test, what_is_not_in_this_build_is_named_with_its_origin) {
  const auto loaded = load(
      "[cluster]\nlisten = \"127.0.0.1:7000\"\nsecret_file = \"s\"\n[auth]\nmode = \"jwt\"\njwks = \"j\"\nissuer = "
      "\"i\"\naudience = \"a\"\n",
      {});
  ASSERT_TRUE(loaded) << loaded.error().text;
  const auto lines = unsupported(loaded->config);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("a cluster (")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("auth.mode = \"jwt\" (")) << lines[1];
}

TEST_F(config_test, a_kafka_password_is_never_shown) {
  const std::map<std::string, std::string> environment{{"HORIZONS_KAFKA_BROKERS", "h:1"},
                                                       {"HORIZONS_KAFKA_SASL_PASSWORD", "sesame"}};
  const auto loaded = load("", {}, environment);
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(loaded->config.kafka->sasl_password, "sesame");
  EXPECT_NE(describe(loaded->config).find("sasl_password = \"***\""), std::string::npos);
  const auto twice = load("[kafka]\nsasl_password_file = \"/p\"\n", {}, environment);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().text.find("sesame"), std::string::npos);
  EXPECT_NE(twice.error().text.find("expected one of them"), std::string::npos) << twice.error().text;
}

TEST_F(config_test, passwords_are_never_shown) {
  const auto loaded = load("", {"rabbitmq.urls=amqp://me:sesame@h/,amqp://me:sesame@g:1/"},
                           {{"HORIZONS_JOURNAL_URL", "postgresql://me:sesame@h1,h2/d?password=sesame"}});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_EQ(describe(loaded->config).find("sesame"), std::string::npos);
  EXPECT_NE(describe(loaded->config).find("postgresql://me:***@h1,h2/d?password=***"), std::string::npos);
  EXPECT_EQ(error_of("[journal]\nurl = \"mysql://me:sesame@h\"\n").find("sesame"), std::string::npos);
  EXPECT_EQ(error_of("[rabbitmq]\nurls = [\"amqp://me:sesame@h\", 1]\n").find("sesame"), std::string::npos);
  EXPECT_EQ(error_of("[rabbitmq]\nurls = [\"http://me:sesame@h\"]\n").find("sesame"), std::string::npos);
}

TEST_F(config_test, what_describe_prints_can_be_read_again) {
  const auto first = load(
      "[kafka]\nbrokers = [\"h:1\"]\n[gpu]\ndevices = [2]\n[node]\nid = \"n\"\ndata_dir = \"a \\\"b\\\" \\\\ c\"\n");
  ASSERT_TRUE(first) << first.error().text;
  const auto text = describe(first->config);
  const auto second = load(text);
  ASSERT_TRUE(second) << second.error().text;
  EXPECT_EQ(describe(second->config), text);
  EXPECT_EQ(second->config.node.data_dir, "a \"b\" \\ c");
}

TEST_F(config_test, loopback_is_a_grammar_not_a_prefix) {
  for (auto host : {"localhost", "127.0.0.1", "127.255.0.9", "::1"}) EXPECT_TRUE(is_loopback(host)) << host;
  for (auto host : {"127.0.0.1.evil.example", "127.evil", "0.0.0.0", "", "127.0.0", "127.0.0.256", "127..0.1",
                    "10.0.0.1", "localhost.evil"})
    EXPECT_FALSE(is_loopback(host)) << host;
}

TEST_F(config_test, random_bytes_are_refused_or_read_but_never_crash) {
  std::mt19937 random(7);
  const std::string alphabet = "[]{}=\"'\n.,#\\_abchttp listen0159\x80\xff";
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string text = "[http]\n";
    for (auto n = random() % 60; n > 0; --n) text += alphabet[random() % alphabet.size()];
    refused += !load(text);
  }
  EXPECT_GT(refused, 200);
}

/// configs/*.toml are written from the description: HORIZONS_REGENERATE=1 writes them again.
TEST_F(config_test, the_files_in_configs_are_up_to_date) {
  const std::filesystem::path configs = std::filesystem::path(HORIZONS_SOURCE_DIR) / "configs";
  const std::pair<const char*, std::string> files[] = {{"reference.toml", reference_toml()},
                                                       {"embedded.toml", embedded_toml()}};
  for (const auto& [name, text] : files) {
    if (std::getenv("HORIZONS_REGENERATE")) {
      std::filesystem::create_directories(configs);
      std::ofstream(configs / name) << text;
    }
    EXPECT_EQ(content_of(configs / name), text) << "run the test with HORIZONS_REGENERATE=1";
    const auto loaded = load(text);
    EXPECT_TRUE(loaded) << loaded.error().text;
  }
  // Every commented key of the reference is right when it is switched on, except values that are empty by default.
  std::string active;
  std::stringstream lines(reference_toml());
  for (std::string line; std::getline(lines, line);) {
    const bool is_key = line.starts_with("# ") && line.find(" = ") != std::string::npos &&
                        line.find_first_of(" ", 2) == line.find(" = ");
    if (line.starts_with('[') || line.starts_with("# [")) active += line.substr(line[0] == '#' ? 2 : 0) + "\n";
    if (is_key && !line.ends_with("\"\"") && !line.ends_with("[]")) active += line.substr(2) + "\n";
  }
  const auto loaded =
      load(active, {"kafka.brokers=h:1", "rabbitmq.urls=amqp://h", "cluster.listen=h:1", "cluster.secret_file=s"});
  EXPECT_TRUE(loaded) << loaded.error().text;
  EXPECT_GT(std::count(active.begin(), active.end(), '\n'), 25);
}

}  // namespace
}  // namespace horizons
