// Three brokers of a test's own, to be killed: started by ./dev services in a folder and on ports of their own.
#pragma once

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "tests/gateways/kafka/house.hpp"

namespace horizons::kafka::testing {

class own_cluster {
public:
  /// `shift` is added to every port.
  explicit own_cluster(int shift = free_shift()) : shift_(shift) {
    home_ = std::filesystem::temp_directory_path() / ("horizons-" + unique("brokers"));
    std::filesystem::create_directories(home_);
    up_ = services("up kafka");
    for (int i = 1; i <= 3; ++i) brokers_.push_back("127.0.0.1:" + std::to_string(19'090 + i + shift_));
  }
  ~own_cluster() {
    services("down kafka");
    std::filesystem::remove_all(home_);
  }
  own_cluster(const own_cluster&) = delete;

  bool up() const { return up_; }
  const std::vector<std::string>& brokers() const { return brokers_; }

  /// Broker 1 to 3: SIGKILL, SIGSTOP, SIGCONT …
  void signal(int broker, int number) const {
    std::ifstream file(home_ / ("kafka-" + std::to_string(broker) + ".pid"));
    pid_t pid = 0;
    if (file >> pid && pid > 1) ::kill(-pid, number);
  }
  /// Kills it, if it still runs, and starts it again with its data.
  bool restart(int broker) const { return services("restart kafka-" + std::to_string(broker)); }

  /// As `broker` sees it, every replica of the topic is in sync, its own included: only then may the next broker die.
  /// Others may not have noticed yet that it was away.
  bool in_sync(int broker, kafka_options options, const std::string& topic, milliseconds limit) const {
    options.brokers = {brokers_[static_cast<std::size_t>(broker) - 1]};
    auto c = client::open(client_role::admin, options);
    if (!c) return false;
    return eventually(
        [&] {
          std::this_thread::sleep_for(50ms);
          const rd_kafka_metadata_t* raw = nullptr;
          if (rd_kafka_metadata(c->get(), 1, nullptr, &raw, 2'000) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
          const metadata_ptr view(raw);
          bool seen = false;
          for (int t = 0; t < view->topic_cnt; ++t) {
            seen = seen || view->topics[t].topic == topic;
            for (int p = 0; p < view->topics[t].partition_cnt; ++p)
              if (view->topics[t].partitions[p].isr_cnt < view->topics[t].partitions[p].replica_cnt ||
                  view->topics[t].partitions[p].leader < 0)
                return false;
          }
          return seen && view->broker_cnt == 3;
        },
        limit);
  }
  bool in_sync(const kafka_options& options, const std::string& topic, milliseconds limit) const {
    for (int i = 1; i <= 3; ++i)
      if (!in_sync(i, options, topic, limit)) return false;
    return true;
  }

private:
  static bool is_free(int port) {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool yes = ::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(s);
    return yes;
  }
  /// What is added to every port. Other tests may start brokers at the same time, so the choice begins anywhere.
  static int free_shift() {
    const auto begin = std::random_device{}();
    for (unsigned i = 0; i < 80; ++i) {
      const int shift = 100 + static_cast<int>((begin + i) % 80) * 10;
      bool all = true;
      for (const int port : {19'091, 19'092, 19'093, 20'091, 20'092, 20'093}) all = all && is_free(port + shift);
      if (all) return shift;
    }
    return 900;
  }
  bool services(const std::string& what) const {
    const auto command =
        "HORIZONS_SERVICES_HOME='" + home_.string() + "' HORIZONS_SERVICES_PORT_SHIFT=" + std::to_string(shift_) +
        " '" HORIZONS_SOURCE_DIR "/dev' services " + what + " >> '" + home_.string() + "/services.log' 2>&1";
    return std::system(command.c_str()) == 0;
  }

  int shift_;
  std::filesystem::path home_;
  std::vector<std::string> brokers_;
  bool up_ = false;
};

}  // namespace horizons::kafka::testing
