// A thread beside a connection's own: says when there is something to read, so that the owner can sleep in its mailbox,
// and cuts the socket when a library call does not come back (R1: a publish to a frozen broker blocks for ever). It
// never reads, writes or closes the socket.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace horizons::rabbitmq {

class socket_watch {
public:
  using milliseconds = std::chrono::milliseconds;

  /// `readable` is called on the watch's thread, once per arm().
  explicit socket_watch(std::function<void()> readable);
  ~socket_watch();
  socket_watch(const socket_watch&) = delete;

  void watch(int fd);  // before the owner closes it: watch(-1)
  void arm();          // does not disturb the watch's thread
  /// For what was read from the socket already: `readable` is called here, once until the next arm().
  void announce();

  /// While it lives the owner is inside a library call that must end within `time`.
  class limit {
  public:
    limit(socket_watch& w, milliseconds time);
    ~limit() { watch_.deadline_ns_.store(0, std::memory_order_release); }
    limit(const limit&) = delete;

  private:
    socket_watch& watch_;
  };

  /// How often a socket had to be cut.
  std::uint64_t cuts() const { return cuts_; }

private:
  void run();
  void add(int fd, std::uint32_t events) const;

  const std::function<void()> readable_;
  const int epoll_fd_, wake_fd_;
  bool announced_ = false;  // the owner's
  std::mutex mutex_;        // fd_; held while the socket is cut, so that it cannot be closed meanwhile
  int fd_ = -1;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> deadline_ns_{0};  // steady clock; 0: no call is running
  std::atomic<std::uint64_t> cuts_{0};
  std::thread thread_;
};

}  // namespace horizons::rabbitmq
