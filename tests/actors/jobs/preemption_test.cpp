// A running job gives way to a more urgent one and goes on afterwards: the whole job system under virtual time.
#include <gtest/gtest.h>

#include "tests/actors/jobs/simulated_node.hpp"

namespace horizons::jobs {
namespace {

using namespace std::chrono_literals;

class preempting : public ::testing::Test {
protected:
  preempting() {
    world_.plan = [this](const std::string& unit) {
      return simulated::unit_plan{unit.starts_with("default/urgent") || calm_ ? 1s : 3'600s};
    };
    world_.run = [](const attempt_request&, const std::stop_token& stop,
                    const gpu::progress_sink&) -> result<attempt_outcome> {
      if (stop.stop_requested()) return failure(error_code::cancelled, "stopped");
      return attempt_outcome{};
    };
    node_ = std::make_unique<simulated::node>(sim_, world_, std::vector<std::string>{"slow-1", "slow-2", "urgent"});
  }

  void submit(const std::string& id, int priority) {
    command c;
    c.job_id = id;
    c.user_id = "ada";
    c.agent = "image-reconstruction";  // it keeps checkpoints
    c.dataset = "file:///x.uvfits";
    c.priority = priority;
    bool answered = false;
    node_->door().submit(c, {}, [&](result<front::accepted> r) {
      EXPECT_TRUE(r) << r.error().text;
      answered = true;
    });
    ASSERT_TRUE(sim_.run_until([&] { return answered; }, 10s));
  }
  std::vector<std::string> types_of(const std::string& id) {
    std::vector<std::string> all;
    for (const auto& e : node_->events())
      if (e.job_id == id && e.data.index() != event_data(job_progress{}).index()) {
        all.emplace_back(type_of(e.data));
        if (const auto* q = std::get_if<job_queued>(&e.data)) last_reason_ = q->reason;
      }
    return all;
  }
  bool ended(const std::string& id) { return types_of(id).back() == "job.completed"; }

  simulation::simulation sim_{1};
  simulated::surroundings world_;
  std::unique_ptr<simulated::node> node_;
  bool calm_ = false;
  std::string last_reason_;
};

TEST_F(preempting, the_less_urgent_gives_way_and_goes_on) {
  ASSERT_TRUE(node_->start());
  submit("slow-1", 5);
  submit("slow-2", 3);
  sim_.run_until([] { return false; }, 10s);
  submit("urgent", 1);
  ASSERT_TRUE(sim_.run_until([&] { return ended("urgent"); }, 60s));
  EXPECT_EQ(types_of("slow-2"), (std::vector<std::string>{"job.submitted", "job.queued", "job.running"}))
      << "one was enough, the least urgent";
  calm_ = true;
  ASSERT_TRUE(sim_.run_until([&] { return ended("slow-1"); }, 60s));
  EXPECT_EQ(types_of("slow-1"), (std::vector<std::string>{"job.submitted", "job.queued", "job.running", "job.queued",
                                                          "job.running", "job.completed"}));
  EXPECT_EQ(last_reason_, "preempted: gives way to job urgent of priority 1");
}

}  // namespace
}  // namespace horizons::jobs
