#include "gateways/cli/client.hpp"

#include <curl/curl.h>

#include <memory>

#include "runtime/config/config.hpp"

namespace horizons::cli {
namespace {

constexpr std::size_t body_bytes_max = 64 << 20;  // a page of 1,000 jobs is a few MB
constexpr std::size_t line_bytes_max = 4 << 20;

struct transfer {
  std::string body;
  std::size_t body_max = body_bytes_max;
  bool is_too_long = false, stopped = false;
  CURL* handle = nullptr;
  const std::function<bool(std::string_view)>* on_line = nullptr;
  const std::function<bool()>* go_on = nullptr;
};

std::size_t receive(char* data, std::size_t, std::size_t count, void* to) {
  auto& t = *static_cast<transfer*>(to);
  t.body.append(data, count);
  long status = 0;
  curl_easy_getinfo(t.handle, CURLINFO_RESPONSE_CODE, &status);
  if (t.on_line && status / 100 == 2) {
    std::size_t from = 0;
    for (std::size_t end; (end = t.body.find('\n', from)) != std::string::npos; from = end + 1)
      if (!(*t.on_line)(std::string_view(t.body).substr(from, end - from))) {
        t.stopped = true;
        return 0;
      }
    t.body.erase(0, from);
  }
  t.is_too_long = t.body.size() > t.body_max;
  return t.is_too_long ? 0 : count;
}

int keep_on(void* to, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& t = *static_cast<transfer*>(to);
  if (!t.go_on || (*t.go_on)()) return 0;
  t.stopped = true;
  return 1;
}

bool may_have_token(const std::string& url) {
  std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parts(curl_url(), curl_url_cleanup);
  char* host = nullptr;
  if (curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parts.get(), CURLUPART_HOST, &host, 0) != CURLUE_OK)
    return false;
  std::string name(host);
  curl_free(host);
  if (name.starts_with('[')) name = name.substr(1, name.size() - 2);
  return url.starts_with("https://") || is_loopback(name);
}

}  // namespace

client::client(std::string node, std::string token) : node_(std::move(node)), token_(std::move(token)) {
  while (node_.ends_with('/')) node_.pop_back();
  if (node_.find("://") == std::string::npos) node_ = "http://" + node_;
  if (!may_have_token(node_)) token_.clear();
}

static result<answer> perform(const std::string& url, const std::string& node, const std::string& token,
                              const std::string& method, const std::string& body, transfer& t) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(ready ? curl_easy_init() : nullptr, curl_easy_cleanup);
  if (!handle) return failure(error_code::internal, "libcurl cannot be started");
  t.handle = handle.get();
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOPROXY, "*");  // a node is never behind the proxy of the web
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  set(CURLOPT_WRITEFUNCTION, receive);
  set(CURLOPT_WRITEDATA, &t);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, keep_on);
  set(CURLOPT_XFERINFODATA, &t);
  if (!t.on_line) set(CURLOPT_TIMEOUT_MS, 60'000L);
  curl_slist* list = nullptr;
  if (method != "GET") {
    set(CURLOPT_CUSTOMREQUEST, method.c_str());
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    list = curl_slist_append(list, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");  // a round trip for nothing
  }
  if (!token.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + token).c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  set(CURLOPT_HTTPHEADER, headers.get());
  const auto code = curl_easy_perform(handle.get());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  if (t.is_too_long) return failure(error_code::limit_exceeded, "the node's answer is longer than expected");
  if (code != CURLE_OK && !t.stopped)
    return failure(error_code::unavailable,
                   "the node at " + node + " cannot be reached: " + curl_easy_strerror(code) +
                       "\nIs it running? Start one with: horizons node      Another one: --node URL");
  return answer{static_cast<int>(status), std::move(t.body)};
}

result<answer> client::ask(const std::string& method, const std::string& path, const std::string& body) const {
  transfer t;
  return perform(node_ + path, node_, token_, method, body, t);
}

result<answer> client::lines(const std::string& path, const std::function<bool(std::string_view)>& on_line,
                             const std::function<bool()>& go_on) const {
  transfer t{.body_max = line_bytes_max, .on_line = &on_line, .go_on = &go_on};
  return perform(node_ + path, node_, token_, "GET", "", t);
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      out += static_cast<char>(c);
    else
      out += std::string("%") + "0123456789ABCDEF"[c >> 4] + "0123456789ABCDEF"[c & 15];
  }
  return out;
}

}  // namespace horizons::cli
