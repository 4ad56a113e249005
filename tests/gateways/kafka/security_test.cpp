// TLS and SASL against real brokers: their secure listeners stand beside the plain ones, three ports higher.
#include <fstream>

#include "gateways/kafka/configured.hpp"
#include "tests/gateways/kafka/brokers.hpp"

namespace horizons::kafka::testing {
namespace {

class kafka_security : public with_brokers {
protected:
  void SetUp() override {
    with_brokers::SetUp();
    if (IsSkipped()) return;
    const char* home = std::getenv("HORIZONS_SERVICES_HOME");
    const auto o = over_tls(options, home ? home : HORIZONS_BINARY_DIR "/services");
    section_.brokers = o.brokers;
    section_.tls_ca = o.tls_ca;
    section_.security_protocol = o.security_protocol;
    section_.sasl_mechanism = o.sasl_mechanism;
    section_.sasl_username = o.sasl_username;
    set_password(o.sasl_password);
  }
  void TearDown() override { std::filesystem::remove(section_.sasl_password_file); }

  void set_password(const std::string& password) {
    section_.sasl_password_file = std::filesystem::temp_directory_path() / unique("password");
    std::ofstream(section_.sasl_password_file) << password << '\n';
  }
  kafka_options secured() {
    auto o = options_from(section_, "test");
    EXPECT_TRUE(o) << o.error().text;
    return o ? *o : kafka_options{};
  }
  /// A record goes out and comes back by the secure listeners.
  void expect_to_work(const kafka_options& o) {
    const auto topic = make_topic(1);
    auto p = producer::open({.kafka = o}, [] {});
    ASSERT_TRUE(p) << p.error().text;
    ASSERT_TRUE((*p)->send(topic, text_record("k", "over TLS"), 1));
    ASSERT_TRUE((*p)->flush(30s)) << (*p)->state().text;
    options = o;
    const auto all = read_all(topic);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].what.value, "over TLS");
  }
  /// Nothing goes out, the reason is said, and no secret with it.
  void expect_refusal(const kafka_options& o, const std::string& reason, const std::string& secret) {
    auto p = producer::open({.kafka = o}, [] {});
    ASSERT_TRUE(p) << p.error().text;
    ASSERT_TRUE((*p)->send(make_topic(1), text_record("k", "v"), 1));
    EXPECT_TRUE(eventually([&] { return (*p)->state().text.find(reason) != std::string::npos; }, 30s))
        << (*p)->state().text;
    EXPECT_FALSE((*p)->state().up);
    EXPECT_EQ((*p)->state().text.find(secret), std::string::npos);
    EXPECT_TRUE((*p)->take_deliveries().empty()) << "it waits until it is let in";
  }

  kafka_section section_;
};

TEST_F(kafka_security, PlainOverTls) { expect_to_work(secured()); }

TEST_F(kafka_security, ScramOverTls) {
  const auto name = unique("user");
  ASSERT_EQ(
      std::system((HORIZONS_SOURCE_DIR "/tests/services/services kafka-user " + name + " secret-of-a-test").c_str()),
      0);
  section_.sasl_mechanism = "SCRAM-SHA-512";
  section_.sasl_username = name;
  set_password("secret-of-a-test");
  expect_to_work(secured());
}

TEST_F(kafka_security, AWrongPasswordIsSaidButNotTold) {
  set_password("guessed-wrongly");
  expect_refusal(secured(), "uthentication", "guessed-wrongly");
}

TEST_F(kafka_security, BrokersWithAnotherAuthorityAreNotTrusted) {
  auto o = secured();
  o.tls_ca = "/etc/ssl/certs/ca-certificates.crt";
  expect_refusal(o, "certificate", "only for tests");
}

}  // namespace
}  // namespace horizons::kafka::testing
