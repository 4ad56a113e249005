// The HTTP side of the command line: requests to a node, and its live stream. Knows no sub-command.
#pragma once

#include <functional>
#include <string>

#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::cli {

struct answer {
  int status = 0;
  std::string body;
};

class client {
public:
  /// `token` is sent to loopback nodes and over https only.
  client(std::string node, std::string token);

  /// One request. The error (`unavailable`) says that the node cannot be reached; a refusal is an answer.
  result<answer> ask(const std::string& method, const std::string& path, const std::string& body = "") const;

  /// Reads a body line by line as it comes, until it ends, `on_line` returns false, or `go_on` does (asked a few times
  /// a second). The answer holds the status, and the body when it is not 2xx. Lines over 4 MiB end it
  /// (`limit_exceeded`).
  result<answer> lines(const std::string& path, const std::function<bool(std::string_view)>& on_line,
                       const std::function<bool()>& go_on) const;

  const std::string& node() const { return node_; }

private:
  std::string node_, token_;
};

/// `text` as one segment of a path or a query value.
std::string escaped(const std::string& text);

}  // namespace horizons::cli
