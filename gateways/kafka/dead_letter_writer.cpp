// Writes dead letters; see dead_letter_queue.hpp.
#include <map>

#include "gateways/kafka/dead_letter_queue.hpp"
#include "gateways/kafka/dead_letter_record.hpp"
#include "gateways/kafka/topics.hpp"
#include "messages/topics.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;

constexpr milliseconds layout_limit = 2s;
constexpr milliseconds layout_good_for = 60s;
constexpr milliseconds no_layout_for = 1s;  // so long nobody asks again: many letters may wait
constexpr milliseconds put_limit = 60s;
constexpr std::size_t record_bytes_max = 1'170'000;  // of dead-letter topics: see topics.cpp

class writer : public std::enable_shared_from_this<writer> {
public:
  writer(kit::context& self, dead_letter_options options, std::string node)
      : self_(self), options_(std::move(options)), node_(std::move(node)) {}

  result<void> start() {
    producer_options p{.kafka = options_.kafka, .messages_max = 5'000, .record_bytes_max = record_bytes_max};
    p.kafka.extra.emplace("topic.metadata.propagation.max.ms", "3000");
    p.topic_missing = [kafka = options_.kafka](const std::string&) { make_topics(kafka); };
    auto opened = producer::open(
        std::move(p),
        [post = self_.mailbox_executor(), weak = weak_from_this()] {
          post([weak] {
            if (auto w = weak.lock()) w->acknowledged();
          });
        },
        options_.metrics);
    if (!opened) return failure(opened.error());
    producer_ = std::move(*opened);
    return {};
  }

  void put(const failed_record& f, kit::promise<put_dead_letter::reply> answer) {
    const auto topic = dead_letter_topic(f.topic);
    auto partitions = partitions_of(topic);
    if (!partitions) return answer.fail(partitions.error());
    auto r = std::make_shared<const record>(to_dead_letter(f, node_));
    const auto token = ++last_token_;
    // The same partition as its source; should the dead letters have fewer, one that is always the same.
    auto sent = producer_->send(topic, std::move(r), token, f.partition % *partitions);
    if (!sent) return answer.fail({error_code::unavailable, sent.error().text});
    waiting_.emplace(token, std::move(answer));
  }

private:
  struct layout {
    std::int32_t partitions = 0;
    error why;  // when there are none
    kit::instant until;
  };

  static void make_topics(const kafka_options& kafka) {
    if (!kafka.create_topics) return;
    if (const auto made = create_missing_topics(kafka, 5s); !made)
      log::warn("dead-letter topics could not be created", {{"reason", made.error().text}});
  }

  result<std::int32_t> partitions_of(const std::string& topic) {
    auto& known = layouts_[topic];
    if (self_.now() >= known.until) {
      auto found = ask(topic);
      if (!found && found.error().code == error_code::not_found) {
        make_topics(options_.kafka);
        found = ask(topic);
      }
      known = found ? layout{static_cast<std::int32_t>(found->partitions.size()), {}, self_.now() + layout_good_for}
                    : layout{0, found.error(), self_.now() + no_layout_for};
    }
    if (known.partitions == 0) return failure(error_code::unavailable, known.why.text);
    return known.partitions;
  }

  result<client::topic_layout> ask(const std::string& topic) {
    if (!admin_) {
      auto opened = client::open(client_role::admin, options_.kafka);
      if (!opened) return failure(opened.error());
      admin_.emplace(std::move(*opened));
    }
    return admin_->layout_of(topic, layout_limit);
  }

  void acknowledged() {
    for (auto& d : producer_->take_deliveries()) {
      auto at = waiting_.find(d.token);
      if (at == waiting_.end()) continue;
      if (d.refused)
        at->second.fail(std::move(*d.refused));
      else
        at->second.deliver({});
      waiting_.erase(at);
    }
  }

  kit::context& self_;
  const dead_letter_options options_;
  const std::string node_;
  std::unique_ptr<producer> producer_;
  std::optional<client> admin_;
  std::map<std::string, layout> layouts_;
  std::map<std::uint64_t, kit::promise<put_dead_letter::reply>> waiting_;  // as many as the producer has under way
  std::uint64_t last_token_ = 0;
};

}  // namespace

kit::actor_body dead_letter_writer(dead_letter_options options, bridges::services services) {
  return [options = std::move(options), node = services.node_id](kit::context& self) -> kit::behavior {
    auto w = std::make_shared<writer>(self, options, node);
    if (auto started = w->start(); !started) {
      self.fail(started.error().text);
      return {};
    }
    return kit::behavior{}.on<put_dead_letter>(
        [w](const put_dead_letter& p, kit::promise<put_dead_letter::reply> answer) {
          w->put(p.what, std::move(answer));
        });
  };
}

dead_letter_sink sink_of(kit::system& system, kit::handle<dead_letter_writer_api> writer) {
  return [&system, writer](failed_record f, bridges::callback<void> then) {
    system.ask(writer, put_dead_letter{std::move(f)}, put_limit,
               [then = std::move(then)](result<put_dead_letter::reply> r) {
                 if (r)
                   then({});
                 else
                   then(failure(std::move(r.error())));
               });
  };
}

}  // namespace horizons::kafka
