#include <charconv>

#include "messages/text.hpp"
#include "runtime/config/config.hpp"

namespace horizons {

result<named_weight> parse_weight(std::string_view text) {
  const auto refuse = [](const std::string& why) {
    return failure(error_code::invalid_argument, why + "; expected \"tenant=2\" or \"tenant/user=0.5\"");
  };
  const auto equals = text.rfind('=');
  if (equals == std::string_view::npos) return refuse("has no weight");
  const auto name = text.substr(0, equals), number = text.substr(equals + 1);
  named_weight w;
  const auto [end, fault] = std::from_chars(number.data(), number.data() + number.size(), w.weight);
  if (fault != std::errc{} || end != number.data() + number.size() || !(w.weight >= 0.001 && w.weight <= 1000))
    return refuse("has no weight from 0.001 to 1000");
  const auto slash = name.find('/');
  w.tenant = name.substr(0, slash);
  if (slash != std::string_view::npos) w.user = name.substr(slash + 1);
  if (!is_name(w.tenant)) return refuse("does not begin with the name of a tenant");
  if (slash != std::string_view::npos && w.user.empty()) return refuse("names no user");
  return w;
}

}  // namespace horizons
