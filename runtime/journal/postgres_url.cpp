#include "runtime/journal/postgres_url.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <map>
#include <memory>

#include "messages/text.hpp"

namespace horizons::journal::postgres {

namespace {

constexpr std::string_view expected =
    "; expected \"postgresql://user[:password]@host1[:port],host2[:port]/database[?schema=name]\"";

/// Takes "schema=…" out of the query.
std::string take_schema(std::string& url) {
  const auto query = url.find('?');
  if (query == std::string::npos) return {};
  std::string schema, rest;
  for (std::size_t at = query + 1; at <= url.size();) {
    const auto end = std::min(url.find('&', at), url.size());
    const auto part = url.substr(at, end - at);
    if (part.starts_with("schema="))
      schema = part.substr(7);
    else if (!part.empty())
      rest += (rest.empty() ? "?" : "&") + part;
    at = end + 1;
  }
  url = url.substr(0, query) + rest;
  return schema;
}

bool is_schema(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= 63 && letter(name[0]) && !name.starts_with("pg_") &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string in_quotes(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

/// libpq's own words may repeat the whole URL, password included: only those that name a parameter are passed on.
std::string reason_of(std::string_view text) {
  constexpr std::string_view harmless = "invalid URI query parameter";
  if (!text.starts_with(harmless)) return "is not a PostgreSQL address";
  return "has an unknown parameter" + std::string(text.substr(harmless.size(), text.find('\n') - harmless.size()));
}

}  // namespace

result<address> parse_url(const std::string& url) {
  std::string rest = url;
  address to;
  to.schema = take_schema(rest);
  if (to.schema.empty()) to.schema = default_schema;
  if (!is_schema(to.schema))
    return failure(error_code::invalid_argument,
                   "journal.url: schema " + quote(to.schema) + " is not a name; expected [a-z_][a-z0-9_]{0,62}");
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(rest.c_str(), &why),
                                                                             &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> why_owner(why, &PQfreemem);
  if (!options)
    return failure(error_code::invalid_argument, "journal.url " + reason_of(why ? why : "") + std::string(expected));

  std::map<std::string, std::string> values{
      {"target_session_attrs", "read-write"},  // of several hosts the primary
      {"connect_timeout", "3"},                // seconds, for each host
      {"keepalives_idle", "5"},
      {"keepalives_interval", "3"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "15000"},  // ms; a host that lost its power is given up then
      {"client_encoding", "UTF8"},
      {"application_name", "horizons"},
  };
  for (auto* o = options.get(); o->keyword; ++o)
    if (o->val) values[o->keyword] = o->val;
  to.password = values["password"];
  for (const auto& [keyword, value] : values)
    if (!value.empty()) to.connection += keyword + "=" + in_quotes(value) + " ";

  const auto& hosts = values["host"];
  const auto& ports = values["port"];
  to.shown = "postgresql://";
  for (std::size_t host = 0, port = 0; host <= hosts.size();) {
    const auto host_end = std::min(hosts.find(',', host), hosts.size());
    const auto port_end = std::min(ports.find(',', port), ports.size());
    to.shown += (host == 0 ? "" : ",") + hosts.substr(host, host_end - host);
    if (port < port_end) to.shown += ":" + ports.substr(port, port_end - port);
    host = host_end + 1;
    if (port_end < ports.size()) port = port_end + 1;  // one port may stand for all hosts
  }
  to.shown += "/" + values["dbname"];
  return to;
}

}  // namespace horizons::journal::postgres
