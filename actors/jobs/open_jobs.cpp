#include "actors/jobs/open_jobs.hpp"

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

constexpr auto answer_timeout = 30s;
constexpr auto retry_pause = 200ms;
constexpr std::size_t page_size = 10'000;

/// One reading of the table; kept alive by the requests that are under way.
class reading : public std::enable_shared_from_this<reading> {
public:
  reading(kit::context& self, open_jobs_source from, std::function<void(const open_job&)> each,
          std::function<void()> done)
      : self_(self), from_(std::move(from)), each_(std::move(each)), done_(std::move(done)) {}

  void begin() {
    settle_appends(self_, from_, [me = shared_from_this()] { me->find_end(); });
  }

private:
  void find_end() {
    self_.request(from_.writer, journal::journal_status{}, answer_timeout,
                  [me = shared_from_this()](result<journal::journal_status::reply> r) {
                    if (!r) return me->again(&reading::find_end);
                    me->end_ = r->last_position;
                    me->reach_end();
                  });
  }

  void reach_end() {
    self_.request(
        from_.table, reach_position{end_}, answer_timeout,
        [me = shared_from_this()](result<std::uint64_t> r) { r ? me->next_page() : me->again(&reading::reach_end); });
  }

  void next_page() {
    self_.request(from_.table, list_open_jobs{after_, page_size}, answer_timeout,
                  [me = shared_from_this()](result<std::vector<open_job>> page) {
                    if (!page) return me->again(&reading::reach_end);  // the table may have begun anew
                    if (page->empty()) return me->done_();
                    me->after_ = page->back().position;
                    for (auto& job : *page) me->each_(job);
                    me->next_page();
                  });
  }

  void again(void (reading::*step)()) {
    self_.after(retry_pause, [me = shared_from_this(), step] { ((*me).*step)(); });
  }

  kit::context& self_;
  open_jobs_source from_;
  std::function<void(const open_job&)> each_;
  std::function<void()> done_;
  std::uint64_t end_ = 0, after_ = 0;
};

}  // namespace

void settle_appends(kit::context& self, const open_jobs_source& from, std::function<void()> then) {
  journal::batch nothing;
  nothing.shard = from.shard;
  nothing.epoch = from.epoch;
  self.request(from.writer, journal::append{std::move(nothing)}, answer_timeout,
               [&self, from, then = std::move(then)](result<journal::append_outcome> r) mutable {
                 // Behind all that was sent before it in the writer's data lane. Refused as fenced is settled as well.
                 if (r || r.error().code == error_code::fenced) return then();
                 self.after(retry_pause, [&self, from, then = std::move(then)]() mutable {
                   settle_appends(self, from, std::move(then));
                 });
               });
}

void for_each_open_job(kit::context& self, const open_jobs_source& from, std::function<void(const open_job&)> each,
                       std::function<void()> done) {
  std::make_shared<reading>(self, from, std::move(each), std::move(done))->begin();
}

}  // namespace horizons::jobs
