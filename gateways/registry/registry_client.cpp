#include "gateways/registry/registry_client.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <thread>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "messages/codec/json.hpp"

namespace horizons::registry {

using std::chrono::steady_clock;

namespace {

constexpr const char* content_type = "Content-Type: application/vnd.schemaregistry.v1+json";

/// Where "user:password@" lies in a URL; empty when there is none.
std::pair<std::size_t, std::size_t> user_part(std::string_view url) {
  const auto scheme = url.find("://");
  const auto begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const auto end = url.find_first_of("/?#", begin);
  const auto at = url.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return {begin, begin};
  return {begin, at + 1};
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned octet = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::sscanf(std::string(text.substr(i + 1, 2)).c_str(), "%2x", &octet) == 1) {
      out += static_cast<char>(octet);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : text) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
        c == '.' || c == '~')
      out += static_cast<char>(c);
    else
      (out += '%', out += digits[c >> 4], out += digits[c & 15]);
  }
  return out;
}

/// The registry's own words on a failure, cut and without line breaks.
std::string said(const std::string& body) {
  auto parsed = parse_json(body);
  std::string text = parsed && parsed->is_object() && parsed->contains("message") && (*parsed)["message"].is_string()
                         ? (*parsed)["message"].get<std::string>()
                         : "no explanation";
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  if (text.size() > 300) text.replace(300, std::string::npos, "...");
  return text;
}

/// `unavailable` is what is tried again: 5xx, 429 and whatever else a proxy may say for a while.
error_code code_of(long status) {
  if (status < 400) return error_code::invalid_argument;  // a redirect: the address is not the registry's
  switch (status) {
    case 400:
    case 422:
      return error_code::invalid_argument;
    case 401:
    case 403:
      return error_code::forbidden;
    case 404:
      return error_code::not_found;
    case 409:
      return error_code::conflict;
    default:
      return error_code::unavailable;
  }
}

}  // namespace

std::string without_secrets(std::string_view url) {
  const auto [begin, end] = user_part(url);
  return std::string(url.substr(0, begin)) + std::string(url.substr(end));
}

/// One libcurl handle: keeps its TCP connection between questions.
struct registry_client::connection {
  connection() : handle(curl_easy_init()), headers(curl_slist_append(nullptr, content_type)) {}
  ~connection() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(handle);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  CURL* handle;
  curl_slist* headers;
};

registry_client::registry_client(registry_options options)
    : options_(std::move(options)), base_(without_secrets(options_.url)) {
  static const auto started = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)started;
  while (!base_.empty() && base_.back() == '/') base_.pop_back();
  const auto [begin, end] = user_part(options_.url);
  if (end > begin) {
    const auto secret = std::string_view(options_.url).substr(begin, end - begin - 1);
    const auto colon = secret.find(':');
    user_ = percent_decoded(secret.substr(0, colon));
    if (colon != std::string_view::npos) password_ = percent_decoded(secret.substr(colon + 1));
  }
  const auto host = std::string_view(base_).substr(std::min(base_.size(), user_part(base_).first));
  loopback_ = host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

registry_client::~registry_client() = default;

registry_counts registry_client::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

result<registry_client::reply> registry_client::ask_once(const char* method, const std::string& path,
                                                         const std::string& body) {
  std::unique_ptr<connection> c;
  {
    const std::lock_guard lock(mutex_);
    ++counts_.requests;
    if (!idle_.empty()) {
      c = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!c) c = std::make_unique<connection>();
  if (c->handle == nullptr || c->headers == nullptr) return failure(error_code::internal, "libcurl gives no handle");

  struct body_sink {
    std::string text;
    std::size_t bytes_max;
    bool too_large = false;
  } received{{}, options_.response_bytes_max};
  const auto take = +[](char* data, std::size_t, std::size_t n, void* to) -> std::size_t {
    auto& sink = *static_cast<body_sink*>(to);
    if (sink.text.size() + n > sink.bytes_max) {
      sink.too_large = true;
      return 0;
    }
    sink.text.append(data, n);
    return n;
  };
  CURL* h = c->handle;
  curl_easy_reset(h);
  curl_easy_setopt(h, CURLOPT_URL, (base_ + path).c_str());
  curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->headers);
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);  // a redirect would carry the password elsewhere
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(h, CURLOPT_WRITEDATA, &received);
  if (loopback_) curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
  if (!user_.empty()) {
    curl_easy_setopt(h, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(h, CURLOPT_USERNAME, user_.c_str());
    curl_easy_setopt(h, CURLOPT_PASSWORD, password_.c_str());
  }
  if (!body.empty()) {
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, body.c_str());
  }
  const CURLcode done = curl_easy_perform(h);
  reply r;
  curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &r.status);
  r.body = std::move(received.text);
  {
    constexpr std::size_t idle_max = 8;  // threads that ask at once; more are closed again
    const std::lock_guard lock(mutex_);
    if (idle_.size() < idle_max) idle_.push_back(std::move(c));
  }
  const auto where = "schema registry " + base_ + path + ": ";
  if (received.too_large)
    return failure(error_code::limit_exceeded,
                   where + "the answer is longer than " + std::to_string(options_.response_bytes_max) + " bytes");
  if (done == CURLE_OPERATION_TIMEDOUT)
    return failure(error_code::unavailable,
                   where + "no answer within " + std::to_string(options_.timeout.count()) + " ms");
  if (done != CURLE_OK) return failure(error_code::unavailable, where + curl_easy_strerror(done));
  if (r.status >= 300)
    return failure(code_of(r.status), where + "HTTP " + std::to_string(r.status) + ": " + said(r.body));
  return r;
}

result<registry_client::reply> registry_client::ask(const char* method, const std::string& path,
                                                    const std::string& body) {
  {
    const std::lock_guard lock(mutex_);
    if (steady_clock::now() < paused_until_) {
      ++counts_.failures;
      return failure(error_code::unavailable,
                     "schema registry " + base_ + ": did not answer a moment ago; it is asked again later");
    }
  }
  auto wait = options_.backoff_first;
  for (int attempt = 1;; ++attempt) {
    auto answer = ask_once(method, path, body);
    if (answer || answer.error().code != error_code::unavailable) return answer;
    if (attempt >= options_.attempts_max) {
      const std::lock_guard lock(mutex_);
      ++counts_.failures;
      paused_until_ = steady_clock::now() + options_.pause;
      return answer;
    }
    {
      const std::lock_guard lock(mutex_);
      ++counts_.retries;
    }
    std::this_thread::sleep_for(wait);
    wait = std::min(wait * 2, options_.backoff_max);
  }
}

namespace {

/// The answer's JSON object, or what is wrong with it.
result<json> object_in(const std::string& body, const char* what) {
  auto parsed = parse_json(body);
  if (!parsed)
    return failure(error_code::unreadable,
                   std::string("schema registry: the answer to '") + what + "' is " + parsed.error().text);
  if (!parsed->is_object())
    return failure(error_code::unreadable, std::string("schema registry: the answer to '") + what + "' is no object");
  return parsed;
}

template <class T>
result<T> member(const json& object, const char* key, const char* what) {
  const auto found = object.find(key);
  bool good = found != object.end();
  if constexpr (std::is_same_v<T, std::string>)
    good = good && found->is_string();
  else if constexpr (std::is_same_v<T, bool>)
    good = good && found->is_boolean();
  else
    good = good && found->is_number_unsigned() && found->get<std::uint64_t>() <= std::numeric_limits<T>::max();
  if (!good)
    return failure(error_code::unreadable,
                   std::string("schema registry: the answer to '") + what + "' has no good '" + key + "'");
  return found->get<T>();
}

std::string schema_body(const std::string& schema_text) {
  return json{{"schema", schema_text}}.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::string subject_path(std::string_view subject) { return "/subjects/" + percent_encoded(subject); }

}  // namespace

/// Who registers the same schema at the same moment as another node is told of a conflict by Apicurio (2.x: "version
/// 'null' already exists"), as if it were incompatible. The schema is there then.
result<std::uint32_t> registry_client::enroll(std::string_view subject, const std::string& schema_text) {
  auto answer = ask("POST", subject_path(subject) + "/versions", schema_body(schema_text));
  if (!answer) {
    if (answer.error().code == error_code::conflict)
      if (auto there = look_up(subject, schema_text)) return there->id;
    return failure(std::move(answer.error()));
  }
  auto object = object_in(answer->body, "register");
  if (!object) return failure(std::move(object.error()));
  return member<std::uint32_t>(*object, "id", "register");
}

result<std::uint32_t> registry_client::register_schema(std::string_view subject, const std::string& schema_text) {
  auto parsed = avro::schema::parse(schema_text, {.check_defaults = false});
  if (!parsed) return failure(error_code::invalid_argument, parsed.error().text);
  const auto key = std::string(subject) + '\0' + schema_text;
  {
    const std::lock_guard lock(mutex_);
    if (auto known = ids_.find(key); known != ids_.end()) {
      ++counts_.cache_hits;
      return known->second;
    }
  }
  auto id = enroll(subject, schema_text);
  if (!id) return id;
  remember(*id, std::make_shared<const avro::schema>(std::move(*parsed)));
  const std::lock_guard lock(mutex_);
  if (ids_.size() >= options_.cache_entries_max) ids_.clear();  // more subjects than anybody has: start again
  ids_.emplace(key, *id);
  return id;
}

std::optional<result<registry_client::schema_ptr>> registry_client::cached_schema(std::uint32_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = cache_.find(id);
  if (found == cache_.end()) return std::nullopt;
  if (found->second.schema == nullptr && steady_clock::now() >= found->second.until) return std::nullopt;
  ++counts_.cache_hits;
  recent_.splice(recent_.begin(), recent_, found->second.recent);
  if (found->second.schema == nullptr)
    return result<schema_ptr>(
        failure(error_code::not_found, "schema registry " + base_ + ": no schema has the id " + std::to_string(id)));
  return result<schema_ptr>(found->second.schema);
}

void registry_client::remember(std::uint32_t id, schema_ptr schema) {
  const std::lock_guard lock(mutex_);
  const auto until = steady_clock::now() + options_.unknown_for;
  if (auto found = cache_.find(id); found != cache_.end()) {
    found->second.schema = std::move(schema);
    found->second.until = until;
    return;
  }
  if (options_.cache_entries_max == 0) return;
  while (cache_.size() >= options_.cache_entries_max) {
    cache_.erase(recent_.back());
    recent_.pop_back();
  }
  recent_.push_front(id);
  cache_.emplace(id, cached{std::move(schema), until, recent_.begin()});
}

result<registry_client::schema_ptr> registry_client::schema_by_id(std::uint32_t id) {
  if (auto known = cached_schema(id)) return std::move(*known);
  auto answer = ask("GET", "/schemas/ids/" + std::to_string(id), {});
  if (!answer) {
    if (answer.error().code == error_code::not_found) remember(id, nullptr);
    return failure(std::move(answer.error()));
  }
  auto object = object_in(answer->body, "schema by id");
  if (!object) return failure(std::move(object.error()));
  if (auto kind = object->find("schemaType"); kind != object->end() && *kind != "AVRO")
    return failure(error_code::unreadable, "schema registry: the schema " + std::to_string(id) + " is of type " +
                                               kind->dump() + "; expected AVRO");
  auto text = member<std::string>(*object, "schema", "schema by id");
  if (!text) return failure(std::move(text.error()));
  auto parsed = avro::schema::parse(*text, {.check_defaults = false});
  if (!parsed)
    return failure(parsed.error().code,
                   "schema registry: the schema " + std::to_string(id) + ": " + parsed.error().text);
  auto made = std::make_shared<const avro::schema>(std::move(*parsed));
  remember(id, made);
  return made;
}

result<registered_schema> registry_client::look_up(std::string_view subject, const std::string& schema_text) {
  auto answer = ask("POST", subject_path(subject), schema_body(schema_text));
  if (!answer) return failure(std::move(answer.error()));
  auto object = object_in(answer->body, "look up");
  if (!object) return failure(std::move(object.error()));
  auto id = member<std::uint32_t>(*object, "id", "look up");
  if (!id) return failure(std::move(id.error()));
  return registered_schema{*id, member<int>(*object, "version", "look up").value_or(0), std::string(subject)};
}

result<compatibility_answer> registry_client::test(std::string_view subject, const std::string& schema_text,
                                                   std::string_view version) {
  auto answer =
      ask("POST", "/compatibility" + subject_path(subject) + "/versions/" + percent_encoded(version) + "?verbose=true",
          schema_body(schema_text));
  if (!answer && answer.error().code == error_code::not_found) return compatibility_answer{true, {}};
  if (!answer) return failure(std::move(answer.error()));
  auto object = object_in(answer->body, "compatibility");
  if (!object) return failure(std::move(object.error()));
  auto compatible = member<bool>(*object, "is_compatible", "compatibility");
  if (!compatible) return failure(std::move(compatible.error()));
  compatibility_answer out{*compatible, {}};
  if (auto words = object->find("messages"); words != object->end() && words->is_array())
    for (const auto& word : *words)
      if (word.is_string()) out.reasons.push_back(word);
  if (auto reason = object->find("reason"); reason != object->end() && reason->is_string())
    out.reasons.push_back(*reason);
  return out;
}

result<avro::compatibility_mode> registry_client::mode(std::string_view subject) {
  auto answer = ask("GET", subject.empty() ? "/config" : "/config/" + percent_encoded(subject), {});
  if (!answer) return failure(std::move(answer.error()));
  auto object = object_in(answer->body, "config");
  if (!object) return failure(std::move(object.error()));
  auto word = member<std::string>(*object, "compatibilityLevel", "config");
  if (!word) return failure(std::move(word.error()));
  return avro::parse_compatibility_mode(*word);
}

result<void> registry_client::set_mode(avro::compatibility_mode mode, std::string_view subject) {
  auto answer = ask("PUT", subject.empty() ? "/config" : "/config/" + percent_encoded(subject),
                    json{{"compatibility", avro::to_string(mode)}}.dump());
  if (!answer) return failure(std::move(answer.error()));
  return {};
}

}  // namespace horizons::registry
