#include "gateways/http/problem.hpp"

namespace horizons::http {
namespace {

std::string_view title_of(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
      return "Invalid value";
    case error_code::not_found:
      return "Not found";
    case error_code::conflict:
      return "Conflict";
    case error_code::forbidden:
      return "Not allowed";
    case error_code::unreadable:
      return "Unreadable";
    case error_code::limit_exceeded:
      return "Limit reached";
    case error_code::unavailable:
      return "Try again later";
    case error_code::timed_out:
      return "No answer in time";
    case error_code::cancelled:
      return "Cancelled";
    case error_code::io:
      return "Storage failed";
    case error_code::disk_full:
      return "Disk full";
    case error_code::fenced:
      return "Another node took over";
    case error_code::internal:
      return "Internal error";
  }
  return "Internal error";
}

}  // namespace

std::string field_of(const std::string& detail) {
  const auto colon = detail.find(": ");
  if (colon == std::string::npos || colon == 0 || colon > 100) return {};
  const auto path = detail.substr(0, colon);
  const bool is_path = path.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.[]0123456789-") == std::string::npos;
  return is_path ? path : std::string();
}

int status_of(error_code code) {
  switch (code) {
    case error_code::invalid_argument:
      return 422;
    case error_code::not_found:
      return 404;
    case error_code::conflict:
      return 409;
    case error_code::forbidden:
      return 403;
    case error_code::unreadable:
      return 400;
    case error_code::limit_exceeded:
      return 429;
    case error_code::unavailable:
    case error_code::fenced:
    case error_code::cancelled:
      return 503;
    case error_code::timed_out:
      return 504;
    case error_code::disk_full:
      return 507;
    case error_code::io:
    case error_code::internal:
      return 500;
  }
  return 500;
}

response problem(int status, std::string title, std::string detail) {
  std::string slug = title;
  for (char& c : slug) c = c == ' ' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  json body = {{"type", "/problems/" + slug}, {"title", std::move(title)}, {"status", status}, {"detail", detail}};
  if (auto field = field_of(detail); !field.empty())
    body["errors"] = json::array({{{"field", field}, {"detail", detail.substr(field.size() + 2)}}});
  auto answer = json_response(status, body);
  answer.content_type = "application/problem+json";
  if (status == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (status == 429) answer.headers.emplace_back("Retry-After", "5");
  if (status == 503) answer.headers.emplace_back("Retry-After", "2");
  return answer;
}

response problem(const error& e) { return problem(status_of(e.code), std::string(title_of(e.code)), e.text); }

}  // namespace horizons::http
