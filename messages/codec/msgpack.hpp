// MessagePack: the same map as JSON, with string keys (contract: "Events", "Jobs"), and any described type for the
// envelope between nodes.
#pragma once

#include <string>
#include <string_view>

#include "messages/codec/json.hpp"
#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

std::string to_msgpack(const event& e);
std::string to_msgpack(const command& c);

/// `bytes` at most 1 MiB, nesting at most 32, keys are strings and appear once, valid UTF-8, finite numbers, exact
/// integers, nothing after the message. Errors name the path.
result<event> event_from_msgpack(std::string_view bytes, unknown_fields policy = unknown_fields::ignored);
result<command> command_from_msgpack(std::string_view bytes, unknown_fields policy = unknown_fields::ignored);

}  // namespace horizons
