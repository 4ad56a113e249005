// How soon control messages are answered while every source sends ten times what can be done.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "bench/runtime/runtime_sides/signal.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::bench {

struct heavy {
  std::string payload;
  friend std::size_t bytes_of(const heavy& h) { return sizeof(heavy) + h.payload.size(); }
};
struct status_question {
  static constexpr auto lane = kit::lane::control;
  using reply = std::uint64_t;
};

/// Milliseconds per answer, over `duration`: two workers of 100 µs a message, two sources without pause.
inline std::vector<double> answer_times_under_overload(std::chrono::seconds duration) {
  using worker_api = kit::accepts<heavy, status_question>;
  kit::system sys;
  std::vector<kit::handle<worker_api>> workers;
  for (int i = 0; i < 2; ++i)
    workers.push_back(sys.spawn<worker_api>({.name = "worker" + std::to_string(i)}, [](kit::context&) {
      auto done = std::make_shared<std::uint64_t>(0);
      return kit::behavior{}
          .on<heavy>([done](const heavy&) {
            for (const auto end = clock_type::now() + std::chrono::microseconds(100); clock_type::now() < end;) {
            }
            ++*done;
          })
          .on<status_question>([done](const status_question&) -> result<std::uint64_t> { return *done; });
    }));
  std::atomic<bool> stop{false};
  std::vector<std::thread> sources;
  for (auto& worker : workers)
    sources.emplace_back([&stop, worker] {
      while (!stop) worker.send(heavy{std::string(1024, 'x')});
    });
  std::vector<double> ms;
  for (const auto begin = clock_type::now(); clock_type::now() - begin < duration;)
    for (auto& worker : workers) {
      const auto asked = clock_type::now();
      if (sys.ask(worker, status_question{}, std::chrono::seconds(10))) ms.push_back(seconds_since(asked) * 1e3);
    }
  stop = true;
  for (auto& s : sources) s.join();
  return ms;
}

}  // namespace horizons::bench
