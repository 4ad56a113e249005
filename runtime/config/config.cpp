#include "runtime/config/config.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include <toml++/toml.h>

#include "messages/text.hpp"
#include "runtime/config/keys.hpp"

extern char** environ;

namespace horizons {
namespace {

constexpr std::size_t mistakes_max = 20;            // more are of no use to a reader
constexpr std::uintmax_t file_bytes_max = 1 << 20;  // a configuration is a page or two

/// Variables with our prefix that are not configuration: of the tools, the tests, the command line.
constexpr std::string_view tool_variables[] = {
    "HORIZONS_THREADS", "HORIZONS_REGENERATE", "HORIZONS_NODE",        "HORIZONS_TOKEN",
    "HORIZONS_CONFIG",  "HORIZONS_REDIS_URL",  "HORIZONS_S3_ENDPOINT",
};

/// Edits (insert, delete, replace) between two words.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 4) + 1;
  for (const auto& candidate : candidates)
    if (const auto d = distance(word.substr(0, 100), candidate); d < best_distance) best = candidate, best_distance = d;
  return best;
}

const config_key* find_key(std::string_view section, std::string_view name) {
  for (const auto& key : config_keys())
    if (key.section == section && key.name == name) return &key;
  return nullptr;
}

bool is_section(std::string_view name) {
  return std::ranges::any_of(config_sections(), [&](const auto& s) { return s.name == name; });
}

/// "section.key is not known; did you mean …?"
std::string unknown_key(const std::string& section, const std::string& name) {
  std::string text = section + "." + name + " is not known; ";
  for (const auto& key : config_keys())  // right name, wrong section
    if (key.name == name && !find_key(section, name)) return text + "did you mean " + key.path() + "?";
  std::vector<std::string> paths, here;
  for (const auto& key : config_keys()) {
    paths.push_back(key.path());
    if (key.section == section) here.emplace_back(key.name);
  }
  if (const auto name_like = nearest(name, here); !name_like.empty())
    return text + "did you mean " + section + "." + name_like + "?";
  if (const auto like = nearest(section + "." + name, paths); !like.empty()) return text + "did you mean " + like + "?";
  std::string all;
  for (const auto& item : here) all += (all.empty() ? "" : ", ") + item;
  return text + "[" + section + "] has " + all;
}

std::string unknown_section(const std::string& section) {
  std::vector<std::string> names;
  std::string all;
  for (const auto& s : config_sections()) {
    names.emplace_back(s.name);
    all += (all.empty() ? "" : ", ") + std::string(s.name);
  }
  const auto like = nearest(section, names);
  return "[" + section + "] is not known; " +
         (like.empty() ? "expected one of " + all : "did you mean [" + like + "]?");
}

std::string what_is(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

std::string_view wanted(value_kind kind) {
  switch (kind) {
    case value_kind::text:
      return "a text like ";
    case value_kind::whole:
      return "a whole number like ";
    case value_kind::boolean:
      return "true or false";
    case value_kind::list:
      return "a list like ";
    case value_kind::devices:
      return "";
  }
  return "";
}

std::string shown(const toml::node& node) {
  std::ostringstream out;
  if (const auto* text = node.as_string())
    out << quote(text->get());
  else if (const auto* array = node.as_array())
    out << toml::toml_formatter{*array};
  else
    node.visit([&](const auto& value) {
      if constexpr (toml::is_value<decltype(value)>) out << toml::toml_formatter{value};
    });
  auto text = std::move(out).str();
  if (text.size() > 100) text = text.substr(0, 100) + "…";
  return text;
}

std::optional<config_value> read(const toml::node& node, value_kind kind) {
  switch (kind) {
    case value_kind::text:
      if (const auto* v = node.as_string()) return v->get();
      break;
    case value_kind::whole:
      if (const auto* v = node.as_integer()) return v->get();
      break;
    case value_kind::boolean:
      if (const auto* v = node.as_boolean()) return v->get();
      break;
    case value_kind::list:
      if (const auto* array = node.as_array()) {
        std::vector<std::string> items;
        for (const auto& item : *array) {
          if (!item.is_string()) return std::nullopt;
          items.push_back(item.as_string()->get());
        }
        return items;
      }
      break;
    case value_kind::devices:
      if (const auto* v = node.as_string(); v && (v->get() == "auto" || v->get() == "cpu"))
        return device_choice{v->get(), {}};
      if (const auto* array = node.as_array(); array && !array->empty()) {
        device_choice devices{"listed", {}};
        for (const auto& item : *array) {
          const auto* ordinal = item.as_integer();
          if (!ordinal || ordinal->get() < 0 || ordinal->get() > 1023) return std::nullopt;
          devices.listed.push_back(static_cast<int>(ordinal->get()));
        }
        return devices;
      }
      break;
  }
  return std::nullopt;
}

/// Turns "host1:9092,host2:9092" (from --set or the environment) into the TOML that a file would hold.
std::string as_toml(const std::string& text, value_kind kind) {
  const bool is_bracketed = text.starts_with('[');
  const auto listed = [&](bool as_text) {
    std::string out;
    std::stringstream items(text);
    for (std::string item; std::getline(items, item, ',');) {
      const auto first = item.find_first_not_of(' '), last = item.find_last_not_of(' ');
      if (first == std::string::npos) continue;
      item = item.substr(first, last - first + 1);
      out += (out.empty() ? "" : ", ") + (as_text ? to_toml(item) : item);
    }
    return "[" + out + "]";
  };
  const bool digits = !text.empty() && text.find_first_not_of("0123456789_, ") == std::string::npos;
  switch (kind) {
    case value_kind::text:
      return to_toml(text);
    case value_kind::whole:
      return !text.empty() && text.find_first_not_of("+-0123456789_.") == std::string::npos ? text : to_toml(text);
    case value_kind::boolean:
      return text == "true" || text == "false" ? text : to_toml(text);
    case value_kind::list:
      return is_bracketed ? text : listed(true);
    case value_kind::devices:
      return is_bracketed ? text : digits ? listed(false) : to_toml(text);
  }
  return text;
}

class reader {
public:
  loaded_configuration loaded;
  std::vector<std::string> mistakes;

  void mistake(std::string text) { mistakes.push_back(std::move(text)); }

  void read_file(const std::filesystem::path& path) {
    std::error_code code;
    const auto bytes = std::filesystem::file_size(path, code);
    if (code) return mistake(path.string() + ": cannot be read: " + code.message());
    if (bytes > file_bytes_max)
      return mistake(path.string() + ": has " + std::to_string(bytes) + " bytes; at most 1 MiB");
    std::ifstream in(path);
    std::stringstream content;
    content << in.rdbuf();
    if (!in) return mistake(path.string() + ": cannot be read");
    toml::table table;
    try {
      table = toml::parse(content.view(), path.string());
    } catch (const toml::parse_error& e) {
      return mistake(path.string() + ":" + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
    }
    const auto at = [&](const toml::source_region& where) {
      return path.string() + ":" + std::to_string(where.begin.line);
    };
    for (const auto& [name, node] : table) {
      const std::string section(name.str());
      const auto where = at(name.source());
      if (!is_section(section)) {
        mistake(where + ": " +
                (node.is_table() ? unknown_section(section)
                                 : section + " stands in no section; expected [section] and key = value"));
        continue;
      }
      const auto* keys = node.as_table();
      if (!keys) {
        mistake(where + ": " + section + " is " + what_is(node) + "; expected a section [" + section + "]");
        continue;
      }
      for (const auto& [key, value] : *keys) take(section, std::string(key.str()), value, at(key.source()));
    }
  }

  void read_environment(const std::map<std::string, std::string>& environment) {
    for (const auto& [variable, text] : environment) {
      if (std::ranges::find(tool_variables, variable) != std::end(tool_variables)) continue;
      const config_key* found = nullptr;
      std::vector<std::string> known;
      for (const auto& key : config_keys()) {
        auto name = "HORIZONS_" + std::string(key.section) + "_" + std::string(key.name);
        std::ranges::transform(name, name.begin(), [](unsigned char ch) { return std::toupper(ch); });
        if (name == variable) found = &key;
        known.push_back(std::move(name));
      }
      if (found) {
        take_text(*found, text, variable);
        continue;
      }
      const auto like = nearest(variable, known);
      loaded.warnings.push_back(variable + " is set and means nothing here" +
                                (like.empty() ? "" : "; did you mean " + like + "?"));
    }
  }

  void read_set(const std::vector<std::string>& assignments) {
    for (const auto& assignment : assignments) {
      const auto equals = assignment.find('=');
      const auto dot = assignment.find('.');
      if (equals == std::string::npos || dot == std::string::npos || dot > equals) {
        mistake("--set " + quote(assignment) + ": expected section.key=value");
        continue;
      }
      const auto section = assignment.substr(0, dot), name = assignment.substr(dot + 1, equals - dot - 1);
      if (!is_section(section))
        mistake("--set: " + unknown_section(section));
      else if (const auto* key = find_key(section, name))
        take_text(*key, assignment.substr(equals + 1), "--set");
      else
        mistake("--set: " + unknown_key(section, name));
    }
  }

  /// What only several keys together can say.
  void check_together() {
    auto& c = loaded.config;
    const auto origin = [&](const std::string& path) {
      const auto at = c.origins.find(path);
      return at == c.origins.end() ? std::string() : at->second + ": ";
    };
    const auto section_origin = [&](const std::string& section) {
      for (const auto& [path, where] : c.origins)
        if (path.starts_with(section + ".")) return where + ": ";
      return std::string();
    };
    if (const auto address = parse_listen_address(c.http.listen);
        c.auth.mode == "open" && address && !is_loopback(address->host))
      mistake(
          origin("http.listen") + "http.listen = " + quote(c.http.listen) +
          " is open to the network while auth.mode = \"open\" serves one person on one machine; expected a loopback "
          "address like \"127.0.0.1:8080\", or auth.mode = \"jwt\"");
    if (c.http.tls_cert.empty() != c.http.tls_key.empty())
      mistake(section_origin("http") + "http.tls_cert and http.tls_key belong together; one of them is missing");
    if (c.auth.mode == "jwt" && (c.auth.jwks.empty() || c.auth.issuer.empty() || c.auth.audience.empty()))
      mistake(origin("auth.mode") + "auth.mode = \"jwt\" needs auth.jwks, auth.issuer and auth.audience");
    // A registry alone changes nothing: an environment that names test servers may hold just that.
    if (c.kafka && c.kafka->brokers.empty() && section_origin("kafka") == "HORIZONS_KAFKA_REGISTRY: ") c.kafka.reset();
    if (c.kafka && c.kafka->brokers.empty())
      mistake(section_origin("kafka") + "[kafka] needs kafka.brokers, addresses like \"host1:9092\"");
    if (c.kafka && c.kafka->format == "avro" && c.kafka->registry.empty())
      mistake(origin("kafka.format") + "kafka.format = \"avro\" needs kafka.registry");
    if (c.kafka && !c.kafka->sasl_password.empty() && !c.kafka->sasl_password_file.empty())
      mistake(origin("kafka.sasl_password_file") +
              "kafka.sasl_password and kafka.sasl_password_file are both given; expected one of them");
    if (c.kafka && c.kafka->tls_cert.empty() != c.kafka->tls_key.empty())
      mistake(section_origin("kafka") + "kafka.tls_cert and kafka.tls_key belong together; one of them is missing");
    if (c.rabbitmq && c.rabbitmq->urls.empty())
      mistake(section_origin("rabbitmq") + "[rabbitmq] needs rabbitmq.urls, addresses like \"amqp://user@host\"");
    if (c.cluster && c.cluster->listen.empty()) mistake(section_origin("cluster") + "[cluster] needs cluster.listen");
    if (c.cluster && c.cluster->secret_file.empty() &&
        (c.cluster->tls_cert.empty() || c.cluster->tls_key.empty() || c.cluster->tls_ca.empty()))
      mistake(section_origin("cluster") + "[cluster] needs cluster.secret_file, or tls_cert, tls_key and tls_ca");
    if (c.jobs.queued_max_per_tenant > c.jobs.queued_max) {
      if (c.origins.contains("jobs.queued_max_per_tenant"))
        mistake(origin("jobs.queued_max_per_tenant") +
                "jobs.queued_max_per_tenant = " + std::to_string(c.jobs.queued_max_per_tenant) +
                " is above jobs.queued_max = " + std::to_string(c.jobs.queued_max));
      c.jobs.queued_max_per_tenant = c.jobs.queued_max;
    }
  }

private:
  void take(const std::string& section, const std::string& name, const toml::node& node, const std::string& where) {
    const auto* key = find_key(section, name);
    if (!key) return mistake(where + ": " + unknown_key(section, name));
    const auto value = read(node, key->kind);
    if (!value)
      return mistake(where + ": " + key->path() + " = " + shown_value(*key, node) + " is " + what_is(node) +
                     "; expected " + expectation(*key));
    if (key->fault)
      if (const auto fault = key->fault(*value); !fault.empty())
        return mistake(where + ": " + key->path() + " = " + shown_value(*key, node) + " " + fault);
    key->set(loaded.config, *value);
    loaded.config.origins[key->path()] = where;
  }

  void take_text(const config_key& key, const std::string& text, const std::string& where) {
    toml::table table;
    try {
      table = toml::parse("x = " + as_toml(text, key.kind));
    } catch (const toml::parse_error&) {
      return mistake(where + ": " + key.path() + " = " + quote(hidden(key.secret, text)) +
                     " cannot be read; expected " + expectation(key));
    }
    take(std::string(key.section), std::string(key.name), *table.get("x"), where);
  }

  static std::string expectation(const config_key& key) {
    if (key.example.starts_with("a list") || key.kind == value_kind::devices) return std::string(key.example);
    return std::string(wanted(key.kind)) + (key.kind == value_kind::boolean ? "" : std::string(key.example));
  }

  static std::string shown_value(const config_key& key, const toml::node& node) {
    if (key.secret == secrecy::none) return shown(node);
    if (const auto* text = node.as_string()) return quote(hidden(key.secret, text->get()));
    return "***";
  }
};

}  // namespace

result<loaded_configuration> load_configuration(const config_sources& sources) {
  reader in;
  if (sources.file) in.read_file(*sources.file);
  in.read_environment(sources.environment);
  in.read_set(sources.set);
  if (in.mistakes.empty()) in.check_together();
  if (!in.mistakes.empty()) {
    std::string text;
    for (std::size_t i = 0; i < std::min(in.mistakes.size(), mistakes_max); ++i)
      text += (i ? "\n" : "") + in.mistakes[i];
    if (in.mistakes.size() > mistakes_max)
      text += "\nand " + std::to_string(in.mistakes.size() - mistakes_max) + " more";
    return failure(error_code::invalid_argument, std::move(text));
  }
  auto& c = in.loaded.config;
  if (c.journal.url.empty())
    c.journal.url = "sqlite:" + (std::filesystem::path(c.node.data_dir) / "journal.db").string();
  return std::move(in.loaded);
}

std::map<std::string, std::string> horizons_environment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (text.starts_with("HORIZONS_") && equals != text.npos)
      found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

std::vector<std::string> unsupported(const configuration& c) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& what, const std::string& prefix, const std::string& instead) {
    std::string where;
    for (const auto& [path, origin] : c.origins)
      if (path.starts_with(prefix) && where.empty()) where = " (" + origin + ")";
    lines.push_back(what + where + " is not in this build yet; " + instead);
  };
  if (c.cluster) add("a cluster", "cluster.", "leave [cluster] out: the node runs alone");
  if (c.auth.mode == "jwt") add("auth.mode = \"jwt\"", "auth.mode", "use \"open\" on a loopback address");
  if (!c.http.tls_cert.empty()) add("TLS", "http.tls_cert", "leave http.tls_cert and http.tls_key out");
  return lines;
}

std::string describe(const configuration& config) {
  std::string out;
  for (const auto& section : config_sections()) {
    if ((section.name == "kafka" && !config.kafka) || (section.name == "rabbitmq" && !config.rabbitmq) ||
        (section.name == "cluster" && !config.cluster))
      continue;
    out += (out.empty() ? "[" : "\n[") + std::string(section.name) + "]\n";
    for (const auto& key : config_keys()) {
      if (key.section != section.name || (key.path() == "data.allow" && !config.data.allow)) continue;
      auto value = key.get(config);
      if (auto* text = std::get_if<std::string>(&value)) *text = hidden(key.secret, *text);
      if (auto* list = std::get_if<std::vector<std::string>>(&value))
        for (auto& item : *list) item = hidden(key.secret, item);
      out += std::string(key.name) + " = " + to_toml(value) + "\n";
    }
  }
  return out;
}

std::string reference_toml() {
  std::string out =
      "# Every key of a node's configuration with its default. All of them can be left out.\n"
      "# Each can also be given as --set section.key=value or as the variable HORIZONS_SECTION_KEY.\n"
      "# Check a file with: horizons config check FILE\n";
  const configuration defaults;
  for (const auto& section : config_sections()) {
    out += "\n# " + std::string(section.doc) + "\n" + (section.optional ? "# " : "") + "[" + std::string(section.name) +
           "]\n";
    for (const auto& key : config_keys()) {
      if (key.section != section.name) continue;
      out += "# " + std::string(key.doc) + "\n# " + std::string(key.name) + " = " + to_toml(key.get(defaults)) + "\n";
    }
  }
  return out;
}

std::string embedded_toml() {
  const configuration defaults;
  std::string out =
      "# One person, one machine: what `horizons node` does without any file, spelled out.\n"
      "# All keys: configs/reference.toml\n";
  std::string_view section;
  for (const std::string_view path : {"node.data_dir", "http.listen", "journal.retention_days", "jobs.queued_max",
                                      "jobs.attempts_max", "gpu.devices"}) {
    for (const auto& key : config_keys()) {
      if (key.path() != path) continue;
      if (section != key.section) out += "\n[" + std::string(section = key.section) + "]\n";
      out += "# " + std::string(key.doc) + "\n" + std::string(key.name) + " = " + to_toml(key.get(defaults)) + "\n";
    }
  }
  return out;
}

result<listen_address> parse_listen_address(std::string_view text) {
  const auto wrong = [&](std::string why) {
    return failure(error_code::invalid_argument, "is not an address that can be used: " + std::move(why) +
                                                     "; expected host:port, like \"127.0.0.1:8080\"");
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos) return wrong("it has no port");
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != host.npos)
    return wrong("a version 6 address needs brackets, like \"[::1]:8080\"");
  if (host.empty() || host.find_first_of(" /@[]") != host.npos) return wrong("it has no host");
  unsigned number = 0;
  const auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (code != std::errc{} || end != port.data() + port.size() || number > 65'535)
    return wrong("the port is not a number from 0 to 65535");
  return listen_address{std::string(host), static_cast<std::uint16_t>(number)};
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  int parts = 0;  // 127.x.y.z, each 0 to 255, all digits: "127.evil.example" is a name
  for (std::size_t from = 0; from <= host.size();) {
    const auto dot = std::min(host.find('.', from), host.size());
    const auto part = host.substr(from, dot - from);
    unsigned number = 256;
    const auto [end, code] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (code != std::errc{} || end != part.data() + part.size() || number > 255 || part.size() > 3) return false;
    if (parts++ == 0 && number != 127) return false;
    from = dot + 1;
  }
  return parts == 4;
}

}  // namespace horizons
