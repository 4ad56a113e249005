#include "gateways/http/request.hpp"

#include <algorithm>

#include "messages/text.hpp"

namespace horizons::http {
namespace {

constexpr std::size_t parameters_max = 32;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Percent decoding; `plus_is_space` in queries.
result<std::string> decoded(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return failure(error_code::unreadable, quote(text) + " has a '%' that two hexadecimal digits do not follow");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  if (const auto wrong = text_fault(out); !wrong.empty())
    return failure(error_code::unreadable, quote(text) + " " + std::string(wrong) + "; expected UTF-8 text");
  return out;
}

}  // namespace

std::string_view request::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

bool request::has_header(std::string_view name) const {
  return std::ranges::any_of(headers, [&](const auto& header) { return header.first == name; });
}

result<void> parse_target(request& r) {
  std::string_view target = r.target;
  if (!target.starts_with('/'))
    return failure(error_code::unreadable, "the request target " + quote(target) + " does not start with '/'");
  target = target.substr(0, target.find('#'));
  const auto question = std::min(target.find('?'), target.size());
  const auto path = target.substr(1, question - 1);
  for (std::size_t from = 0; from < path.size();) {
    const auto slash = std::min(path.find('/', from), path.size());
    auto segment = decoded(path.substr(from, slash - from), false);
    if (!segment) return failure(segment.error());
    r.segments.push_back(std::move(*segment));
    from = slash + 1;
  }
  const auto query = question < target.size() ? target.substr(question + 1) : std::string_view{};
  for (std::size_t from = 0; from < query.size();) {
    const auto end = std::min(query.find('&', from), query.size());
    const auto pair = query.substr(from, end - from);
    from = end + 1;
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = decoded(pair.substr(0, equals), true);
    auto value = decoded(equals < pair.size() ? pair.substr(equals + 1) : std::string_view{}, true);
    if (!name) return failure(name.error());
    if (!value) return failure(value.error());
    if (!r.query.emplace(*name, std::move(*value)).second)
      return failure(error_code::unreadable, *name + ": stands twice in the query");
    if (r.query.size() > parameters_max)
      return failure(error_code::unreadable,
                     "the query has more than " + std::to_string(parameters_max) + " parameters");
  }
  return {};
}

response json_response(int status, const json& value) {
  return {.status = status, .body = value.dump(-1, ' ', false, json::error_handler_t::replace)};
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 206:
      return "Partial Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace horizons::http
