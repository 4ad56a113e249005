#include "gateways/rabbitmq/url.hpp"

#include <charconv>
#include <fstream>
#include <optional>

#include "messages/text.hpp"

namespace horizons::rabbitmq {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

tl::unexpected<error> wrong(const std::string& what) {
  return failure(error_code::invalid_argument,
                 "rabbitmq.urls: " + what + "; expected an address like \"amqp://user@host:5672/vhost\"");
}

/// Splits at the first `at`; without one everything is in front.
std::pair<std::string_view, std::string_view> split(std::string_view text, char at) {
  const auto where = text.find(at);
  if (where == std::string_view::npos) return {text, {}};
  return {text.substr(0, where), text.substr(where + 1)};
}

result<void> read_password(endpoint& e, const std::string& path) {
  std::ifstream file(path);
  if (!file || !std::getline(file, e.password))
    return failure(error_code::invalid_argument,
                   "rabbitmq.urls: password_file " + quote(path, 256) + " cannot be read, or is empty");
  if (!e.password.empty() && e.password.back() == '\r') e.password.pop_back();
  return {};
}

result<void> read_query(endpoint& e, std::string_view query) {
  while (!query.empty()) {
    const auto [pair, rest] = split(query, '&');
    query = rest;
    const auto [name, raw] = split(pair, '=');
    const auto value = percent_decoded(raw);
    if (!value || value->empty()) return wrong("the query parameter " + quote(name) + " has no readable value");
    if (name == "cacertfile") {
      e.cacertfile = *value;
    } else if (name == "certfile") {
      e.certfile = *value;
    } else if (name == "keyfile") {
      e.keyfile = *value;
    } else if (name == "verify" && (*value == "verify_peer" || *value == "verify_none")) {
      e.verify = *value == "verify_peer";
    } else if (name == "password_file") {
      if (auto read = read_password(e, *value); !read) return read;
    } else {
      return wrong(
          "the query parameter " + quote(pair) +
          " is unknown; there are cacertfile, certfile, keyfile, verify=verify_peer|verify_none, password_file");
    }
  }
  if (e.certfile.empty() != e.keyfile.empty()) return wrong("certfile and keyfile come together");
  if (!e.tls && (!e.cacertfile.empty() || !e.certfile.empty())) return wrong("certificates need amqps://");
  return {};
}

}  // namespace

std::string endpoint::name() const {
  const std::string written = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return std::string(tls ? "amqps://" : "amqp://") + written + ":" + std::to_string(port) +
         (vhost == "/" ? "" : "/" + vhost);
}

result<endpoint> parse_url(std::string_view url) {
  endpoint e;
  if (url.starts_with("amqps://")) {
    e.tls = true;
    e.port = 5671;
    url.remove_prefix(8);
  } else if (url.starts_with("amqp://")) {
    url.remove_prefix(7);
  } else {
    return wrong("an address does not begin with amqp:// or amqps://");
  }
  const auto [before_query, query] = split(url, '?');
  const auto slash = before_query.find('/');
  std::string_view authority = before_query.substr(0, slash);
  if (slash != std::string_view::npos) {
    const auto vhost = percent_decoded(before_query.substr(slash + 1));
    if (!vhost || before_query.substr(slash + 1).find('/') != std::string_view::npos)
      return wrong("the virtual host is unreadable: a \"/\" in it is written %2F");
    if (!vhost->empty()) e.vhost = *vhost;
  }
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const auto [user, password] = split(authority.substr(0, at), ':');
    const auto clear_user = percent_decoded(user), clear_password = percent_decoded(password);
    if (!clear_user || !clear_password) return wrong("user or password has a wrong percent sign");
    e.user = *clear_user;
    e.password = *clear_password;
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) return wrong("the host's \"[\" is not closed");
    e.host = authority.substr(1, end - 1);
    const auto rest = authority.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return wrong("after the host's \"]\" comes \":port\"");
    port = rest.empty() ? rest : rest.substr(1);
  } else {
    const auto [host, given] = split(authority, ':');
    e.host = host;
    port = given;
  }
  if (e.host.empty()) return wrong("an address has no host");
  if (!port.empty()) {
    unsigned number = 0;
    const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (fault != std::errc() || end != port.data() + port.size() || number == 0 || number > 65'535)
      return wrong("port " + quote(port) + " of " + quote(e.host) + " is not 1 to 65535");
    e.port = static_cast<std::uint16_t>(number);
  }
  if (auto read = read_query(e, query); !read) return failure(std::move(read.error()));
  return e;
}

}  // namespace horizons::rabbitmq
