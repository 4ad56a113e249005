// A real cluster for a test: a virtual host of its own, so that tests do not meet, and a plain client beside ours.
// Tests are skipped when HORIZONS_RABBITMQ_URLS is not set (`./dev services up rabbitmq`, `./dev services env`).
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "gateways/rabbitmq/topology.hpp"

namespace horizons::rabbitmq::testing {

using namespace std::chrono_literals;

inline bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 30s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return condition();
}

inline std::string output_of(const std::string& command) {
  std::string text;
  std::array<char, 4'096> part;
  FILE* pipe = ::popen(command.c_str(), "r");
  while (pipe && std::fgets(part.data(), part.size(), pipe)) text += part.data();
  if (pipe) ::pclose(pipe);
  return text;
}

/// The addresses of a cluster whose management interface answers ten ports above the first node, as `services` sets
/// it up.
class cluster {
public:
  explicit cluster(std::string urls) {
    for (std::size_t from = 0; from < urls.size();) {
      const auto comma = std::min(urls.find(',', from), urls.size());
      urls_.push_back(urls.substr(from, comma - from));
      from = comma + 1;
    }
  }
  static std::string from_environment() {
    const char* urls = std::getenv("HORIZONS_RABBITMQ_URLS");
    return urls ? urls : "";
  }
  const std::vector<std::string>& urls() const { return urls_; }

  /// One call of the management interface; what it answers.
  std::string manage(const std::string& method, const std::string& path, const std::string& body = "{}") const {
    const auto first = parse_url(urls_.front());
    return output_of("curl -s -m 20 -u guest:guest -X " + method + " -H 'content-type: application/json' -d '" + body +
                     "' http://127.0.0.1:" + std::to_string(first->port + 10) + "/api/" + path);
  }

private:
  std::vector<std::string> urls_;
};

/// A virtual host that is gone afterwards.
class vhost {
public:
  explicit vhost(const cluster& c) : cluster_(c) {
    static std::atomic<int> count{0};
    name_ = "test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
    cluster_.manage("PUT", "vhosts/" + name_);
    cluster_.manage("PUT", "permissions/" + name_ + "/guest", R"({"configure":".*","write":".*","read":".*"})");
  }
  ~vhost() { cluster_.manage("DELETE", "vhosts/" + name_); }

  const std::string& name() const { return name_; }
  std::vector<std::string> urls() const {
    std::vector<std::string> out;
    for (const auto& url : cluster_.urls()) out.push_back(url + "/" + name_);
    return out;
  }
  options bridge_options() const {
    auto o = options_from({.urls = urls(), .reconnect_ms = 50, .heartbeat_s = 2, .prefetch = 100}, "test").value();
    o.connection.connect_max = 2s;
    o.connection.answer_max = 5s;
    return o;
  }

private:
  const cluster& cluster_;
  std::string name_;
};

/// A client as anybody could write one: publishes with confirms, reads queues.
class client {
public:
  /// A long heartbeat: nobody serves it while the test looks elsewhere.
  explicit client(const options& o, int heartbeat_s = 60) : watch_([] {}) {
    auto mine = o.connection;
    mine.heartbeat_s = heartbeat_s;
    // The first host that answers: where brokers are killed, some of them are not there for a while.
    std::string why;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
         !c_ && std::chrono::steady_clock::now() < end;)
      for (const auto& host : o.hosts) {
        if (c_) break;
        auto c = connection::open(host, mine, watch_);
        if (c)
          c_ = std::move(*c);
        else
          why = c.error().text;
      }
    if (!c_) {
      ADD_FAILURE() << why;
      return;
    }
    EXPECT_TRUE(c_->open_channel(1));
    EXPECT_TRUE(c_->confirm_select(1));
    EXPECT_TRUE(c_->open_channel(2));
    EXPECT_TRUE(c_->open_channel(3));
  }
  connection& raw() { return *c_; }
  connection* operator->() { return c_.get(); }

  /// True when the broker has it.
  bool publish(const message& m) {
    if (auto sent = c_->publish(1, m, true); !sent) {
      ADD_FAILURE() << sent.error().text;
      return false;
    }
    bool came_back = false;
    for (;;) {
      auto event = c_->next(10s);
      if (!event || !*event) {
        ADD_FAILURE() << (event ? "no confirm" : event.error().text);
        return false;
      }
      if (std::holds_alternative<returned_ptr>(**event)) came_back = true;
      if (const auto* c = std::get_if<confirmed>(&**event)) return c->stored && !came_back;
      if (auto* d = std::get_if<delivery_ptr>(&**event)) deliveries.push_back(std::move(**d));
    }
  }
  bool submit(const std::string& body, const properties& p = {}) {
    message m{std::string(submissions_exchange), std::string(submissions_queue), p, body, {}};
    if (m.properties.content_type.empty()) m.properties.content_type = "application/json";
    return publish(m);
  }
  std::uint32_t depth(const std::string& queue) {
    auto state = c_->queue_depth(3, queue);
    if (state) return state->messages;
    EXPECT_TRUE(c_->open_channel(3));
    return 0;
  }
  bool exists(const std::string& queue) {
    if (c_->queue_depth(3, queue)) return true;
    EXPECT_TRUE(c_->open_channel(3));
    return false;
  }
  /// The next message of a queue, waiting for it; it is acknowledged.
  std::optional<message> take(const std::string& queue, std::chrono::milliseconds limit = 20s) {
    std::optional<message> taken;
    eventually(
        [&] {
          auto got = c_->get(2, queue);
          if (!got) return !c_->open_channel(2);  // the queue is not there, or the connection is not
          if (!*got) return false;
          EXPECT_TRUE(c_->ack(2, (**got).tag));
          taken = std::move((**got).what);
          return true;
        },
        limit);
    return taken;
  }
  /// What consumers of channel 2 get.
  std::optional<delivery> next_delivery(std::chrono::milliseconds limit = 20s) {
    if (deliveries.empty()) {
      const auto end = std::chrono::steady_clock::now() + limit;
      while (std::chrono::steady_clock::now() < end) {
        auto event = c_->next(200ms);
        if (!event) {
          ADD_FAILURE() << event.error().text;
          return std::nullopt;
        }
        if (!*event) continue;
        if (auto* d = std::get_if<delivery_ptr>(&**event)) return std::move(**d);
      }
      return std::nullopt;
    }
    auto d = std::move(deliveries.front());
    deliveries.erase(deliveries.begin());
    return d;
  }
  std::vector<delivery> deliveries;

private:
  socket_watch watch_;
  std::unique_ptr<connection> c_;
};

/// Skips without a cluster; else gives each test a virtual host.
class BrokerTest : public ::testing::Test {
protected:
  void SetUp() override {
    if (cluster::from_environment().empty())
      GTEST_SKIP()
          << "HORIZONS_RABBITMQ_URLS is not set: ./dev services up rabbitmq, then eval \"$(./dev services env)\"";
    cluster_ = std::make_unique<cluster>(cluster::from_environment());
    vhost_ = std::make_unique<vhost>(*cluster_);
    options_ = vhost_->bridge_options();
  }

  std::unique_ptr<cluster> cluster_;
  std::unique_ptr<vhost> vhost_;
  options options_;
};

}  // namespace horizons::rabbitmq::testing
