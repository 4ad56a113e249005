#include "gateways/rabbitmq/answer.hpp"

#include "gateways/http/problem.hpp"
#include "messages/codec/json.hpp"

namespace horizons::rabbitmq {

namespace {

message answer(const properties& asked, const char* content_type, const char* type, std::string body) {
  message m{.exchange = {}, .routing_key = asked.reply_to, .properties = {}, .body = std::move(body), .fault = {}};
  m.properties.content_type = content_type;
  m.properties.correlation_id = asked.correlation_id;
  m.properties.type = type;
  m.properties.app_id = "horizons";
  return m;
}

}  // namespace

message accepted(const properties& asked, const json& job) {
  return answer(asked, "application/json", "job", json_text(job));
}

message refused(const properties& asked, const std::string& reason, const error& why) {
  json body = json::parse(http::problem(why).body, nullptr, false);
  body["reason"] = reason;
  return answer(asked, "application/problem+json", "problem",
                body.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace horizons::rabbitmq
