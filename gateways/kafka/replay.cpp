#include "gateways/kafka/replay.hpp"

#include <condition_variable>
#include <mutex>

#include "gateways/kafka/producer.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t notes_max = 20;
constexpr milliseconds topic_limit = 3s;         // a young topic may not be known yet
constexpr milliseconds no_progress_limit = 60s;  // nothing acknowledged for so long: the brokers are away

/// Lets a thread that may block wait for a producer's deliveries.
class bell {
public:
  void ring() {
    const std::lock_guard lock(mutex_);
    rung_ = true;
    changed_.notify_all();
  }
  bool wait(milliseconds limit) {
    std::unique_lock lock(mutex_);
    const bool rang = changed_.wait_for(lock, limit, [&] { return rung_; });
    rung_ = false;
    return rang;
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

void note(std::vector<std::string>& notes, const std::string& text) {
  if (notes.size() < notes_max) notes.push_back(text);
}

class publisher {
public:
  explicit publisher(const publish_options& options) : options_(options) {}

  result<publish_report> run(const event_pull& pull) {
    auto format = parse_format(options_.kafka.format);
    if (!format) return failure(format.error());
    if (auto there = topic_is_there(); !there) return failure(there.error());
    auto opened = producer::open({.kafka = options_.kafka}, [bell = bell_] { bell->ring(); });
    if (!opened) return failure(opened.error());
    producer_ = std::move(*opened);
    for (;;) {
      auto page = pull();
      if (!page) return failure(page.error());
      if (page->empty()) break;
      for (const auto& e : *page)
        if (auto sent = send(e, *format); !sent) return failure(sent.error());
      if (options_.go_on && !options_.go_on(report_.events)) break;
    }
    while (open_ > 0)
      if (auto some = settle(); !some) return failure(some.error());
    return report_;
  }

private:
  result<void> topic_is_there() const {
    auto asked = client::open(client_role::admin, options_.kafka);
    if (!asked) return failure(asked.error());
    auto layout = asked->layout_of(options_.topic, topic_limit);
    if (!layout) return failure(layout.error());
    return {};
  }

  result<void> send(const event& e, message_format format) {
    auto made = record_of(e, {.node = options_.node}, format, options_.schema_id);
    if (!made) {
      if (made.error().code == error_code::unavailable || made.error().code == error_code::invalid_argument)
        return failure(made.error());
      ++report_.refused;
      note(report_.notes, e.event_id + ": " + made.error().text);
      return {};
    }
    while (!producer_->send(options_.topic, made->what, 1))
      if (auto some = settle(); !some) return some;
    ++open_;
    return {};
  }

  /// Waits for some acknowledgements.
  result<void> settle() {
    if (!bell_->wait(no_progress_limit)) return failure(error_code::unavailable, producer_->state().text);
    for (const auto& d : producer_->take_deliveries()) {
      --open_;
      if (!d.refused) {
        ++report_.events;
        continue;
      }
      ++report_.refused;
      note(report_.notes, d.refused->text);
    }
    return {};
  }

  const publish_options& options_;
  const std::shared_ptr<bell> bell_ = std::make_shared<bell>();
  std::unique_ptr<producer> producer_;
  std::uint64_t open_ = 0;
  publish_report report_;
};

}  // namespace

result<publish_report> publish_events(const publish_options& options, const event_pull& pull) {
  return publisher(options).run(pull);
}

result<topic_read_report> read_topic_events(const topic_query& query, const avro_event_decoder& avro,
                                            const std::function<bool(event&&, const stored_record&)>& take) {
  auto reader = topic_reader::open(query.kafka);
  if (!reader) return failure(reader.error());
  auto ranges = reader->between(query.topic, query.start, query.end, query.limit);
  if (!ranges) return failure(ranges.error());
  topic_read_report report;
  std::optional<error> away;
  auto read = reader->read(*ranges, query.limit, [&](stored_record&& r) {
    ++report.records;
    auto e = event_of(r.what, avro);
    if (!e && e.error().code == error_code::unavailable) {
      away = e.error();
      return false;
    }
    if (!e) {
      ++report.unreadable;
      note(report.notes,
           r.topic + "[" + std::to_string(r.partition) + "]@" + std::to_string(r.offset) + ": " + e.error().text);
      return true;
    }
    if ((query.start && e->time < *query.start) || (query.end && e->time >= *query.end) ||
        (!query.job_id.empty() && e->job_id != query.job_id) || (!query.type.empty() && type_of(e->data) != query.type))
      return true;
    ++report.events;
    return take(std::move(*e), r);
  });
  if (away) return failure(*away);
  if (!read) return failure(read.error());
  return report;
}

}  // namespace horizons::kafka
