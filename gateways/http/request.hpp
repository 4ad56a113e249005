// A request and its answer as the routes see them: plain values. Sockets and the wire are connection.cpp's alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateways/http/services.hpp"

namespace horizons::http {

struct request {
  std::string method;                                        // "GET"
  std::string target;                                        // as sent, "/api/jobs?status=RUNNING"
  std::vector<std::string> segments;                         // of the path, decoded
  std::map<std::string, std::string> query;                  // decoded; a name appears once
  std::map<std::string, std::string> parameters;             // {id} and so on, filled in by the router
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, at most 100
  std::string body;
  identity who;  // filled in by the door

  /// The header's value (`name` in lower case), or empty.
  std::string_view header(std::string_view name) const;
  bool has_header(std::string_view name) const;
};

/// Fills in segments and query from `target`. Errors name what cannot be decoded.
result<void> parse_target(request& r);

/// A body that is made while it is sent: the connection asks for the next piece when the last one is written, so a
/// slow reader slows the source down.
class body_source {
public:
  virtual ~body_source() = default;
  /// Calls `then` once, on any thread, with the next piece; an empty one is the end, an error cuts the answer off.
  virtual void next(std::function<void(result<std::string>)> then) = 0;
  /// Bytes in all when known beforehand; otherwise the answer is chunked.
  virtual std::optional<std::uint64_t> size() const { return std::nullopt; }
  /// Sent while `next` waits for long, so that a dead peer is noticed; empty: nothing is sent.
  virtual std::string_view heartbeat() const { return {}; }
  /// The reader is gone.
  virtual void cancel() {}
};

struct response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<body_source> stream;  // instead of `body`
};

/// Called once per request, on any thread.
using reply = std::function<void(response)>;

response json_response(int status, const json& value);

/// "Retry-After" and the like are added by `problem` in problem.hpp.
std::string_view reason_phrase(int status);

}  // namespace horizons::http
