// One connection and the topology on a real cluster.
#include "gateways/rabbitmq/connection.hpp"

#include <malloc.h>
#include <sys/socket.h>

#include "messages/topics.hpp"
#include "tests/gateways/rabbitmq/broker.hpp"
#include "tests/gateways/rabbitmq/silent_broker.hpp"

namespace horizons::rabbitmq::testing {
namespace {

class RabbitmqConnection : public BrokerTest {};

message text(const std::string& exchange, const std::string& key, std::string body) {
  message m{exchange, key, {}, std::move(body), {}};
  m.properties.delivery_mode = 2;
  return m;
}

TEST_F(RabbitmqConnection, CarriesMessagesAsTheyAre) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "plain", true, {}));
  std::string large(300'000, 'x');  // several frames
  for (std::size_t i = 0; i < large.size(); i += 7) large[i] = static_cast<char>(i);
  for (const auto& body : {std::string(), std::string("{}"), large}) {
    auto m = text("", "plain", body);
    m.properties.message_id = "m1";
    m.properties.user_id = "guest";
    m.properties.headers = {{"n", {'I', std::int64_t{-5}}},
                            {"t", {'T', std::uint64_t{12}}},
                            {"b", {'x', std::string("\0\xff", 2)}},
                            {"list", {'A', field_array{field::text("a"), field::truth(false)}}}};
    ASSERT_TRUE(c.publish(m));
    const auto back = c.take("plain");
    ASSERT_TRUE(back);
    EXPECT_EQ(back->body, body);
    EXPECT_EQ(back->properties, m.properties);
  }
}

TEST_F(RabbitmqConnection, SaysWhatWasRefusedAndStaysUsable) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
  const auto refused = c->declare_queue(1, "q", true, {{"x-message-ttl", field::number(5)}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, error_code::conflict);
  EXPECT_NE(refused.error().text.find(R"({"x-message-ttl":5})"), std::string::npos) << refused.error().text;  // wanted
  EXPECT_NE(refused.error().text.find("inequivalent arg"), std::string::npos) << refused.error().text;  // the broker's
  ASSERT_TRUE(c->open_channel(1));
  EXPECT_EQ(c->queue_depth(1, "none").error().code, error_code::not_found);
  ASSERT_TRUE(c->open_channel(1));
  EXPECT_TRUE(c->queue_depth(1, "q"));
}

TEST_F(RabbitmqConnection, AWrongPasswordIsForbiddenAndNotRepeated) {
  auto o = options_;
  o.hosts[0].password = "geheim";
  socket_watch watch([] {});
  const auto c = connection::open(o.hosts[0], o.connection, watch);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, error_code::forbidden);
  EXPECT_EQ(c.error().text.find("geheim"), std::string::npos);
  EXPECT_NE(c.error().text.find("ACCESS_REFUSED"), std::string::npos) << c.error().text;
}

TEST_F(RabbitmqConnection, AMandatoryMessageForNobodyComesBack) {
  client c(options_);
  auto m = text("amq.direct", "nobody", "x");
  EXPECT_FALSE(c.publish(m));
}

/// Numbers begin anew on a channel that is opened again: what it confirmed before must not count for them.
TEST_F(RabbitmqConnection, WhatAClosedChannelConfirmsIsForgotten) {
  silent_broker between(options_.hosts[0]);
  ASSERT_TRUE(between.ok());
  between.confirm_late_on(5);
  auto through = options_;
  through.hosts = {between.address()};
  client c(through);
  ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
  ASSERT_TRUE(c->open_confirming(5));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(c->publish(5, text("", "q", "before"), false));
  ASSERT_TRUE(eventually([&] { return between.late > 0; }));

  ASSERT_TRUE(c->reopen_confirming(5));
  ASSERT_TRUE(c->publish(5, text("", "q", "after"), false));
  const auto event = c->next(10s);
  ASSERT_TRUE(event && *event);
  ASSERT_TRUE(std::holds_alternative<confirmed>(**event));
  EXPECT_EQ(std::get<confirmed>(**event).tag, 1u);
  const auto depth = c->queue_depth(1, "q");
  ASSERT_TRUE(depth);
  EXPECT_EQ(depth->messages, 4u) << "it is there when it is confirmed";
  const auto more = c->next(200ms);
  ASSERT_TRUE(more);
  EXPECT_FALSE(*more) << "one publish, one confirm";
}

/// A call that waits for its answer reads what comes before it: the owner is told, for the socket is empty then.
TEST_F(RabbitmqConnection, WhatACallReadsBesideItsAnswerIsAnnounced) {
  {
    client c(options_);
    ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
    ASSERT_TRUE(c.publish(text("", "q", "x")));
  }
  int told = 0;
  socket_watch watch([&] { ++told; });  // never armed: only what is announced counts
  auto c = connection::open(options_.hosts[0], options_.connection, watch);
  ASSERT_TRUE(c) << c.error().text;
  ASSERT_TRUE((*c)->open_channel(1));
  ASSERT_TRUE((*c)->open_channel(2));
  ASSERT_TRUE((*c)->consume(1, "q", "me"));
  nap waiting;
  ASSERT_TRUE(told > 0 || (*c)->wait(waiting, 10s) == nap::ended::readable) << "the delivery came";
  ASSERT_TRUE((*c)->queue_depth(2, "q"));
  EXPECT_EQ(told, 1);
  const auto event = (*c)->next(0ms);
  ASSERT_TRUE(event && *event);
  EXPECT_TRUE(std::holds_alternative<delivery_ptr>(**event));
}

/// R2: without the capability the consumer would be dead and nobody would know.
TEST_F(RabbitmqConnection, ADeletedQueueEndsItsConsumerAloud) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
  ASSERT_TRUE(c->consume(2, "q", "me"));
  cluster_->manage("DELETE", "queues/" + vhost_->name() + "/q");
  auto event = c->next(10s);
  ASSERT_TRUE(event) << event.error().text;
  ASSERT_TRUE(*event);
  ASSERT_TRUE(std::holds_alternative<cancelled>(**event));
  EXPECT_EQ(std::get<cancelled>(**event).consumer, "me");
}

/// R4: heartbeats are served while nothing is said.
TEST_F(RabbitmqConnection, OutlivesSilence) {
  client c(options_, 1);
  for (const auto end = std::chrono::steady_clock::now() + 4s; std::chrono::steady_clock::now() < end;) {
    auto event = c->next(300ms);
    ASSERT_TRUE(event) << event.error().text;
  }
  EXPECT_TRUE(c->queue_depth(3, "none").error().code == error_code::not_found);
}

/// R8: what a hostile sender nests is refused with its message kept out, and the connection lives.
TEST_F(RabbitmqConnection, DeepHeadersAreFaultsNotCrashes) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
  field deep = field::number(1);
  for (int i = 0; i < 2'000; ++i) deep = {'F', field_table{{"", std::move(deep)}}};
  auto m = text("", "q", "body");
  m.properties.headers = {{"deep", std::move(deep)}};
  ASSERT_TRUE(c.publish(m));
  const auto back = c.take("q");
  ASSERT_TRUE(back);
  EXPECT_NE(back->fault.find("nested deeper"), std::string::npos) << back->fault;
  EXPECT_TRUE(c->queue_depth(3, "q"));
}

TEST_F(RabbitmqConnection, LargeBodiesAreFaultsAndNotKept) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "q", true, {}));
  ASSERT_TRUE(c.publish(text("", "q", std::string(body_bytes_max + 1, 'x'))));
  const auto back = c.take("q");
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->body.empty());
  EXPECT_NE(back->fault.find("bytes; at most"), std::string::npos) << back->fault;
}

/// R7: the library keeps what it has read until it is told to let go; 64 MiB come and go through one connection.
TEST_F(RabbitmqConnection, MemoryDoesNotGrowWithWhatWasRead) {
  client c(options_);
  ASSERT_TRUE(c->declare_queue(1, "q", false, {}));
  const auto in_use = [] {
    const auto memory = ::mallinfo2();
    return memory.uordblks + memory.hblkhd;
  };
  const auto through = [&](int messages) {
    for (int i = 0; i < messages; ++i) {
      ASSERT_TRUE(c.publish(text("", "q", std::string(1 << 20, 'x'))));
      ASSERT_TRUE(c.take("q"));
    }
  };
  through(4);
  const auto before = in_use();
  through(64);
  EXPECT_LT(in_use(), before + (std::size_t{8} << 20));
}

TEST_F(RabbitmqConnection, TheTopologyIsDeclaredAgainAndAgain) {
  client c(options_);
  for (int i = 0; i < 3; ++i) {
    const auto done = declare(c.raw(), 3, options_);
    ASSERT_TRUE(done) << done.error().text;
    EXPECT_TRUE(done->usable);
    EXPECT_EQ(done->refused, std::vector<std::string>{});
  }
  for (const auto& q : rabbitmq_queues) EXPECT_TRUE(c->queue_depth(3, std::string(q.name))) << q.name;
  const auto shown = nlohmann::json::parse(cluster_->manage("GET", "queues/" + vhost_->name() + "/job-submissions"));
  EXPECT_EQ(shown["type"], "quorum");
  EXPECT_EQ(shown["arguments"]["x-dead-letter-strategy"], "at-least-once");
  EXPECT_EQ(shown["arguments"]["x-overflow"], "reject-publish");
  EXPECT_EQ(shown["arguments"]["x-delivery-limit"], 20);
  EXPECT_EQ(shown["members"].size(), cluster_->urls().size());
  const auto outside = nlohmann::json::parse(cluster_->manage("GET", "queues/" + vhost_->name() + "/job-events-api"));
  EXPECT_EQ(outside["arguments"]["x-max-length-bytes"], 256 << 20);
  EXPECT_EQ(outside["arguments"]["x-message-ttl"], 3'600'000);
  EXPECT_EQ(outside["arguments"]["x-overflow"], "drop-head");
  EXPECT_FALSE(outside["arguments"].contains("x-dead-letter-exchange"));
  ASSERT_TRUE(c.publish(text("job.submissions", "job-submissions", "{}")));
  ASSERT_TRUE(c.publish(text("dlx", "job-dlq", "{}")));
  EXPECT_TRUE(c.take("job-submissions"));
  EXPECT_TRUE(c.take("job-dlq"));
}

TEST_F(RabbitmqConnection, AnExistingTypeIsKeptAndAConflictIsTold) {
  client c(options_);
  auto classic = options_;
  classic.kind = queue_kind::classic;
  ASSERT_TRUE(c->declare_queue(1, "websocket-broadcast", true, {{"x-max-length", field::number(3)}}));
  ASSERT_TRUE(c->declare_queue(1, "job-dlq", true, {}));  // as a single node would have declared it
  const auto done = declare(c.raw(), 3, options_);
  ASSERT_TRUE(done) << done.error().text;
  EXPECT_TRUE(done->usable);
  ASSERT_EQ(done->refused.size(), 1u);
  EXPECT_NE(done->refused[0].find("queue websocket-broadcast (durable, {"), std::string::npos) << done->refused[0];
  EXPECT_NE(done->refused[0].find("inequivalent arg"), std::string::npos) << done->refused[0];
  const auto as_classic = declare(c.raw(), 3, classic);
  ASSERT_TRUE(as_classic);
  EXPECT_GT(as_classic->refused.size(), 1u);  // asked for by name: not taken for another
}

TEST_F(RabbitmqConnection, ClassicTopologyWorksToo) {
  auto o = options_;
  o.kind = queue_kind::classic;
  o.durable_queues = false;
  o.dlq_enabled = false;
  client c(o);
  const auto done = declare(c.raw(), 3, o);
  ASSERT_TRUE(done) << done.error().text;
  EXPECT_EQ(done->refused, std::vector<std::string>{});
  EXPECT_EQ(c->queue_depth(3, "job-dlq").error().code, error_code::not_found);
}

/// The certificate is for localhost, made with the cluster; nobody else's and no other name's is taken.
TEST_F(RabbitmqConnection, TlsChecksWhoAnswers) {
  const char* home = std::getenv("HORIZONS_SERVICES_HOME");
  const std::string ca = (home ? std::string(home) : HORIZONS_BINARY_DIR "/services") + "/rabbitmq/tls/ca.pem";
  if (::access(ca.c_str(), R_OK) != 0) GTEST_SKIP() << ca << " is not here: ./dev services down rabbitmq, then up";
  const auto at = [&](const std::string& host, const std::string& query) {
    const auto e = parse_url("amqps://guest:guest@" + host + ":" + std::to_string(options_.hosts[0].port + 20) + "/" +
                             vhost_->name() + query);
    EXPECT_TRUE(e) << e.error().text;
    socket_watch watch([] {});
    auto c = connection::open(*e, options_.connection, watch);
    return c ? std::string() : c.error().text;
  };
  EXPECT_EQ(at("localhost", "?cacertfile=" + ca), "");
  EXPECT_NE(at("localhost", ""), "");                     // the system does not know this authority
  EXPECT_NE(at("127.0.0.1", "?cacertfile=" + ca), "");    // not the name in the certificate
  EXPECT_EQ(at("127.0.0.1", "?verify=verify_none"), "");  // as asked for
  EXPECT_NE(at("localhost", "?cacertfile=/none").find("cacertfile"), std::string::npos);
}

/// R1: a broker that reads nothing: the publish comes back with an error, and soon.
TEST(RabbitmqGuards, APublishToAFrozenBrokerComesBack) {
  // A peer that completes the handshake is the real broker; one that never reads is a socket pair's other end.
  std::array<int, 2> ends;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  socket_watch watch([] {});
  watch.watch(ends[0]);
  const auto began = std::chrono::steady_clock::now();
  {
    socket_watch::limit limit(watch, 100ms);
    const std::string much(1 << 22, 'x');
    EXPECT_LT(::send(ends[0], much.data(), much.size(), MSG_NOSIGNAL), static_cast<ssize_t>(much.size()));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
  EXPECT_EQ(watch.cuts(), 1u);
  watch.watch(-1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(RabbitmqGuards, TheWatchTellsOncePerArming) {
  std::array<int, 2> ends;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  std::atomic<int> told{0};
  socket_watch watch([&] { ++told; });
  watch.watch(ends[0]);
  ASSERT_EQ(::send(ends[1], "x", 1, 0), 1);
  watch.arm();
  EXPECT_TRUE(eventually([&] { return told == 1; }));
  watch.arm();
  EXPECT_TRUE(eventually([&] { return told == 2; }));
  watch.watch(-1);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
