#include "actors/jobs/job_table.hpp"

#include <map>

namespace horizons::jobs {

namespace {

constexpr milliseconds write_delay{1'000};  // so much is read again from the journal after a crash
constexpr milliseconds write_pause{5};      // between the pieces of a write: the jobs go first

class table_shell {
public:
  table_shell(kit::context& self, std::string path, kit::handle<journal::writer_api> writer)
      : self_(self), path_(std::move(path)), writer_(std::move(writer)) {
    connect();
  }

  void take(const journal::committed& c) {
    if (!table_) return;  // sent to the actor before its restart: what is missing comes with the next subscription
    if (c.after_position > table_->position())
      return connect();  // something is missing in between: begin again where we stand
    if (auto ok = table_->apply(*c.events); !ok) return fail(ok.error());
    answer_waiting();
    if (!std::exchange(will_write_, true)) write_after(write_delay);
  }

  void take(const reach_position& r, kit::promise<std::uint64_t> answer) {
    if (table_ && table_->position() >= r.position) return answer.deliver(table_->position());
    waiting_.emplace(r.position, std::move(answer));
  }

  void write() {
    if (!table_) return;
    if (auto ok = table_->write(); !ok) fail(ok.error());
  }

  template <class T, class F>
  result<T> read(F f) {
    if (!table_) return failure(error_code::unavailable, "the job table is starting");
    return f(*table_);
  }

private:
  void write_after(milliseconds delay) {
    self_.after(delay, [this] {
      auto more = table_ ? table_->write_some() : result<bool>(false);
      if (!more) return fail(more.error());
      if (*more) return write_after(write_pause);
      will_write_ = table_ && table_->written() != table_->position();
      if (will_write_) write_after(write_delay);
    });
  }

  void fail(const error& why) { self_.fail("job table: " + why.text); }  // starts afresh

  void answer_waiting() {
    while (!waiting_.empty() && waiting_.begin()->first <= table_->position()) {
      waiting_.begin()->second.deliver(table_->position());
      waiting_.erase(waiting_.begin());
    }
  }

  void connect() {
    using namespace std::chrono_literals;
    self_.request(writer_, journal::journal_status{}, 5s, [this](result<journal::journal_status::reply> r) {
      if (!r) {
        self_.after(200ms, [this] { connect(); });
        return;
      }
      if (!table_) {
        auto opened = job_table::open(path_, r->id);
        if (!opened) return self_.fail("job table " + path_ + ": " + opened.error().text);
        table_ = std::move(*opened);
        answer_waiting();  // an empty journal, or a table that is up to date: no event would come
      }
      writer_.send(journal::subscribe{self_.self_as<kit::accepts<journal::committed>>(), table_->position()});
      self_.monitor(writer_, [this](const kit::exit_cause&) { connect(); });  // a fresh writer knows no subscriber
    });
  }

  kit::context& self_;
  std::string path_;
  kit::handle<journal::writer_api> writer_;
  std::unique_ptr<job_table> table_;
  std::multimap<std::uint64_t, kit::promise<std::uint64_t>> waiting_;
  bool will_write_ = false;
};

}  // namespace

kit::actor_body job_table_actor(std::string path, kit::handle<journal::writer_api> writer) {
  return [path, writer](kit::context& self) {
    auto t = std::make_shared<table_shell>(self, path, writer);
    self.on_stop([&self, weak = std::weak_ptr(t)] {
      if (auto alive = weak.lock()) alive->write();
      self.quit();
    });
    return kit::behavior{}
        .on<journal::committed>([t](const journal::committed& c) { t->take(c); })
        .on<reach_position>([t](const reach_position& r, kit::promise<std::uint64_t> p) { t->take(r, std::move(p)); })
        .on<list_jobs>([t](const list_jobs& q) -> result<job_page> {
          return t->read<job_page>([&](job_table& table) { return table.list(q.query); });
        })
        .on<list_open_jobs>([t](const list_open_jobs& q) -> result<std::vector<open_job>> {
          return t->read<std::vector<open_job>>([&](job_table& table) { return table.open_jobs(q.after, q.limit); });
        })
        .on<find_job>([t](const find_job& q) -> result<std::optional<job>> {
          return t->read<std::optional<job>>([&](job_table& table) { return table.find(q.key); });
        });
  };
}

}  // namespace horizons::jobs
