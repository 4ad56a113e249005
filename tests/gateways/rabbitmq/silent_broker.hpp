// Stands between a client and a broker and bends the broker's confirms: what a client sees of a broker that lives,
// answers heartbeats and confirms nothing, of a channel that refuses everything, or of one that confirms while it is
// being closed, or of one that ends consumers without a word. Serves one connection after the other.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "gateways/rabbitmq/url.hpp"

namespace horizons::rabbitmq::testing {

class silent_broker {
public:
  explicit silent_broker(endpoint broker) : broker_(std::move(broker)) {
    auto address = loopback(0);
    socklen_t size = sizeof address;
    ok_ = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(listener_, 8) == 0 &&
          ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~silent_broker() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto told = ::write(stop_, &one, sizeof one);
    thread_.join();
    for (const int fd : {listener_, stop_, cut_}) ::close(fd);
  }
  silent_broker(const silent_broker&) = delete;

  bool ok() const { return ok_; }
  /// Where clients find it: the broker's url with another port.
  endpoint address() const {
    auto e = broker_;
    e.host = "127.0.0.1";
    e.port = port_;
    return e;
  }
  /// From now on, for the connection that is there now; the next one gets everything.
  void keep_confirms() { silent_ = connections.load(); }
  /// This channel of each connection refuses what is published on it, until it is opened anew.
  void refuse_on(int channel) { refuses_on_ = channel; }
  /// What was published on this channel before it is closed first is confirmed right before the answer to that.
  void confirm_late_on(int channel) { late_on_ = channel; }
  /// No client hears that its consumer was ended.
  void keep_cancels() { keeps_cancels_ = true; }
  /// Cuts the connection that is there now.
  void cut() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto told = ::write(cut_, &one, sizeof one);
  }
  std::atomic<int> connections{0}, kept{0}, refused{0}, late{0}, cancels{0};

private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void run() {
    int client = -1, server = -1;
    std::string asked, frames;
    const auto hang_up = [&] {
      for (int* fd : {&client, &server})
        if (*fd >= 0) ::close(std::exchange(*fd, -1));
      asked.clear();
      frames.clear();
      held_.clear();
      openings_ = 0;
    };
    while (true) {
      std::array<pollfd, 5> all{{{stop_, POLLIN, 0},
                                 {client < 0 ? listener_ : -1, POLLIN, 0},
                                 {client, POLLIN, 0},
                                 {server, POLLIN, 0},
                                 {cut_, POLLIN, 0}}};
      if (::poll(all.data(), all.size(), -1) < 0 || all[0].revents) break;
      if (all[4].revents) {
        std::uint64_t times = 0;
        if (::read(cut_, &times, sizeof times) == sizeof times) hang_up();
        continue;
      }
      if (all[1].revents) {
        client = ::accept(listener_, nullptr, nullptr);
        server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const auto to = loopback(broker_.port);
        if (::connect(server, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) hang_up();
        ++connections;
        continue;
      }
      bool alive = true;
      if (all[2].revents)
        alive = pass(client, [&](std::string_view bytes) {
          count_openings(asked += bytes);
          return send(server, bytes);
        });
      if (alive && all[3].revents)
        alive = pass(server, [&](std::string_view bytes) { return send(client, bent(frames += bytes)); });
      if (!alive) hang_up();
    }
    hang_up();
  }

  template <class Then>
  static bool pass(int from, Then then) {
    std::array<char, 65'536> bytes;
    const auto n = ::recv(from, bytes.data(), bytes.size(), 0);
    return n > 0 && then(std::string_view(bytes.data(), static_cast<std::size_t>(n)));
  }
  static bool send(int to, std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // A frame: type, channel (2), size (4), payload, end; a method's payload begins with class (2) and method (2).
  static std::size_t byte(const std::string& text, std::size_t at) { return static_cast<unsigned char>(text[at]); }
  static std::size_t frame_size(const std::string& text) {
    return text.size() < 7 ? SIZE_MAX
                           : 8 + (byte(text, 3) << 24 | byte(text, 4) << 16 | byte(text, 5) << 8 | byte(text, 6));
  }
  static bool is_method(const std::string& text, std::size_t of_class, std::size_t method) {
    return byte(text, 0) == 1 && frame_size(text) >= 12 && byte(text, 8) == of_class && byte(text, 10) == method;
  }

  void count_openings(std::string& waiting) {
    if (waiting.starts_with("AMQP") && waiting.size() >= 8) waiting.erase(0, 8);
    for (auto size = frame_size(waiting); size <= waiting.size(); size = frame_size(waiting)) {
      if (is_method(waiting, 20, 10) && bends(waiting)) ++openings_;
      waiting.erase(0, size);
    }
  }

  bool bends(const std::string& frame) const {
    return byte(frame, 2) == std::size_t(refuses_on_) || byte(frame, 2) == std::size_t(late_on_);
  }

  /// The complete frames of `waiting`, which is left with the rest. 60.30 is basic.cancel, 60.80 basic.ack, 60.120
  /// basic.nack, 20.41 channel.close-ok.
  std::string bent(std::string& waiting) {
    std::string out;
    for (auto size = frame_size(waiting); size <= waiting.size(); size = frame_size(waiting)) {
      const bool confirm = is_method(waiting, 60, 80);
      if (keeps_cancels_ && is_method(waiting, 60, 30)) {
        ++cancels;
      } else if (confirm && silent_ == connections) {
        ++kept;
      } else if (confirm && byte(waiting, 2) == std::size_t(late_on_) && openings_ == 1) {
        ++late;
        held_.append(waiting, 0, size);
      } else {
        if (confirm && byte(waiting, 2) == std::size_t(refuses_on_) && openings_ == 1) {
          waiting[10] = 120;
          ++refused;
        }
        if (is_method(waiting, 20, 41) && bends(waiting)) out += std::exchange(held_, {});
        out.append(waiting, 0, size);
      }
      waiting.erase(0, size);
    }
    return out;
  }

  const endpoint broker_;
  const int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int stop_ = ::eventfd(0, EFD_CLOEXEC), cut_ = ::eventfd(0, EFD_CLOEXEC);
  bool ok_ = false;
  std::uint16_t port_ = 0;
  std::atomic<int> silent_{0};
  std::atomic<int> refuses_on_{0}, late_on_{0};
  std::atomic<bool> keeps_cancels_{false};
  int openings_ = 0;  // of that channel, on this connection
  std::string held_;  // confirms that are late
  std::thread thread_;
};

}  // namespace horizons::rabbitmq::testing
