// The one JSON form of events and commands (contract: "Events", "Jobs"): derived from the descriptions.
#pragma once

#include <string>
#include <string_view>

#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

enum class unknown_fields { ignored, refused };

/// One line, UTF-8, no trailing newline. Position and sequence are left out when 0, texts when empty
/// (envelope only). Infinite or NaN numbers cannot be said in JSON and are an error at the builder.
std::string to_json(const event& e);
std::string to_json(const command& c);

/// Any JSON value on one line, keys sorted, the same for equal values of equal types.
std::string json_text(const json& value);

/// `text` at most 1 MiB, nesting at most 32, no duplicate keys, valid UTF-8, exact integers. Errors name the
/// path: "data.progress: 1.5 is out of range; expected 0 to 1".
result<event> event_from_json(std::string_view text, unknown_fields policy = unknown_fields::ignored);
result<command> command_from_json(std::string_view text, unknown_fields policy = unknown_fields::ignored);

/// The same limits for any JSON value (parameters, configuration bodies).
result<json> parse_json(std::string_view text);

}  // namespace horizons
