#include "actors/jobs/durable_append.hpp"

#include <algorithm>
#include <chrono>

namespace horizons::jobs {

namespace {

using namespace std::chrono_literals;

constexpr auto journal_timeout = 30s;  // a commit takes milliseconds; longer means the disk hangs
constexpr milliseconds retry_first{50};
constexpr milliseconds retry_max{5'000};

void append_after(kit::context& self, const kit::handle<journal::writer_api>& writer, std::shared_ptr<journal::batch> b,
                  bool give_up, milliseconds pause, append_done done) {
  self.request(writer, journal::append{b}, journal_timeout,
               [&self, writer, b, give_up, pause, done = std::move(done)](result<journal::append_outcome> r) mutable {
                 if (r) {
                   b->texts = {};  // of every time that it was sent, this was the last answer: nobody reads them now
                   return done(std::move(r));
                 }
                 const auto code = r.error().code;
                 if (code == error_code::fenced || code == error_code::conflict ||
                     code == error_code::invalid_argument || code == error_code::limit_exceeded)
                   return done(std::move(r));
                 if (code == error_code::timed_out) give_up = false;  // it may be stored: later errors do not tell
                 if (give_up) return done(std::move(r));
                 self.after(pause, [&self, writer, b, give_up, pause, done = std::move(done)]() mutable {
                   append_after(self, writer, std::move(b), give_up, std::min(pause * 2, retry_max), std::move(done));
                 });
               });
}

}  // namespace

void add_events(journal::batch& b, const event_identity& whose, std::uint64_t last_sequence, timestamp now,
                std::vector<event_data> data) {
  b.events.reserve(b.events.size() + data.size());
  for (auto& d : data) b.events.push_back(new_event(now, whose, last_sequence, std::move(d)));
}

void append_until_known(kit::context& self, const job_environment& env, std::shared_ptr<journal::batch> b, bool give_up,
                        append_done done) {
  journal::prepare(*b, env.stores_texts);
  append_after(self, env.writer, std::move(b), give_up, retry_first, std::move(done));
}

}  // namespace horizons::jobs
