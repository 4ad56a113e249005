#include "gateways/http/event_stream.hpp"

#include <deque>
#include <mutex>

#include "messages/codec/json.hpp"

namespace horizons::http {
namespace {

constexpr std::size_t page_events = 500;            // about 200 KiB of JSON
constexpr std::size_t pending_bytes_max = 1 << 20;  // per live reader: more means that it does not keep up
constexpr std::size_t pending_events_max = 2000;    // committed while a reader catches up; more are read again

using then = std::function<void(result<std::string>)>;

class replay : public body_source, public std::enable_shared_from_this<replay> {
public:
  replay(const services& s, event_query query) : services_(s), query_(std::move(query)) { query_.limit = page_events; }

  void next(then done) override {
    if (finished_) return done(std::string());
    services_.read_events(query_, [self = shared_from_this(), done = std::move(done)](result<std::vector<event>> page) {
      if (!page) return done(failure(page.error()));
      std::string lines;
      for (const auto& e : *page) lines += to_json(e) + '\n';
      self->finished_ = page->size() < page_events;
      if (!page->empty()) self->query_.after_position = page->back().position;
      done(std::move(lines));
    });
  }

private:
  const services& services_;
  event_query query_;
  bool finished_ = false;  // next() is never called before the last answer: no lock
};

class live : public body_source, public std::enable_shared_from_this<live> {
public:
  live(const services& s, event_query query, bool resumes, http_metrics& metrics)
      : services_(s), metrics_(metrics), query_(std::move(query)), catching_up_(resumes) {
    query_.limit = page_events;
    pending_ = "retry: 1000\n: events follow\n\n";
  }
  ~live() override { cancel(); }

  /// Listens before the first read, so that no event falls between the two.
  void start() {
    auto end = services_.watch([weak = weak_from_this()](const event& e) {
      if (const auto self = weak.lock()) self->committed(e);
    });
    const std::scoped_lock lock(mutex_);
    unwatch_ = std::move(end);
  }

  void next(then done) override {
    std::unique_lock lock(mutex_);
    if (too_slow_) {
      lock.unlock();
      return done(failure(error_code::limit_exceeded, "the reader does not keep up"));
    }
    waiting_ = std::move(done);
    deliver(std::move(lock));
  }

  std::string_view heartbeat() const override { return ": still here\n\n"; }

  void cancel() override {
    std::function<void()> end;
    {
      const std::scoped_lock lock(mutex_);
      end = std::exchange(unwatch_, nullptr);
      cancelled_ = true;
      waiting_ = nullptr;
    }
    if (end) end();
  }

private:
  bool wanted(const event& e) const {
    return (query_.tenant.empty() || e.tenant == query_.tenant) &&
           (query_.job_id.empty() || e.job_id == query_.job_id) &&
           (query_.type.empty() || type_of(e.data) == query_.type);
  }

  void append(const event& e) {
    if (e.position <= last_) return;
    last_ = e.position;
    pending_ += "id: " + std::to_string(e.position) + "\ndata: " + to_json(e) + "\n\n";
  }

  void committed(const event& e) {
    if (!wanted(e)) return;
    std::unique_lock lock(mutex_);
    if (cancelled_ || too_slow_) return;
    if (catching_up_) {
      if (!missed_) committed_meanwhile_.push_back(e);
      if (committed_meanwhile_.size() > pending_events_max) {  // they are in the journal: read them from there
        committed_meanwhile_.clear();
        missed_ = true;
      }
      return;
    }
    append(e);
    if (pending_.size() > pending_bytes_max) {
      too_slow_ = true;
      pending_ = {};
      ++metrics_.streams_cut;
    }
    deliver(std::move(lock));
  }

  /// Hands over what is there, or reads the next page while the reader waits. Takes the lock and lets it go.
  void deliver(std::unique_lock<std::mutex> lock) {
    if (!waiting_) return;
    if (!pending_.empty()) {
      auto done = std::exchange(waiting_, nullptr);
      auto piece = std::exchange(pending_, {});
      lock.unlock();
      return done(std::move(piece));
    }
    if (!catching_up_ || reading_) return;
    reading_ = true;
    auto query = query_;
    lock.unlock();
    services_.read_events(std::move(query), [self = shared_from_this()](result<std::vector<event>> page) {
      self->caught(std::move(page));
    });
  }

  void caught(result<std::vector<event>> page) {
    std::unique_lock lock(mutex_);
    reading_ = false;
    if (cancelled_) return;
    if (!page) {
      auto done = std::exchange(waiting_, nullptr);
      lock.unlock();
      if (done) done(failure(page.error()));
      return;
    }
    for (const auto& e : *page) append(e);
    if (!page->empty()) query_.after_position = page->back().position;
    if (page->size() < page_events) {
      if (!missed_) {
        for (const auto& e : committed_meanwhile_) append(e);
        committed_meanwhile_ = {};
        catching_up_ = false;
      }
      missed_ = false;
    }
    deliver(std::move(lock));
  }

  const services& services_;
  http_metrics& metrics_;
  std::mutex mutex_;
  event_query query_;
  std::function<void()> unwatch_;
  then waiting_;
  std::string pending_;
  std::deque<event> committed_meanwhile_;
  std::uint64_t last_ = 0;
  bool catching_up_, missed_ = false, reading_ = false, too_slow_ = false, cancelled_ = false;
};

}  // namespace

std::shared_ptr<body_source> replay_source(const services& s, event_query query) {
  return std::make_shared<replay>(s, std::move(query));
}

std::shared_ptr<body_source> live_source(const services& s, event_query query, bool resumes, http_metrics& metrics) {
  auto source = std::make_shared<live>(s, std::move(query), resumes, metrics);
  source->start();
  return source;
}

}  // namespace horizons::http
