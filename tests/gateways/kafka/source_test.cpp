// The source on real brokers: what goes in as a record comes out as an event of the journal, once, in order.
#include "gateways/kafka/source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "gateways/kafka/submission_handler.hpp"
#include "gateways/registry/registry_client.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "tests/gateways/kafka/house.hpp"

namespace horizons::kafka {
namespace {

using namespace testing;

class kafka_source : public with_brokers {
protected:
  kafka_source_options on(const std::string& topic, house& h) {
    kafka_source_options o;
    o.kafka = options;
    o.kafka.extra["heartbeat.interval.ms"] = "300";  // a rebalance waits for a heartbeat of every member
    o.topics = {{topic, submissions(h.services(), options.registry)}};
    o.limits.backoff_first = 20ms;
    o.limits.backoff_max = 50ms;
    o.retry_first = 20ms;
    o.commit_every = 100ms;
    return o;
  }
  kit::handle<source_api> start(house& h, kafka_source_options o, const std::string& name = "source") {
    return h.system.spawn_blocking<source_api>({.name = name},
                                               kafka::kafka_source(std::move(o), h.services(), h.sink()));
  }
  std::string state(house& h, const kit::handle<source_api>& s) {
    const auto r = h.system.ask(s, source_health{}, 5s);
    return r ? (r->ready ? "ready: " : "not ready: ") + r->state : r.error().text;
  }
  bool ready(house& h, const kit::handle<source_api>& s) {
    return eventually([&] { return state(h, s).starts_with("ready"); }, 20s);
  }

  void send(const std::string& topic, std::vector<record_ptr> records, std::int32_t partition = producer::by_key) {
    auto p = producer::open({.kafka = options}, [] {});
    ASSERT_TRUE(p) << p.error().text;
    std::uint64_t token = 0;
    for (auto& r : records) {
      const auto bytes = bytes_of(*r);
      ASSERT_TRUE(eventually([&] {
        (*p)->take_deliveries();
        return (*p)->has_room(bytes);
      }));
      ASSERT_TRUE((*p)->send(topic, r, ++token, partition));
    }
    ASSERT_TRUE((*p)->flush(30s));
  }
  void send_orders(const std::string& topic, int jobs, int from, int to) {
    std::vector<record_ptr> records;
    for (int i = from; i < to; ++i)
      for (int j = 0; j < jobs; ++j) {
        const auto job = "job-" + std::to_string(j);
        records.push_back(text_record(job, order_json(job, i)));
      }
    send(topic, std::move(records));
  }
  /// Where the group stands for others to see; none: -1.
  std::int64_t committed(const std::string& topic) {
    auto c = client::open(client_role::consumer, options);
    EXPECT_TRUE(c);
    const auto list = make_partition_list(1);
    auto* p = rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 0);
    return rd_kafka_committed(c->get(), list.get(), 5'000) == RD_KAFKA_RESP_ERR_NO_ERROR ? p->offset : -1;
  }
  /// Everything of partition 0 before `offset`, as retention does.
  void delete_records(const std::string& topic, std::int64_t offset) {
    auto c = client::open(client_role::admin, options);
    ASSERT_TRUE(c);
    const auto list = make_partition_list(1);
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 0)->offset = offset;
    using deletion = owned<rd_kafka_DeleteRecords_t, rd_kafka_DeleteRecords_destroy>;
    const deletion what(rd_kafka_DeleteRecords_new(list.get()));
    auto* request = what.get();
    const queue_ptr queue(rd_kafka_queue_new(c->get()));
    rd_kafka_DeleteRecords(c->get(), &request, 1, nullptr, queue.get());
    const event_ptr done(rd_kafka_queue_poll(queue.get(), 30'000));
    ASSERT_TRUE(done);
    ASSERT_EQ(rd_kafka_event_error(done.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  /// A topic that every broker knows: a producer that meets one that does not starts again and may write twice.
  std::string make_topic(int partitions) {
    auto topic = with_brokers::make_topic(partitions);
    for (const auto& broker : options.brokers) {
      auto alone = options;
      alone.brokers = {broker};
      auto c = client::open(client_role::admin, alone);
      EXPECT_TRUE(c && c->layout_of(topic, 10s));
    }
    return topic;
  }
};

record_ptr with_headers(std::string key, std::string value, record_headers headers) {
  return std::make_shared<const record>(record{std::move(key), std::move(value), std::move(headers), std::nullopt});
}

TEST_F(kafka_source, TakesJsonMessagePackAndCloudEventsInBothModes) {
  const auto topic = make_topic(3);
  house h;
  std::mutex mutex;
  std::map<std::string, bridges::incoming> seen;
  h.refuse = [&](const bridges::incoming& in) -> std::optional<error> {
    const std::lock_guard lock(mutex);
    seen[in.what.job_id] = in;
    return std::nullopt;
  };
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  command packed{.command_name = "pause", .job_id = "packed", .user_id = "karl"};
  send(topic,
       {text_record("plain", order_json("plain", 1)), text_record("packed", to_msgpack(packed)),
        with_headers("traced", order_json("traced", 1), {{"Content-Type", "application/json"}, {"traceparent", trace}}),
        with_headers("binary", order_json("binary", 1),
                     {{"ce_specversion", "1.0"},
                      {"ce_id", "1"},
                      {"ce_source", "/me"},
                      {"ce_type", "job.command"},
                      {"ce_traceparent", trace},
                      {"content-type", "application/json"}}),
        with_headers("structured",
                     R"({"specversion":"1.0","id":"1","source":"/me","type":"job.command","data":)" +
                         order_json("structured", 1) + "}",
                     {{"content-type", "application/cloudevents+json"}}),
        text_record("", R"({"agent":"image-reconstruction","dataset":"file:///a.uvfits","user_id":"karl"})")});
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 6; }, 30s)) << state(h, s);
  EXPECT_TRUE(h.letters().empty());
  const std::lock_guard lock(mutex);
  for (auto job : {"plain", "packed", "traced", "binary", "structured"}) EXPECT_TRUE(seen.contains(job)) << job;
  EXPECT_EQ(seen["traced"].traceparent, trace);
  EXPECT_EQ(seen["binary"].traceparent, trace);
  const auto made = seen[""];
  EXPECT_TRUE(is_job_id(made.fallback_job_id)) << made.fallback_job_id;
}

TEST_F(kafka_source, TakesAvroThroughTheRegistry) {
  const char* registry = std::getenv("HORIZONS_KAFKA_REGISTRY");
  if (!registry) GTEST_SKIP() << "HORIZONS_KAFKA_REGISTRY is not set: ./dev services up registry";
  options.registry = registry;
  const auto topic = make_topic(1);
  registry::registry_client schemas({.url = registry});
  const auto id = schemas.register_schema(unique("command"), avro::schema_of("command")->text);
  ASSERT_TRUE(id) << id.error().text;
  std::vector<record_ptr> records;
  for (int i = 0; i < 20; ++i) {
    std::string body;
    avro::append_frame(*id, body);
    append_avro(
        command{.command_name = "pause", .job_id = "avro", .user_id = "karl", .idempotency_key = std::to_string(i)},
        body);
    records.push_back(text_record("avro", body));
  }
  std::string unknown;
  avro::append_frame(987'654'321, unknown);
  records.push_back(text_record("other", unknown + "x"));
  send(topic, std::move(records));
  house h;
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 20 && h.letters().size() == 1; }, 30s)) << state(h, s);
  expect_complete(h, 1, 20);
  EXPECT_EQ(h.letters()[0].reason, "schema");
}

TEST_F(kafka_source, KeepsTheOrderOfEachJobAndResumesWhereTheJournalStands) {
  const auto topic = make_topic(4);
  house h;
  send_orders(topic, 50, 0, 20);
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1'000; }, 30s)) << state(h, s);
  ASSERT_TRUE(h.system.stop(s, 10s));
  send_orders(topic, 50, 20, 30);
  s = start(h, on(topic, h), "again");
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1'500; }, 30s)) << state(h, s);
  ASSERT_TRUE(ready(h, s));
  expect_complete(h, 50, 30);
  const auto progress = h.progress();
  ASSERT_EQ(progress.size(), 4u);
  std::uint64_t finished = 0;
  for (const auto& [source, p] : progress) {
    EXPECT_TRUE(p.above().empty()) << source;
    finished += p.next;
  }
  EXPECT_EQ(finished, 1'500u);
}

TEST_F(kafka_source, AFailingJobHoldsOnlyItselfThenItIsBuriedAndItsLaneParked) {
  const auto topic = make_topic(1);
  house h;
  std::atomic<int> tries{0};
  h.refuse = [&](const bridges::incoming& in) -> std::optional<error> {
    if (in.what.job_id != "job-3") return std::nullopt;
    ++tries;
    return error{error_code::internal, "this one never works"};
  };
  send_orders(topic, 10, 0, 5);
  auto o = on(topic, h);
  o.limits.attempts_max = 4;
  auto s = start(h, o);
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 45 && h.letters().size() == 5; }, 30s)) << state(h, s);
  const auto letters = h.letters();
  EXPECT_EQ(letters[0].reason, "transient");
  EXPECT_EQ(letters[0].attempts, 4);
  EXPECT_EQ(letters[0].job_id, "job-3");
  EXPECT_EQ(letters[0].original.value, order_json("job-3", 0));
  for (int i = 1; i < 5; ++i) {
    EXPECT_EQ(letters[i].reason, "parked");
    EXPECT_EQ(letters[i].original.value, order_json("job-3", i)) << "the lane follows in order";
  }
  EXPECT_EQ(tries, 4) << "what is parked is not tried";

  // The journal knows of the lane: a new source parks it, too. A record that was sent back releases it.
  ASSERT_TRUE(eventually([&] { return h.progress().begin()->second.next == 50; }));
  ASSERT_TRUE(h.system.stop(s, 10s));
  h.refuse = nullptr;
  s = start(h, on(topic, h), "again");
  send(topic, {text_record("job-3", order_json("job-3", 5))});
  ASSERT_TRUE(eventually([&] { return h.letters().size() == 6; }, 20s)) << state(h, s);
  EXPECT_EQ(h.letters()[5].reason, "parked");
  send(topic, {with_headers("job-3", order_json("job-3", 0), {{std::string(replays_header), "1"}}),
               text_record("job-3", order_json("job-3", 6))});
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 47; }, 20s)) << state(h, s);
  EXPECT_TRUE(h.progress().begin()->second.parked().empty());
  EXPECT_EQ(h.letters().size(), 6u);
}

TEST_F(kafka_source, PoisonAndRefusalsGoToTheDeadLettersByteIdentical) {
  const auto topic = make_topic(1);
  house h;
  h.refuse = [&](const bridges::incoming& in) -> std::optional<error> {
    if (in.what.job_id == "taken") return error{error_code::conflict, "exists with other content"};
    return std::nullopt;
  };
  const std::string bytes("\x93\x00\xff not a command", 17);
  send(topic, {with_headers("k", bytes, {{"a", "1"}, {"a", std::nullopt}, {"b", ""}}),
               std::make_shared<const record>(record{std::nullopt, std::nullopt, {}, std::nullopt}),
               text_record("taken", order_json("taken", 0)), text_record("fine", order_json("fine", 0))});
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1 && h.letters().size() == 3; }, 30s)) << state(h, s);
  auto letters = h.letters();
  std::sort(letters.begin(), letters.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  EXPECT_EQ(letters[0].reason, "poison");
  EXPECT_EQ(letters[0].original.key, "k");
  EXPECT_EQ(letters[0].original.value, bytes);
  EXPECT_EQ(letters[0].original.headers, (record_headers{{"a", "1"}, {"a", std::nullopt}, {"b", ""}}));
  EXPECT_EQ(letters[0].time, time_kind::create);
  EXPECT_EQ(letters[1].original.value, std::nullopt);
  EXPECT_EQ(letters[2].reason, "conflict");
  ASSERT_TRUE(eventually([&] { return h.progress().begin()->second.next == 4; })) << "dead letters are finished, too";
}

TEST_F(kafka_source, DeadLettersThatAreAwayHoldOnlyTheirLane) {
  const auto topic = make_topic(1);
  house h;
  h.sink_down = true;
  send(topic, {text_record("k", "not a command"), text_record("fine", order_json("fine", 0))});
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1; }, 30s)) << state(h, s);
  EXPECT_EQ(h.progress().begin()->second.next, 0u);
  h.sink_down = false;
  ASSERT_TRUE(eventually([&] { return h.letters().size() == 1 && h.progress().begin()->second.next == 2; }, 30s));
}

TEST_F(kafka_source, AFullQueueStopsReadingUntilThereIsRoom) {
  const auto topic = make_topic(2);
  house h;
  std::atomic<bool> full{true};
  std::atomic<int> asked{0};
  h.refuse = [&](const bridges::incoming&) -> std::optional<error> {
    ++asked;
    if (full) return error{error_code::limit_exceeded, "jobs.queued_max = 1 is reached"};
    return std::nullopt;
  };
  auto o = on(topic, h);
  o.full_pause = 30ms;
  h.intake = 8;
  auto s = start(h, o);
  send_orders(topic, 10, 0, 10);
  ASSERT_TRUE(eventually([&] { return asked > 12; }, 30s)) << state(h, s);
  EXPECT_TRUE(state(h, s).find("full") != std::string::npos) << state(h, s);
  EXPECT_EQ(h.stored_count(), 0u);
  full = false;
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 100; }, 30s)) << state(h, s);
  expect_complete(h, 10, 10);
  EXPECT_TRUE(h.letters().empty());
}

TEST_F(kafka_source, AnotherJournalsPartitionsAreNotReadUntilAdopted) {
  const auto topic = make_topic(1);
  house first;
  send_orders(topic, 5, 0, 2);
  auto s = start(first, on(topic, first));
  ASSERT_TRUE(eventually([&] { return first.stored_count() == 10; }, 30s));
  ASSERT_TRUE(eventually([&] { return committed(topic) == 10; }, 20s)) << "the lag signal names the journal";
  ASSERT_TRUE(first.system.stop(s, 10s));
  send_orders(topic, 5, 2, 3);

  house second;
  auto t = start(second, on(topic, second));
  ASSERT_TRUE(eventually([&] { return state(second, t).find("horizons bridge adopt") != std::string::npos; }, 20s))
      << state(second, t);
  EXPECT_TRUE(state(second, t).starts_with("not ready"));
  EXPECT_NE(state(second, t).find(first.id()), std::string::npos);
  EXPECT_NE(state(second, t).find(second.id()), std::string::npos);
  const auto wrong = second.system.ask(t, adopt_partitions{"yesterday", "karl"}, 5s);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, error_code::invalid_argument);
  const auto adopted = second.system.ask(t, adopt_partitions{"committed", "karl"}, 10s);
  ASSERT_TRUE(adopted) << adopted.error().text;
  EXPECT_EQ(adopted->partitions, std::vector{topic + "[0] from offset 10"});
  ASSERT_TRUE(eventually([&] { return second.stored_count() == 5; }, 20s)) << state(second, t);
  EXPECT_TRUE(ready(second, t));
  for (const auto& [job, number, place] : second.stored()) EXPECT_EQ(number, "2");
  ASSERT_EQ(second.audits().size(), 1u);
  EXPECT_TRUE(second.audits()[0].starts_with("bridge.adopted kafka/")) << second.audits()[0];
  EXPECT_FALSE(second.system.ask(t, adopt_partitions{"committed", "karl"}, 5s)) << "nothing is left to adopt";
}

TEST_F(kafka_source, AdoptsFromATime) {
  const auto topic = make_topic(1);
  std::vector<record_ptr> records;
  records.reserve(10);
  for (int i = 0; i < 10; ++i)
    records.push_back(
        std::make_shared<const record>(record{"j", order_json("j", i), {}, wall_now() - std::chrono::hours(10 - i)}));
  send(topic, records);
  house first;
  auto s = start(first, on(topic, first));
  ASSERT_TRUE(eventually([&] { return committed(topic) == 10; }, 30s));
  ASSERT_TRUE(first.system.stop(s, 10s));
  house second;
  auto t = start(second, on(topic, second));
  ASSERT_TRUE(eventually([&] { return state(second, t).find("adopt") != std::string::npos; }, 20s));
  const auto adopted = second.system.ask(t, adopt_partitions{horizons::to_string(*records[6]->time), "karl"}, 10s);
  ASSERT_TRUE(adopted) << adopted.error().text;
  ASSERT_TRUE(eventually([&] { return second.stored_count() == 4; }, 20s)) << state(second, t);
  EXPECT_EQ(second.stored()[0].number, "6");
}

TEST_F(kafka_source, MembersOfAGroupShareWithoutLossOrDoubles) {
  const auto topic = make_topic(6);
  house h;
  auto a = start(h, on(topic, h), "a");
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) send_orders(topic, 100, i, i + 1);
  });
  ASSERT_TRUE(eventually([&] { return h.stored_count() > 200; }, 30s)) << state(h, a);
  auto b = start(h, on(topic, h), "b");
  ASSERT_TRUE(eventually([&] { return h.stored_count() > 1'500; }, 60s)) << state(h, b);
  h.system.stop(a, 10s);
  ASSERT_TRUE(eventually([&] { return h.stored_count() > 2'500; }, 60s)) << state(h, b);
  auto c = start(h, on(topic, h), "c");
  writer.join();
  ASSERT_TRUE(eventually([&] { return h.stored_count() >= 4'000; }, 60s)) << state(h, b) << "; " << state(h, c);
  expect_complete(h, 100, 40);
}

TEST_F(kafka_source, ATakenPartitionIsLetGo) {
  const auto topic = make_topic(1);
  house h;
  auto o = on(topic, h);
  o.fenced_pause = 200ms;
  auto s = start(h, o);
  send_orders(topic, 1, 0, 1);
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1; }, 30s)) << state(h, s);
  const auto source = h.progress().begin()->first;
  ASSERT_TRUE(h.system.ask(h.services().writer, journal::claim_source{source}, 5s)) << "a zombie's successor";
  send_orders(topic, 1, 1, 2);
  ASSERT_TRUE(eventually([&] { return o.metrics->fenced == 1; }, 10s));
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 2; }, 20s)) << "and claimed again, because the group insists";
  expect_complete(h, 1, 2);
}

TEST_F(kafka_source, RecordsDeletedBeforeTheyWereReadAreSaid) {
  const auto topic = make_topic(1);
  house h;
  send_orders(topic, 1, 0, 10);
  auto s = start(h, on(topic, h));
  ASSERT_TRUE(eventually([&] { return h.progress().begin() != h.progress().end() && h.stored_count() == 10; }, 30s));
  ASSERT_TRUE(h.system.stop(s, 10s));
  send_orders(topic, 1, 10, 20);
  delete_records(topic, 15);
  auto o = on(topic, h);
  s = start(h, o, "again");
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 15; }, 20s)) << state(h, s);
  EXPECT_EQ(o.metrics->lost, 5u);
  EXPECT_TRUE(h.audits().back().starts_with("bridge.records_lost")) << h.audits().back();
}

TEST_F(kafka_source, AStuckJobPausesItsPartitionOnlyAndNothingIsLost) {
  const auto topic = make_topic(2);
  house h;
  std::atomic<bool> stuck{true};
  h.refuse = [&](const bridges::incoming& in) -> std::optional<error> {
    if (in.what.job_id == "stuck" && stuck) return error{error_code::cancelled, "not now"};  // never charged
    return std::nullopt;
  };
  auto o = on(topic, h);
  o.limits.window_max = 100;
  std::vector<record_ptr> records{text_record("stuck", order_json("stuck", 0))};
  for (int i = 0; i < 1'000; ++i) records.push_back(text_record("other", order_json("other", i)));
  send(topic, records, 0);
  send(topic, {text_record("free", order_json("free", 0))}, 1);
  auto s = start(h, o);
  ASSERT_TRUE(eventually([&] { return o.metrics->pauses > 0 && h.stored_count() == 100; }, 30s)) << h.stored_count();
  EXPECT_EQ(h.progress().begin()->second.above().size(), 99u);
  stuck = false;
  ASSERT_TRUE(eventually([&] { return h.stored_count() == 1'002; }, 60s)) << h.stored_count() << " " << state(h, s);
  int next = 0;
  for (const auto& [job, number, place] : h.stored())
    if (job == "other") {
      ASSERT_EQ(number, std::to_string(next++));
    }
  EXPECT_EQ(next, 1'000);
}

TEST(DerivedJobId, IsTheSameForTheSameRecordAndAnotherForAnyOther) {
  const auto noon = timestamp(std::chrono::hours(490'000));
  const auto id = derived_job_id("cluster", "job-submissions", 3, 17, noon);
  EXPECT_TRUE(is_job_id(id)) << id;
  EXPECT_EQ(id, derived_job_id("cluster", "job-submissions", 3, 17, noon));
  EXPECT_NE(id, derived_job_id("cluster", "job-submissions", 3, 18, noon));
  EXPECT_NE(id, derived_job_id("cluster", "job-submissions", 4, 17, noon));
  EXPECT_NE(id, derived_job_id("other", "job-submissions", 3, 17, noon));
  EXPECT_TRUE(is_job_id(derived_job_id("cluster", "t", 0, 0, timestamp(-1ms))));
}

}  // namespace
}  // namespace horizons::kafka
