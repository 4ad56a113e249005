#include "gateways/bridges/bridge_set.hpp"

#include <mutex>

#include "gateways/kafka/avro_events.hpp"
#include "gateways/kafka/configured.hpp"
#include "gateways/kafka/dead_letter_queue.hpp"
#include "gateways/kafka/relay.hpp"
#include "gateways/kafka/source.hpp"
#include "gateways/kafka/submission_handler.hpp"
#include "gateways/kafka/topics.hpp"
#include "gateways/rabbitmq/dead_letters.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "gateways/rabbitmq/source.hpp"

namespace horizons::bridges {
namespace {

using namespace std::chrono_literals;

constexpr auto health_timeout = 2s;

/// Asks one bridge's actor how it is.
using health_question = std::function<void(callback<bridge_health>)>;

/// An actor below the bridges' supervisor: it may be started again at any time, its path stays.
template <class Api>
class resident {
public:
  resident(kit::system& system, std::string path) : system_(&system), path_(std::move(path)) {}

  result<kit::handle<Api>> find() const {
    const auto actor = system_->find(path_);
    if (!actor) return failure(error_code::unavailable, path_ + " is not running");
    return kit::handle<Api>(actor.cell());
  }
  template <class M>
  void ask(M m, kit::milliseconds timeout, callback<typename M::reply> then) const {
    auto actor = find();
    if (!actor) return then(failure(actor.error()));
    system_->ask(*actor, std::move(m), timeout, std::move(then));
  }
  kit::system& system() const { return *system_; }

private:
  kit::system* system_;
  std::string path_;
};

/// The box of an actor that is not there yet when the doors are told of it.
template <class Api>
class resident_box final : public dead_letter_box {
public:
  using maker = std::function<std::shared_ptr<dead_letter_box>(kit::system&, kit::handle<Api>)>;
  resident_box(resident<Api> actor, maker make) : actor_(std::move(actor)), make_(std::move(make)) {}

  void list(dead_letter_filter filter, callback<std::vector<dead_letter>> then) override {
    with(then, [&](dead_letter_box& box) { box.list(std::move(filter), then); });
  }
  void replay(dead_letter_filter filter, replay_options options, callback<replay_report> then) override {
    with(then, [&](dead_letter_box& box) { box.replay(std::move(filter), std::move(options), then); });
  }
  void park(std::string id, std::string by, callback<bool> then) override {
    with(then, [&](dead_letter_box& box) { box.park(std::move(id), std::move(by), then); });
  }

private:
  template <class Then, class F>
  void with(const Then& then, F f) {
    auto actor = actor_.find();
    if (!actor) return then(failure(actor.error()));
    f(*make_(actor_.system(), *actor));
  }
  resident<Api> actor_;
  maker make_;
};

class assembly {
public:
  assembly(const services& s, kit::system& system, std::string root)
      : services_(s), system_(system), root_(std::move(root)) {}

  result<void> add_kafka(const kafka_section& section) {
    auto options = kafka::options_from(section, services_.node_id);
    if (!options) return failure(options.error());

    kafka::kafka_relay_options relay{.kafka = *options, .schema_id = ids_of(*options)};
    questions_.emplace_back("kafka/relay",
                            [metrics = relay.metrics](callback<bridge_health> then) { then(metrics->health()); });
    set_.metrics_text.push_back([metrics = relay.metrics] { return metrics->text(); });
    add_child("kafka/relay", "kafka_relay", kafka::kafka_relay(relay, services_));

    const kafka::dead_letter_options letters{.kafka = *options};
    add_child("kafka/dead_letter_writer", "kafka_dead_letter_writer", kafka::dead_letter_writer(letters, services_));
    add_child("kafka/dead_letter_desk", "kafka_dead_letter_desk", kafka::dead_letter_desk(letters, services_));
    boxes_.emplace_back("kafka", std::make_shared<resident_box<kafka::dead_letter_desk_api>>(
                                     at<kafka::dead_letter_desk_api>("kafka/dead_letter_desk"), kafka::box_of));

    kafka::kafka_source_options source{.kafka = *options};
    auto services = services_;
    services.intake.messages = static_cast<std::size_t>(section.in_flight_max);
    source.topics = {{"job-submissions", kafka::submissions(services, options->registry)}};
    if (options->create_topics)
      source.create_topics = [o = *options]() -> result<void> {
        if (auto made = kafka::create_missing_topics(o); !made) return failure(made.error());
        return {};
      };
    kafka::dead_letter_sink sink = [writer = at<kafka::dead_letter_writer_api>("kafka/dead_letter_writer")](
                                       kafka::failed_record what, callback<void> then) {
      auto actor = writer.find();
      if (!actor) return then(failure(actor.error()));
      kafka::sink_of(writer.system(), *actor)(std::move(what), std::move(then));
    };
    set_.metrics.push_back(source.metrics);
    add_child("kafka/source", "kafka_source", kafka::kafka_source(source, services, std::move(sink)));
    ask_health<kafka::source_api, kafka::source_health>("kafka/source");

    set_.adopt = [source = at<kafka::source_api>("kafka/source")](std::string from, std::string by,
                                                                  callback<json> then) {
      source.ask(kafka::adopt_partitions{std::move(from), std::move(by)}, 30s,
                 [then = std::move(then)](result<kafka::adopt_partitions::reply> r) {
                   if (!r) return then(failure(std::move(r.error())));
                   then(json{{"partitions", std::move(r->partitions)}});
                 });
    };
    return {};
  }

  result<void> add_rabbitmq(const rabbitmq_section& section) {
    auto options = rabbitmq::options_from(section, services_.node_id);
    if (!options) return failure(options.error());
    auto metrics = std::make_shared<rabbitmq::metrics>();
    set_.metrics.push_back(std::make_shared<rabbitmq::collector>(metrics));
    add_child("rabbitmq/relay", "rabbitmq_relay", rabbitmq::relay(services_, *options, metrics), rabbitmq::relay_lane);
    ask_health<rabbitmq::relay_api, rabbitmq::health>("rabbitmq/relay");
    add_child("rabbitmq/source", "rabbitmq_source", rabbitmq::source(services_, *options, metrics));
    ask_health<rabbitmq::source_api, rabbitmq::health>("rabbitmq/source");
    if (options->dlq_enabled) {
      add_child("rabbitmq/dead_letters", "rabbitmq_dead_letters", rabbitmq::dead_letters(services_, *options, metrics));
      boxes_.emplace_back("rabbitmq",
                          std::make_shared<resident_box<rabbitmq::dead_letters_api>>(
                              at<rabbitmq::dead_letters_api>("rabbitmq/dead_letters"), rabbitmq::make_dead_letter_box));
    }
    return {};
  }

  bridge_set finish() {
    if (!boxes_.empty()) set_.dead_letters = all_of(std::move(boxes_));
    set_.health = [questions =
                       std::move(questions_)](callback<std::vector<std::pair<std::string, bridge_health>>> then) {
      struct gathering {
        std::mutex mutex;
        std::vector<std::pair<std::string, bridge_health>> all;
        std::size_t missing = 0;
      };
      if (questions.empty()) return then({});
      auto g = std::make_shared<gathering>();
      g->missing = questions.size();
      g->all.resize(questions.size());
      for (std::size_t i = 0; i < questions.size(); ++i)
        questions[i].second([g, i, then, name = questions[i].first](result<bridge_health> h) {
          {
            const std::lock_guard lock(g->mutex);
            g->all[i] = {name, h ? std::move(*h) : bridge_health{false, h.error().text}};
            if (--g->missing > 0) return;
          }
          then(std::move(g->all));
        });
    };
    return std::move(set_);
  }

private:
  static kafka::schema_id_of ids_of(const kafka::kafka_options& o) {
    return o.registry.empty() ? nullptr : kafka::registered_ids(o.registry);
  }

  template <class Api>
  resident<Api> at(const std::string& name) {
    return {system_, root_ + "/" + name};
  }

  template <class Api, class Question>
  void ask_health(const std::string& name) {
    questions_.emplace_back(name, [actor = at<Api>(name)](callback<bridge_health> then) {
      actor.ask(Question{}, health_timeout, std::move(then));
    });
  }

  void add_child(const std::string& name, const std::string& type, kit::actor_body body, kit::lane_limits limits = {}) {
    set_.children.push_back({{.name = name, .type = type, .limits = limits}, std::move(body), {}, true});
  }

  services services_;
  kit::system& system_;
  std::string root_;
  bridge_set set_;
  std::vector<std::pair<std::string, std::shared_ptr<dead_letter_box>>> boxes_;
  std::vector<std::pair<std::string, health_question>> questions_;
};

}  // namespace

result<bridge_set> make_bridges(const configuration& config, const services& s, kit::system& system,
                                const std::string& root) {
  assembly a(s, system, root);
  if (config.kafka)
    if (auto ok = a.add_kafka(*config.kafka); !ok) return failure(ok.error());
  if (config.rabbitmq)
    if (auto ok = a.add_rabbitmq(*config.rabbitmq); !ok) return failure(ok.error());
  return a.finish();
}

std::vector<std::string> relay_sources(const configuration& config) {
  std::vector<std::string> sources;
  if (config.kafka) sources.push_back(kafka::kafka_relay_options{}.source);
  if (config.rabbitmq) sources.emplace_back(rabbitmq::relay_source);
  return sources;
}

}  // namespace horizons::bridges
