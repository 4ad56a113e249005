#include "gateways/otlp/span_poster.hpp"

#include <curl/curl.h>

#include <memory>
#include <optional>

#include "runtime/telemetry/log.hpp"

namespace horizons::otlp {
namespace {

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

/// The endpoint without user and password, for logs.
std::string shown(const std::string& url) {
  const auto scheme = url.find("://"), from = scheme == std::string::npos ? 0 : scheme + 3;
  const auto at = url.substr(from, url.find('/', from) - from).rfind('@');
  return at == std::string::npos ? url : url.substr(0, from) + url.substr(from + at + 1);
}

class poster {
public:
  poster(std::string endpoint, poster_limits limits) : limits_(limits), url_(std::move(endpoint)) {
    while (url_.ends_with('/')) url_.pop_back();
    if (!url_.ends_with("/v1/traces")) url_ += "/v1/traces";
    static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (ready) handle_.reset(curl_easy_init());
  }

  bool operator()(const std::string& body) {
    const auto wrong = perform(body);
    if (wrong && !failing_)
      log::warn("spans are lost: the collector does not take them", {{"url", shown(url_)}, {"reason", *wrong}});
    if (!wrong && failing_) log::info("the collector takes spans again", {{"url", shown(url_)}});
    failing_ = wrong.has_value();
    return !wrong;
  }

private:
  /// What went wrong, if anything.
  std::optional<std::string> perform(const std::string& body) {
    if (!handle_) return "libcurl cannot be started";
    curl_easy_reset(handle_.get());  // options only: the connection stays
    const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle_.get(), option, value); };
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(limits_.whole.count()));
    set(CURLOPT_WRITEFUNCTION, discard);
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");  // a round trip for nothing
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
    set(CURLOPT_HTTPHEADER, headers.get());
    if (const auto code = curl_easy_perform(handle_.get()); code != CURLE_OK) return curl_easy_strerror(code);
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) return "it answered with status " + std::to_string(status);
    return std::nullopt;
  }

  poster_limits limits_;
  std::string url_;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle_{nullptr, curl_easy_cleanup};
  bool failing_ = false;
};

}  // namespace

std::function<bool(const std::string&)> span_poster(std::string endpoint, poster_limits limits) {
  return [p = std::make_shared<poster>(std::move(endpoint), limits)](const std::string& body) { return (*p)(body); };
}

}  // namespace horizons::otlp
