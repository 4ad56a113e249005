// A bridge while its brokers are killed, frozen, cut off from each other and from it: nothing acknowledged is lost,
// nothing is applied twice. On a cluster of its own. 50,000 submissions, each fault once; with HORIZONS_LONG=1 it is
// 1,000,000 (or HORIZONS_CHAOS_MESSAGES) and one fault after the other until they are through.
#include <cinttypes>
#include <condition_variable>
#include <mutex>
#include <set>
#include <unordered_set>

#include "gateways/rabbitmq/confirm_ledger.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "tests/gateways/rabbitmq/broker.hpp"
#include "tests/gateways/rabbitmq/house.hpp"
#include "tests/services/own_servers.hpp"

namespace horizons::rabbitmq::testing {
namespace {

/// What a careful scientist's program does: repeats what was not confirmed, on another node if the one it speaks to
/// stores nothing. (RabbitMQ 3.10 may never confirm what was on its way to a queue's leader that froze, and a channel
/// that once found no leader refuses for ever: see confirm_patience.)
class careful_publisher {
public:
  careful_publisher(const options& o, std::uint64_t count) : options_(o), count_(count), thread_([this] { run(); }) {}
  ~careful_publisher() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    stopping_.notify_all();
    thread_.join();
  }
  /// How many may be sent so far: each fault is to meet a stream that runs.
  std::atomic<std::uint64_t> allowed{0};
  std::atomic<std::uint64_t> confirmed_count{0}, nacks{0}, connections{0};
  bool done() const { return confirmed_count == count_; }

private:
  void run() {
    for (std::size_t host = 0; !stop_ && !done(); ++host) {
      socket_watch watch([] {});
      auto c = connection::open(options_.hosts[host % options_.hosts.size()], options_.connection, watch);
      if (!c || !(*c)->open_channel(1) || !(*c)->confirm_select(1)) {
        std::unique_lock lock(mutex_);
        stopping_.wait_for(lock, 20ms, [this] { return stop_.load(); });  // not to hammer a cluster that is down
        continue;
      }
      ++connections;
      send(**c);
      for (const auto number : ledger_.reset()) again_.insert(number);
    }
  }
  void send(connection& c) {
    auto heard_at = std::chrono::steady_clock::now(), stored_at = heard_at;
    while (!stop_ && !done()) {
      const auto now = std::chrono::steady_clock::now();
      if (ledger_.outstanding() == 0) heard_at = now;
      if (ledger_.outstanding() == 0 && again_.empty()) stored_at = now;
      if (now - heard_at > options_.confirm_max || now - stored_at > refusals_max) return;
      while (ledger_.outstanding() < 300 && wait_until_ < std::chrono::steady_clock::now()) {
        std::uint64_t number;
        if (!again_.empty())
          number = again_.extract(again_.begin()).value();
        else if (next_ < allowed)
          number = next_++;
        else
          break;
        message m{std::string(submissions_exchange), std::string(submissions_queue), {}, {}, {}};
        m.body = R"({"agent":"alpha-cal","job_id":"chaos-)" + std::to_string(number) + R"("})";
        m.properties.content_type = "application/json";
        m.properties.delivery_mode = 2;
        m.properties.message_id = std::to_string(number);
        ledger_.publish(number);
        if (!c.publish(1, m, true)) return;
      }
      auto event = c.next(5ms);
      if (!event) return;
      if (!*event) continue;
      const auto* word = std::get_if<confirmed>(&**event);
      if (!word) continue;
      heard_at = now;
      if (word->stored) stored_at = now;
      ledger_.settle(word->tag, word->multiple, [&](std::uint64_t&& number) {
        if (word->stored) {
          ++confirmed_count;
        } else {
          ++nacks;
          again_.insert(number);
          wait_until_ = std::chrono::steady_clock::now() + 20ms;  // on the same channel, a moment later
        }
      });
    }
  }

  static constexpr auto refusals_max = 5s;  // longer than an election and a node's start
  const options options_;
  const std::uint64_t count_;
  confirm_ledger<std::uint64_t> ledger_;
  std::set<std::uint64_t> again_;
  std::uint64_t next_ = 0;
  std::chrono::steady_clock::time_point wait_until_{};
  std::mutex mutex_;
  std::condition_variable stopping_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// Reads a queue of events through all faults, and knows which it has seen.
class event_reader {
public:
  event_reader(const options& o, std::string queue)
      : options_(o), queue_(std::move(queue)), thread_([this] { run(); }) {}
  ~event_reader() {
    stop_ = true;
    thread_.join();
  }
  std::atomic<std::uint64_t> distinct{0};

private:
  void run() {
    for (std::size_t host = 0; !stop_; ++host) {
      socket_watch watch([] {});
      auto opened = connection::open(options_.hosts[host % options_.hosts.size()], options_.connection, watch);
      if (!opened) continue;
      auto& c = **opened;
      if (c.open_channel(1) && c.prefetch(1, 2'000) && c.consume(1, queue_, "reader")) read(c);
    }
  }
  void read(connection& c) {
    std::uint64_t last = 0, acknowledged = 0;
    while (!stop_) {
      auto event = c.next(100ms);
      if (!event || (*event && !std::holds_alternative<delivery_ptr>(**event))) return;  // cancelled, or cut
      if (*event) {
        const auto& d = *std::get<delivery_ptr>(**event);
        seen_.insert(d.what.properties.message_id);
        distinct = seen_.size();
        last = d.tag;
      }
      if (last - acknowledged < (*event ? 500u : 1u)) continue;
      if (!c.ack(1, last, true)) return;
      acknowledged = last;
    }
  }

  const options options_;
  const std::string queue_;
  std::unordered_set<std::string> seen_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST(RabbitmqChaos, NothingAcknowledgedIsLostNothingIsAppliedTwice) {
  if (cluster::from_environment().empty())
    GTEST_SKIP()
        << "HORIZONS_RABBITMQ_URLS is not set: ./dev services up rabbitmq, then eval \"$(./dev services env)\"";
  const bool is_long = std::getenv("HORIZONS_LONG") != nullptr;
  const char* wanted = std::getenv("HORIZONS_CHAOS_MESSAGES");
  const std::uint64_t count = wanted ? std::strtoull(wanted, nullptr, 10) : is_long ? 1'000'000 : 50'000;
  ASSERT_GE(count, 10'000u) << "HORIZONS_CHAOS_MESSAGES: fewer are through before the faults come";
  const test::own_servers own({"rabbitmq"});
  ASSERT_TRUE(own.up()) << own.problem();
  cluster all(own["HORIZONS_RABBITMQ_URLS"]);
  vhost mine(all);
  auto o = mine.bridge_options();
  o.connection.connect_max = 1s;
  o.connection.answer_max = 3s;
  o.confirm_max = 3s;
  o.prefetch = 500;
  // One fault at a time: two nodes of three away would be no failure to survive but one to wait for. A node that was
  // frozen pauses by itself when it finds that the others went on without it, and takes no logins until it is back.
  const auto all_back = [&] {
    return eventually(
        [&] {
          socket_watch watch([] {});
          return std::ranges::all_of(
              o.hosts, [&](const endpoint& host) { return connection::open(host, o.connection, watch).has_value(); });
        },
        120s);
  };
  ASSERT_TRUE(all_back());  // a cluster that was just put together may be joining still
  house h(mine.name());
  h.keeps_commands = false;
  auto m = std::make_shared<metrics>();
  {
    client c(o);
    const auto topology = declare(c.raw(), 3, o);
    ASSERT_TRUE(topology && topology->usable && topology->refused.empty());
    ASSERT_TRUE(c->declare_queue(3, "chaos-reader", true, {{"x-queue-type", field::text("quorum")}}));
    ASSERT_TRUE(c->bind(3, "chaos-reader", "job.events", ""));
  }
  auto source_actor = h.system.spawn_blocking<source_api>({.name = "source"}, source(h.services(), o, m));
  auto relay_actor =
      h.system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane}, relay(h.services(), o, m));
  event_reader reader(o, "chaos-reader");
  careful_publisher publisher(o, count);

  // A part with each fault, or all at once: then the faults go on until they are through.
  const auto more = [&] { publisher.allowed = is_long ? count : std::min(count, publisher.allowed + count / 10); };
  const auto moves_on = [&](const char* after) {  // work goes on while a node is away
    const std::uint64_t confirmed_before = publisher.confirmed_count, applied_before = h.applied,
                        relayed_before = m->relay_position;
    more();
    EXPECT_TRUE(eventually(
        [&] {
          return publisher.done() || (publisher.confirmed_count > confirmed_before && h.applied > applied_before &&
                                      m->relay_position > relayed_before);
        },
        60s))
        << "nothing moves after: " << after << ": " << publisher.confirmed_count - confirmed_before << " confirmed, "
        << h.applied - applied_before << " applied, " << m->relay_position - relayed_before
        << " relayed; the publisher has " << publisher.connections << " connections, " << publisher.nacks
        << " refusals behind it";
  };
  more();
  ASSERT_TRUE(eventually([&] { return h.applied > 1'000; }, 60s));
  int faults = 0;
  while (is_long ? !publisher.done() : faults < 3) {
    EXPECT_TRUE(all_back());
    const int fault = faults++ % 3, victim = 1 + faults % 3;
    switch (fault) {
      case 0:
        more();
        EXPECT_EQ(own.rabbitmq_node(victim, "kill"), "");
        moves_on("kill -9");
        EXPECT_EQ(own.rabbitmq_node(victim, "start"), "");
        break;
      case 1:
        EXPECT_EQ(own.rabbitmq_node(victim, "partition"), "");
        moves_on("partition");
        EXPECT_EQ(own.rabbitmq_node(victim, "heal"), "");
        break;
      default:
        EXPECT_EQ(own.rabbitmq_node(victim, "freeze"), "");
        moves_on("SIGSTOP");
        EXPECT_EQ(own.rabbitmq_node(victim, "thaw"), "");
    }
    // A node that was on the losing side restarts itself meanwhile, and can be told nothing.
    std::string refused;
    EXPECT_TRUE(eventually([&] { return (refused = own.rabbitmq_node(1 + victim % 3, "cut")).empty(); })) << refused;
    moves_on("cut connections");
    if (!is_long) continue;
    std::printf("%d faults: %" PRIu64 " confirmed, %" PRIu64 " applied, %" PRIu64 " relayed, %" PRIu64 " read\n",
                faults, publisher.confirmed_count.load(), h.applied.load(), m->relay_position.load(),
                reader.distinct.load());
    std::fflush(stdout);
    eventually([&] { return publisher.done(); }, 15s);  // and some time of peace
  }
  EXPECT_GE(faults, 3);
  publisher.allowed = count;
  EXPECT_TRUE(eventually([&] { return publisher.done(); }, 2min))
      << publisher.confirmed_count << " of " << count << " confirmed";
  EXPECT_TRUE(eventually([&] { return h.applied >= count; }, is_long ? 5min : 2min)) << h.applied << " applied";
  EXPECT_EQ(h.applied, count);

  std::unordered_set<std::string> jobs;
  const auto events = h.events("job.submitted");
  for (const auto& e : events) jobs.insert(e.job_id);
  EXPECT_EQ(events.size(), count) << "applied twice";
  EXPECT_EQ(jobs.size(), count) << "lost after acknowledgement";
  auto relayed_more = [&, last = std::uint64_t{0}]() mutable {
    const auto before = std::exchange(last, m->relay_position.load());
    return eventually([&] { return m->relay_position == count || m->relay_position >= before + 10'000; }, 2min);
  };
  while (m->relay_position < count && relayed_more()) {  // many events behind: as long as it goes on
  }
  EXPECT_EQ(m->relay_position, count);
  EXPECT_TRUE(eventually([&] { return reader.distinct == count; }, 2min)) << reader.distinct << " events read";
  EXPECT_EQ(m->dead_lettered, 0u);
  {
    client c(o);
    EXPECT_EQ(c.depth("job-dlq"), 0u);
    EXPECT_TRUE(eventually([&] { return c.depth("job-submissions") == 0; }));
  }
  EXPECT_GT(m->source.connects, 1u);
  EXPECT_GT(m->relay.connects, 1u);
  RecordProperty("faults", std::to_string(faults));
  RecordProperty("repeated", std::to_string(h.repeated));
  RecordProperty("source_connects", std::to_string(m->source.connects));
  RecordProperty("relay_nacks", std::to_string(m->relay.nacked));

  EXPECT_TRUE(all_back());
  // A memory alarm: the relay pauses, says so, and goes on when it is over.
  // Ordered again and again, of a node that was not hurt last: one that restarts itself meanwhile forgets it.
  std::uint64_t appended = 0;
  const auto how = [&] {
    const auto r = h.system.ask(relay_actor, health{}, 10s);
    return r ? r->state : r.error().text;
  };
  EXPECT_TRUE(eventually([&] {
    if (!own.rabbitmq_node(2, "alarm").empty()) return false;
    EXPECT_TRUE(h.append({h.event_of("alarm-" + std::to_string(++appended), job_submitted{.agent = "a"}, 1)}));
    return how().find("memory or disk alarm") != std::string::npos;
  })) << how();
  EXPECT_EQ(own.rabbitmq_node(2, "calm"), "");
  EXPECT_TRUE(eventually([&] { return m->relay_position == count + appended; })) << m->relay_position;
  EXPECT_GT(m->relay.blocked_ns, 0u);

  // R1: a frozen node takes bytes until its buffers are full, and answers nothing. The publish comes back.
  {
    auto frozen = o;
    frozen.hosts = {o.hosts[1]};
    client c(frozen);
    ASSERT_TRUE(c->declare_queue(3, "frozen", false, {}));
    EXPECT_EQ(own.rabbitmq_node(2, "freeze"), "");
    result<void> sent;
    const message large{"", "frozen", {}, std::string(1 << 20, 'x'), {}};
    for (int i = 0; sent && i < 10'000; ++i) sent = c->publish(1, large, false);
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().code, error_code::unavailable);
    EXPECT_EQ(own.rabbitmq_node(2, "thaw"), "");
  }
  EXPECT_TRUE(h.system.stop(source_actor, 10s));
  EXPECT_TRUE(h.system.stop(relay_actor, 10s));
}

}  // namespace
}  // namespace horizons::rabbitmq::testing
