// Source, relay and dead letters as actors, on a real cluster and a journal in memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateways/rabbitmq/dead_letters.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"
#include "tests/gateways/rabbitmq/broker.hpp"
#include "tests/gateways/rabbitmq/house.hpp"

namespace horizons::rabbitmq::testing {

class RabbitmqBridge : public BrokerTest {
protected:
  void SetUp() override {
    BrokerTest::SetUp();
    if (IsSkipped()) return;
    house_ = std::make_unique<house>(vhost_->name());
    metrics_ = std::make_shared<metrics>();
  }
  void TearDown() override { house_.reset(); }

  void start_source() {
    source_ =
        house_->system.spawn_blocking<source_api>({.name = "source"}, source(house_->services(), options_, metrics_));
    ASSERT_TRUE(eventually([&] { return metrics_->source.connected.load(); }));
  }
  void start_relay() {
    relay_ = house_->system.spawn_blocking<relay_api>({.name = "relay", .limits = relay_lane},
                                                      relay(house_->services(), options_, metrics_));
    ASSERT_TRUE(eventually([&] { return metrics_->relay.connected.load(); }));
  }
  void start_letters() {
    letters_ = house_->system.spawn_blocking<dead_letters_api>({.name = "dead-letters"},
                                                               dead_letters(house_->services(), options_, metrics_));
    box_ = make_dead_letter_box(house_->system, letters_);
    ASSERT_TRUE(eventually([&] { return metrics_->dead_letters.connected.load(); }));
  }
  std::vector<bridges::dead_letter> list(const bridges::dead_letter_filter& f = {}) {
    return house_->system.ask(letters_, list_letters{f}, 30s).value_or(std::vector<bridges::dead_letter>{});
  }
  template <class Api>
  void stop(const kit::handle<Api>& h) {
    EXPECT_TRUE(house_->system.stop(h, 10s));
  }
  bool eventually_depth(client& c, const std::string& queue, std::uint32_t messages) {
    return eventually([&] { return c.depth(queue) == messages; });
  }

  std::unique_ptr<house> house_;
  std::shared_ptr<metrics> metrics_;
  kit::handle<source_api> source_;
  kit::handle<relay_api> relay_;
  kit::handle<dead_letters_api> letters_;
  std::unique_ptr<bridges::dead_letter_box> box_;
};

}  // namespace horizons::rabbitmq::testing
