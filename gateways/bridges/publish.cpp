#include "gateways/bridges/publish.hpp"

#include <chrono>

#include "gateways/kafka/configured.hpp"
#include "gateways/kafka/producer.hpp"
#include "gateways/rabbitmq/connection.hpp"
#include "gateways/rabbitmq/options.hpp"

namespace horizons::bridges {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;

result<void> to_kafka(const kafka_section& section, const std::string& job_id, const std::string& submission) {
  auto options = kafka::options_from(section, "submit");
  if (!options) return failure(options.error());
  auto opened = kafka::producer::open({.kafka = std::move(*options), .linger = 0ms}, [] {});
  if (!opened) return failure(opened.error());
  auto& producer = **opened;
  auto r = std::make_shared<kafka::record>();
  r->key = job_id;
  r->value = submission;
  r->headers = {{"content-type", "application/json"}};
  if (auto ok = producer.send("job-submissions", std::move(r), 1); !ok) return ok;
  const bool flushed = producer.flush(patience);
  for (const auto& d : producer.take_deliveries())
    if (d.refused) return failure(*d.refused);
  if (!flushed) {
    const auto state = producer.state();
    return failure(error_code::timed_out,
                   "no broker has taken the submission within 20 s" + (state.up ? std::string() : ": " + state.text));
  }
  return {};
}

result<void> to_rabbitmq(const rabbitmq_section& section, const std::string& job_id, const std::string& submission) {
  auto options = rabbitmq::options_from(section, "submit");
  if (!options) return failure(options.error());
  rabbitmq::socket_watch watch([] {});  // `next` waits by itself
  error last{error_code::unavailable, "no broker is named"};
  for (const auto& host : options->hosts) {
    auto opened = rabbitmq::connection::open(host, options->connection, watch);
    if (!opened) {
      last = opened.error();
      continue;
    }
    auto& c = **opened;
    if (auto ok = c.open_channel(1); !ok) return ok;
    if (auto ok = c.confirm_select(1); !ok) return ok;
    rabbitmq::message m{.exchange = "job.submissions", .routing_key = "job-submissions"};
    m.properties.content_type = "application/json";
    m.properties.message_id = job_id;
    m.properties.delivery_mode = 2;
    m.body = submission;
    if (auto ok = c.publish(1, m, true); !ok) return ok;
    for (const auto end = std::chrono::steady_clock::now() + patience; std::chrono::steady_clock::now() < end;) {
      auto told = c.next(1s);
      if (!told) return failure(told.error());
      if (!*told) continue;
      if (std::holds_alternative<rabbitmq::returned_ptr>(**told))
        return failure(error_code::unavailable,
                       "no queue takes submissions at " + host.name() + "; is a node with this broker running?");
      if (const auto* closed = std::get_if<rabbitmq::channel_closed>(&**told))
        return failure(error_code::unavailable, closed->text);
      if (const auto* confirmed = std::get_if<rabbitmq::confirmed>(&**told))
        return confirmed->stored ? result<void>{}
                                 : failure(error_code::unavailable, "the broker could not store the submission");
    }
    return failure(error_code::timed_out, host.name() + " has not confirmed the submission within 20 s");
  }
  return failure(std::move(last));
}

}  // namespace

result<void> publish_submission(const configuration& config, const std::string& via, const std::string& job_id,
                                const std::string& submission) {
  const auto not_configured = [&](const char* what) {
    return failure(error_code::invalid_argument,
                   std::string(what) + " is not configured; name a file with --config, or --set " + what);
  };
  if (via == "kafka")
    return config.kafka ? to_kafka(*config.kafka, job_id, submission) : not_configured("kafka.brokers=host:9092");
  if (via == "rabbitmq")
    return config.rabbitmq ? to_rabbitmq(*config.rabbitmq, job_id, submission)
                           : not_configured("rabbitmq.urls=amqp://user@host");
  return failure(error_code::invalid_argument, "--via " + via + " is unknown; expected http, kafka or rabbitmq");
}

}  // namespace horizons::bridges
