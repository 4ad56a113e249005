// The description of every configuration key: type, default, meaning, check. Reading, overriding, printing and the
// documented files in configs/ all derive from this one table. Used by config.cpp only.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/config/config.hpp"

namespace horizons {

enum class value_kind { text, whole, boolean, list, devices };

/// What of a value must not be shown.
enum class secrecy { none, password_in_url, all };

using config_value = std::variant<std::string, std::int64_t, bool, std::vector<std::string>, device_choice>;

struct config_key {
  std::string_view section, name;
  value_kind kind;
  std::string_view doc;
  std::string_view example;  // of a value that is right, for error texts
  std::function<void(configuration&, config_value)> set;
  std::function<config_value(const configuration&)> get;            // the default when the section is absent
  std::function<std::string(const config_value&)> fault = nullptr;  // empty text: the value is possible
  secrecy secret = secrecy::none;

  std::string path() const { return std::string(section) + "." + std::string(name); }
};

struct config_section {
  std::string_view name, doc;
  bool optional = false;  // its presence switches something on
};

std::span<const config_section> config_sections();
std::span<const config_key> config_keys();

/// A value as TOML writes it.
std::string to_toml(const config_value& value);

/// "amqp://user:***@host": the password of a URL hidden.
std::string without_password(std::string url);

/// `text` as it may be shown.
inline std::string hidden(secrecy how, const std::string& text) {
  if (how == secrecy::all) return text.empty() ? "" : "***";
  return how == secrecy::password_in_url ? without_password(text) : text;
}

}  // namespace horizons
