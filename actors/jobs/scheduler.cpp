#include "actors/jobs/scheduler.hpp"

namespace horizons::jobs {

namespace {

class scheduler {
public:
  scheduler(kit::context& self, const std::vector<std::pair<std::string, std::size_t>>& devices,
            std::function<void(offer_device)> offer, waiting_count waiting, scheduler_limits limits)
      : self_(self), core_(limits), offer_(std::move(offer)), waiting_(std::move(waiting)) {
    for (auto& [name, slots] : devices) core_.device_up(name, slots);
  }

  void step(const job_waits& m) {
    core_.enqueue(m.job, m.priority, m.order, self_.now());
    assign();
  }
  void step(const job_leaves& m) {
    core_.dequeue(m.job);
    assign();
  }
  void step(const device_free& m) {
    core_.release(m.device);
    assign();
  }
  void step(const hold& m) {
    held_ = m.on;
    assign();
  }

  std::string why(const why_waiting& m) const {
    auto ahead = core_.ahead_of(m.job, self_.now());
    if (!ahead) return "";
    if (held_) return "the node is stopping or held";
    return *ahead == 0 ? "next in line" : std::to_string(*ahead) + " ahead";
  }

private:
  void assign() {
    if (!held_)
      for (auto& a : core_.assign(self_.now())) offer_({std::move(a.job), std::move(a.device)});
    waiting_->store(core_.waiting(), std::memory_order_relaxed);
  }

  kit::context& self_;
  scheduler_core core_;
  std::function<void(offer_device)> offer_;
  waiting_count waiting_;
  bool held_ = false;
};

}  // namespace

kit::actor_body scheduler_actor(std::vector<std::pair<std::string, std::size_t>> devices, std::function<void(offer_device)> offer,
                                waiting_count waiting, scheduler_limits limits) {
  return [=](kit::context& self) {
    auto s = std::make_shared<scheduler>(self, devices, offer, waiting, limits);
    return kit::behavior{}
        .on<job_waits>([s](const job_waits& m) { s->step(m); })
        .on<job_leaves>([s](const job_leaves& m) { s->step(m); })
        .on<device_free>([s](const device_free& m) { s->step(m); })
        .on<hold>([s](const hold& m) { s->step(m); })
        .on<why_waiting>([s](const why_waiting& m) -> result<std::string> { return s->why(m); });
  };
}

}  // namespace horizons::jobs
