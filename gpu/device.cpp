#include "gpu/device.hpp"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "gpu/parallel.hpp"
#include "runtime/kit/credit.hpp"

namespace horizons::gpu {

namespace {

struct unit {
  std::string id;
  std::function<void(std::stop_token)> work;
  std::function<void(unit_end)> on_end;
  std::stop_source stop;
};
using unit_ptr = std::shared_ptr<unit>;

/// One thread that runs one unit at a time, in order, and tells of each end. It goes on to the next by itself: a device
/// with many short units costs no switch between threads for each. Owned by shared_ptr, so that a thread that is given
/// up can finish in its own time without the device.
class worker : public std::enable_shared_from_this<worker> {
public:
  static std::shared_ptr<worker> start(std::function<void(unit_ptr)> ended) {
    auto w = std::shared_ptr<worker>(new worker(std::move(ended)));
    std::thread([w] { w->loop(); }).detach();
    return w;
  }

  void add(unit_ptr u) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(u));
      wake = std::exchange(idle_, false);  // told once: it takes a while to wake up
    }
    if (wake) wake_.notify_one();
  }

  /// Ends when the present unit has; answers those that it had not begun.
  std::deque<unit_ptr> finish() {
    std::lock_guard lock(mutex_);
    finished_ = true;
    wake_.notify_one();
    return std::exchange(waiting_, {});
  }

private:
  explicit worker(std::function<void(unit_ptr)> ended) : ended_(std::move(ended)) {}

  void loop() {
    for (;;) {
      std::unique_lock lock(mutex_);
      idle_ = true;
      wake_.wait(lock, [&] { return !waiting_.empty() || finished_; });
      idle_ = false;
      if (waiting_.empty()) return;
      auto u = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      std::exchange(u->work, nullptr)(u->stop.get_token());
      ended_(std::move(u));
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::function<void(unit_ptr)> ended_;
  std::deque<unit_ptr> waiting_;
  bool idle_ = false, finished_ = false;
};

class device {
public:
  device(kit::context& self, device_info info, device_limits limits)
      : self_(self),
        info_(std::move(info)),
        limits_(limits),
        window_({.messages = limits.units_max, .bytes = limits.units_max}, kit::gauge_of(self)),
        post_(self.mailbox_executor()),
        worker_(new_worker()) {
    self_.on_stop([this] {
      for (auto& u : units_) u->stop.request_stop();
      if (units_.empty()) return self_.quit();
      stopping_ = true;
    });
  }

  ~device() {
    for (auto& u : units_) {  // the supervisor ended us: nobody else will say so
      u->stop.request_stop();
      u->on_end(unit_end::lost);
    }
    worker_->finish();
  }

  void accept(run_unit& r) {
    if (window_.outstanding() >= limits_.units_max || stopping_) return r.on_end(unit_end::lost);
    window_.received();
    auto u = std::make_shared<unit>();
    u->id = std::move(r.id);
    u->work = std::move(r.work);
    u->on_end = std::move(r.on_end);
    units_.push_back(u);
    if (units_.size() == 1) note_start();
    worker_->add(std::move(u));
  }

  void stop(const stop_unit& s) {
    for (auto& u : units_)
      if (u->id == s.id && !u->stop.stop_requested()) {
        u->stop.request_stop();
        if (u == units_.front()) note_start();
      }
  }

  bool has(const has_unit& h) const {
    for (auto& u : units_)
      if (u->id == h.id) return true;
    return false;
  }

  device_status::reply status() const {
    device_status::reply r{info_, {}, busy_seconds_, done_, abandoned_, limits_.units_max};
    for (auto& u : units_) r.units.push_back(u->id);
    if (!units_.empty()) r.busy_seconds += seconds_since(started_);
    return r;
  }

private:
  double seconds_since(kit::instant t) const { return std::chrono::duration<double>(self_.now() - t).count(); }

  std::shared_ptr<worker> new_worker() {
    return worker::start([post = post_, this](unit_ptr u) { post([this, u = std::move(u)] { ended(u); }); });
  }

  /// The first unit runs, as far as we know. One that was asked to stop gets the grace, then its thread is given up.
  void note_start() {
    if (!units_.front()->stop.stop_requested())
      started_ = self_.now();
    else
      self_.after(limits_.stop_grace, [this, u = units_.front()] { give_up(u); });
  }

  void ended(const unit_ptr& u) {
    // Not always the first: beside a thread that was given up too late two units run for a moment.
    auto at = std::find(units_.begin(), units_.end(), u);
    if (at == units_.end()) return;  // given up before
    ++done_;
    leave(at, unit_end::done);
  }

  void give_up(const unit_ptr& u) {
    if (units_.empty() || units_.front() != u) return;
    ++abandoned_;
    auto waiting = worker_->finish();
    worker_ = new_worker();
    for (auto& w : waiting) worker_->add(std::move(w));
    leave(units_.begin(), unit_end::abandoned);
  }

  void leave(std::deque<unit_ptr>::iterator at, unit_end how) {
    const auto u = *at;
    const bool first = at == units_.begin();
    units_.erase(at);
    window_.done(1);
    if (first) {
      busy_seconds_ += seconds_since(started_);
      started_ = self_.now();
      if (!units_.empty()) note_start();
    }
    u->on_end(how);
    if (units_.empty() && stopping_) self_.quit();
  }

  kit::context& self_;
  device_info info_;
  device_limits limits_;
  kit::credit_window window_;  // of units; `on_end` gives the credit back
  std::function<bool(std::function<void()>)> post_;
  std::shared_ptr<worker> worker_;
  std::deque<unit_ptr> units_;  // the first one runs
  kit::instant started_{};
  double busy_seconds_ = 0;
  std::uint64_t done_ = 0, abandoned_ = 0;
  bool stopping_ = false;
};

}  // namespace

kit::actor_body device_actor(device_info info, device_limits limits) {
  return [info, limits](kit::context& self) {
    auto d = std::make_shared<device>(self, info, limits);
    return kit::behavior{}
        .on<run_unit>([d](run_unit& r) { d->accept(r); })
        .on<stop_unit>([d](const stop_unit& s) { d->stop(s); })
        .on<has_unit>([d](const has_unit& h) -> result<bool> { return d->has(h); })
        .on<device_status>([d](const device_status&) -> result<device_status::reply> { return d->status(); });
  };
}

device_info cpu_device() {
  device_info info{"cpu/0", device_kind::cpu, "CPU", thread_count(), 0};
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) {
      info.name = line.substr(line.find(':') + 2);
      break;
    }
  info.name += ", " + std::to_string(info.threads) + (info.threads == 1 ? " thread" : " threads");
  info.memory_bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return info;
}

}  // namespace horizons::gpu
