#include "gateways/rabbitmq/socket_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>

namespace horizons::rabbitmq {

namespace {

constexpr int look_every_ms = 250;  // how late a stalled call may be noticed

/// Good to a few milliseconds, and cheap: it is asked for with every frame.
std::int64_t now_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

socket_watch::limit::limit(socket_watch& w, milliseconds time) : watch_(w) {
  watch_.deadline_ns_.store(now_ns() + std::chrono::nanoseconds(time).count(), std::memory_order_release);
}

socket_watch::socket_watch(std::function<void()> readable)
    : readable_(std::move(readable)), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

socket_watch::~socket_watch() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  thread_.join();
  ::close(wake_fd_);
}

void socket_watch::watch(int fd) {
  {
    std::lock_guard lock(mutex_);
    fd_ = fd;
    armed_ = false;
  }
  wake();
}

void socket_watch::arm() {
  {
    std::lock_guard lock(mutex_);
    if (armed_) return;
    armed_ = true;
  }
  wake();
}

void socket_watch::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);  // full: it is awake anyway
}

void socket_watch::run() {
  while (true) {
    int watched;
    {
      std::lock_guard lock(mutex_);
      if (stop_) return;
      watched = armed_ ? fd_ : -1;
    }
    std::array<pollfd, 2> fds{{{wake_fd_, POLLIN, 0}, {watched, POLLIN, 0}}};
    ::poll(fds.data(), watched >= 0 ? 2 : 1, look_every_ms);
    if (fds[0].revents != 0) {
      std::uint64_t count;
      [[maybe_unused]] const auto read = ::read(wake_fd_, &count, sizeof count);
    }
    bool tell = false;
    {
      std::lock_guard lock(mutex_);
      const auto deadline = deadline_ns_.load(std::memory_order_acquire);
      if (deadline != 0 && fd_ >= 0 && now_ns() > deadline) {
        ::shutdown(fd_, SHUT_RDWR);
        deadline_ns_ = 0;
        ++cuts_;
      }
      tell = watched >= 0 && watched == fd_ && fds[1].revents != 0 && armed_;
      if (tell) armed_ = false;
    }
    if (tell) readable_();
  }
}

}  // namespace horizons::rabbitmq
