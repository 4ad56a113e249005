// The API's description, made from the table of routes and the description of the submission.
#include <type_traits>

#include "gateways/http/door.hpp"
#include "messages/commands.hpp"

namespace horizons::http {
namespace {

template <class T>
json schema_of();

template <class T>
json schema_of_value(const T& otherwise) {
  json schema;
  if constexpr (std::is_same_v<T, std::string>) {
    schema = {{"type", "string"}};
    if (!otherwise.empty()) schema["default"] = otherwise;
  } else if constexpr (std::is_same_v<T, bool>) {
    schema = {{"type", "boolean"}, {"default", otherwise}};
  } else if constexpr (std::is_integral_v<T>) {
    schema = {{"type", "integer"}, {"default", otherwise}};
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    schema = {{"type", "number"}};
  } else if constexpr (described<T>) {
    schema = schema_of<T>();
  } else {
    schema = {{"type", "object"}};
  }
  return schema;
}

template <class T>
json schema_of() {
  json properties = json::object();
  T message{};
  for_each_field(message, [&](const auto& field, const auto& value) {
    auto schema = schema_of_value(value);
    schema["description"] = field.doc;
    properties[std::string(field.name)] = std::move(schema);
  });
  return {{"type", "object"},
          {"additionalProperties", false},
          {"description", T::description().doc},
          {"properties", std::move(properties)}};
}

json text_schema(std::string doc) { return {{"type", "string"}, {"description", std::move(doc)}}; }

}  // namespace

json openapi(const std::vector<route>& routes, const std::string& version) {
  json paths = json::object();
  for (const auto& r : routes) {
    json operation = {{"summary", r.summary}, {"responses", json::object()}};
    json parameters = json::array();
    for (std::size_t at = r.pattern.find('{'); at != std::string::npos; at = r.pattern.find('{', at + 1))
      parameters.push_back({{"name", r.pattern.substr(at + 1, r.pattern.find('}', at) - at - 1)},
                            {"in", "path"},
                            {"required", true},
                            {"schema", {{"type", "string"}}}});
    for (const auto& p : r.query)
      parameters.push_back(
          {{"name", p.name}, {"in", "query"}, {"description", p.doc}, {"schema", {{"type", "string"}}}});
    if (!parameters.empty()) operation["parameters"] = std::move(parameters);
    if (!r.request_schema.empty()) {
      const json body = {{"schema", {{"$ref", "#/components/schemas/" + r.request_schema}}}};
      operation["requestBody"] = {{"content", {{"application/json", body}}}};
      if (r.request_schema == "submission") operation["requestBody"]["content"]["application/msgpack"] = body;
    }
    for (const int status : r.statuses) {
      json answer = {{"description", reason_phrase(status)}};
      if (status >= 400)
        answer["content"]["application/problem+json"]["schema"]["$ref"] = "#/components/schemas/problem";
      operation["responses"][std::to_string(status)] = std::move(answer);
    }
    std::string method = r.method;
    for (char& c : method) c = static_cast<char>(c + 32);
    paths[r.pattern][method] = std::move(operation);
  }
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "Cosmic Horizons Runtime"},
            {"version", version},
            {"description", "Jobs for radio observations, and every event about them."}}},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"schemas",
             {{"submission", schema_of<command>()},
              {"order", {{"type", "object"}, {"properties", {{"reason", text_schema("why")}}}}},
              {"problem",
               {{"type", "object"},
                {"description", "RFC 9457 problem details"},
                {"properties",
                 {{"type", text_schema("what kind of problem")},
                  {"title", text_schema("the same for people")},
                  {"status", {{"type", "integer"}}},
                  {"detail", text_schema("what is wrong and what would be right")},
                  {"instance", text_schema("the path asked for")},
                  {"errors", {{"type", "array"}, {"items", {{"type", "object"}}}}}}}}}}}}}};
}

}  // namespace horizons::http
