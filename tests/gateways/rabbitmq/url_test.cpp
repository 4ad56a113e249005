#include "gateways/rabbitmq/url.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "gateways/rabbitmq/options.hpp"

namespace horizons::rabbitmq {
namespace {

TEST(RabbitmqUrl, ReadsEveryPart) {
  const auto e = parse_url("amqps://ali%63e:p%40ss%2Fword@mq.example.org:5679/obs%2Fradio?verify=verify_none");
  ASSERT_TRUE(e) << e.error().text;
  EXPECT_EQ(e->host, "mq.example.org");
  EXPECT_EQ(e->port, 5679);
  EXPECT_EQ(e->user, "alice");
  EXPECT_EQ(e->password, "p@ss/word");
  EXPECT_EQ(e->vhost, "obs/radio");
  EXPECT_TRUE(e->tls);
  EXPECT_FALSE(e->verify);
  EXPECT_EQ(e->name(), "amqps://mq.example.org:5679/obs/radio");
}

TEST(RabbitmqUrl, HasDefaults) {
  const auto e = parse_url("amqp://host");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->port, 5672);
  EXPECT_EQ(e->vhost, "/");
  EXPECT_EQ(e->user, "guest");
  EXPECT_EQ(parse_url("amqps://host")->port, 5671);
  EXPECT_EQ(parse_url("amqp://host/")->vhost, "/");
  EXPECT_EQ(parse_url("amqp://[::1]:5673")->host, "::1");
  EXPECT_EQ(parse_url("amqp://[::1]:5673")->name(), "amqp://[::1]:5673");
}

TEST(RabbitmqUrl, RefusesWithoutRepeatingASecret) {
  for (const auto* url : {"http://u:geheim@h", "amqp://u:geheim@", "amqp://u:geheim@h:0", "amqp://u:geheim@h:70000",
                          "amqp://u:geheim@h:5x", "amqp://u:geheim%zz@h", "amqp://u:geheim@h/a/b",
                          "amqp://u:geheim@h/%0", "amqp://u:geheim@[::1", "amqp://u:geheim@h?colour=red",
                          "amqp://u:geheim@h?cacertfile=/x", "amqps://u:geheim@h?certfile=/x",
                          "amqp://u:geheim@h?verify=perhaps", "amqp://u:geheim@h?password_file=/does/not/exist"}) {
    const auto e = parse_url(url);
    ASSERT_FALSE(e) << url;
    EXPECT_EQ(e.error().code, error_code::invalid_argument) << url;
    EXPECT_EQ(e.error().text.find("geheim"), std::string::npos) << e.error().text;
    EXPECT_NE(e.error().text.find("rabbitmq.urls"), std::string::npos) << e.error().text;
  }
}

TEST(RabbitmqUrl, TakesThePasswordFromAFile) {
  const auto path = std::filesystem::temp_directory_path() / ("horizons-password-" + std::to_string(::getpid()));
  std::ofstream(path) << "from-file\r\nsecond line\n";
  const auto e = parse_url("amqp://alice@h?password_file=" + path.string());
  std::filesystem::remove(path);
  ASSERT_TRUE(e) << e.error().text;
  EXPECT_EQ(e->password, "from-file");
}

TEST(RabbitmqOptions, FollowTheSection) {
  rabbitmq_section section{.urls = {"amqp://a", "amqp://b"}, .reconnect_ms = 250, .heartbeat_s = 5, .prefetch = 7};
  const auto o = options_from(section, "n1");
  ASSERT_TRUE(o);
  EXPECT_EQ(o->hosts.size(), 2u);
  EXPECT_TRUE(o->quorum());
  EXPECT_EQ(o->prefetch, 7);
  EXPECT_EQ(o->connection.heartbeat_s, 5);
  EXPECT_EQ(o->reconnect.count(), 250);
  section.urls = {"amqp://a"};
  EXPECT_FALSE(options_from(section, "n1")->quorum());
  EXPECT_EQ(o->format, message_format::json);
  section.queue_type = "quorum";
  section.format = "msgpack";
  const auto chosen = options_from(section, "n1");
  ASSERT_TRUE(chosen);
  EXPECT_TRUE(chosen->quorum()) << "whatever the number of urls";
  EXPECT_EQ(chosen->format, message_format::msgpack);
  section.durable_queues = false;
  EXPECT_FALSE(options_from(section, "n1")) << "there are no transient quorum queues";
  section.queue_type = "classic";
  EXPECT_TRUE(options_from(section, "n1"));
  section.urls = {"amqp://a", "amqp:/b"};
  EXPECT_FALSE(options_from(section, "n1"));
}

}  // namespace
}  // namespace horizons::rabbitmq
