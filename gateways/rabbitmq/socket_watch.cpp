#include "gateways/rabbitmq/socket_watch.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <utility>

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
    : readable_(std::move(readable)),
      epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] {
        add(wake_fd_, EPOLLIN);
        run();
      }) {}

socket_watch::~socket_watch() {
  stop_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);  // full: it is awake anyway
  thread_.join();
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

void socket_watch::add(int fd, std::uint32_t events) const {
  epoll_event what{};
  what.events = events;
  what.data.fd = fd;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &what);
}

void socket_watch::watch(int fd) {
  announced_ = false;
  const std::lock_guard lock(mutex_);
  if (fd_ >= 0) ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd_, nullptr);
  fd_ = fd;
  if (fd_ >= 0) add(fd_, EPOLLONESHOT);  // nothing yet
}

void socket_watch::announce() {
  if (!std::exchange(announced_, true)) readable_();
}

void socket_watch::arm() {
  announced_ = false;
  const std::lock_guard lock(mutex_);
  if (fd_ < 0) return;
  epoll_event what{};
  what.events = EPOLLIN | EPOLLONESHOT;
  what.data.fd = fd_;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd_, &what);
}

void socket_watch::run() {
  while (!stop_) {
    std::array<epoll_event, 2> events{};
    const int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), look_every_ms);
    bool tell = false;
    {
      const std::lock_guard lock(mutex_);
      const auto deadline = deadline_ns_.load(std::memory_order_acquire);
      if (deadline != 0 && fd_ >= 0 && now_ns() > deadline) {
        ::shutdown(fd_, SHUT_RDWR);
        deadline_ns_ = 0;
        ++cuts_;
      }
      for (int i = 0; i < count; ++i) tell |= events[static_cast<std::size_t>(i)].data.fd == fd_;
    }
    if (tell) readable_();
  }
}

}  // namespace horizons::rabbitmq
