#include "runtime/shutdown/signals.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace horizons::shutdown {

signal_waiter::signal_waiter() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

signal_waiter::~signal_waiter() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<int> signal_waiter::wait(std::chrono::milliseconds limit) {
  using clock = std::chrono::steady_clock;
  auto end = clock::now() + limit;
  for (;;) {
    signalfd_siginfo info{};
    if (fd_ >= 0 && ::read(fd_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end - clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(std::min<long>(left, 60'000))) < 0 && errno != EINTR) return std::nullopt;
  }
}

}  // namespace horizons::shutdown
