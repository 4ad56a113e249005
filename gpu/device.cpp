#include "gpu/device.hpp"

#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "gpu/parallel.hpp"

namespace horizons::gpu {

namespace {

/// One thread that runs one unit at a time. Owned by shared_ptr, so that a thread that is given up can finish in its
/// own time without the device.
class worker : public std::enable_shared_from_this<worker> {
public:
  static std::shared_ptr<worker> start() {
    auto w = std::shared_ptr<worker>(new worker);
    std::thread([w] { w->loop(); }).detach();
    return w;
  }

  void run(std::function<void(std::stop_token)> work, std::stop_token stop, std::function<void()> done) {
    std::lock_guard lock(mutex_);
    work_ = std::move(work);
    stop_ = std::move(stop);
    done_ = std::move(done);
    wake_.notify_one();
  }

  void finish() {
    std::lock_guard lock(mutex_);
    finished_ = true;
    wake_.notify_one();
  }

private:
  worker() = default;

  void loop() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return work_ || finished_; });
      if (!work_) return;
      auto work = std::exchange(work_, nullptr);
      auto done = std::exchange(done_, nullptr);
      auto stop = stop_;
      lock.unlock();
      work(stop);
      work = nullptr;
      done();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::function<void(std::stop_token)> work_;
  std::function<void()> done_;
  std::stop_token stop_;
  bool finished_ = false;
};

class device {
public:
  device(kit::context& self, device_info info, device_limits limits)
      : self_(self), info_(std::move(info)), limits_(limits), post_(self.mailbox_executor()), worker_(worker::start()) {
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
    if (units_.size() >= limits_.units_max || stopping_) return r.on_end(unit_end::lost);
    auto u = std::make_shared<unit>();
    u->id = std::move(r.id);
    u->work = std::move(r.work);
    u->on_end = std::move(r.on_end);
    units_.push_back(std::move(u));
    if (units_.size() == 1) start_next();
  }

  void stop(const stop_unit& s) {
    for (auto& u : units_)
      if (u->id == s.id && !u->stop.stop_requested()) {
        u->stop.request_stop();
        if (u == units_.front())  // it runs: give it the grace, then give the thread up
          self_.after(limits_.stop_grace, [this, u] { give_up(u); });
      }
  }

  bool has(const has_unit& h) const {
    for (auto& u : units_)
      if (u->id == h.id) return true;
    return false;
  }

  device_status::reply status() const {
    device_status::reply r{info_, {}, busy_seconds_, done_, abandoned_};
    for (auto& u : units_) r.units.push_back(u->id);
    if (!units_.empty()) r.busy_seconds += seconds_since(started_);
    return r;
  }

private:
  struct unit {
    std::string id;
    std::function<void(std::stop_token)> work;
    std::function<void(unit_end)> on_end;
    std::stop_source stop;
  };

  double seconds_since(kit::instant t) const { return std::chrono::duration<double>(self_.now() - t).count(); }

  void start_next() {
    auto u = units_.front();
    started_ = self_.now();
    worker_->run(std::move(u->work), u->stop.get_token(), [post = post_, this, u] { post([this, u] { ended(u); }); });
  }

  void ended(const std::shared_ptr<unit>& u) {
    if (units_.empty() || units_.front() != u) return;  // given up before
    ++done_;
    leave(u, unit_end::done);
  }

  void give_up(const std::shared_ptr<unit>& u) {
    if (units_.empty() || units_.front() != u) return;
    ++abandoned_;
    worker_->finish();
    worker_ = worker::start();
    leave(u, unit_end::abandoned);
  }

  void leave(const std::shared_ptr<unit>& u, unit_end how) {
    busy_seconds_ += seconds_since(started_);
    units_.pop_front();
    u->on_end(how);
    if (!units_.empty()) return start_next();
    if (stopping_) self_.quit();
  }

  kit::context& self_;
  device_info info_;
  device_limits limits_;
  std::function<bool(std::function<void()>)> post_;
  std::shared_ptr<worker> worker_;
  std::deque<std::shared_ptr<unit>> units_;  // the first one runs
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
