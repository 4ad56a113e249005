// Commands as they were written: well-formed, of known types, within the codecs' limits; whether their values make
// sense was not looked at (validate() in commands.hpp does). For bridges: what HTTP would refuse with 4xx is readable
// there, and becomes a job in state REJECTED.
#pragma once

#include <string_view>

#include "messages/codec/format.hpp"
#include "messages/codec/json.hpp"

namespace horizons {

result<command> unchecked_command_from_json(std::string_view text, unknown_fields policy = unknown_fields::ignored);
result<command> unchecked_command_from_msgpack(std::string_view bytes, unknown_fields policy = unknown_fields::ignored);

/// The same into a fresh command: it is a dozen texts, and handing them on costs a tenth of reading them.
result<void> unchecked_command_from_json(std::string_view text, command& into,
                                         unknown_fields policy = unknown_fields::ignored);

/// JSON or MessagePack into a fresh command; Avro is refused as invalid_argument.
result<void> decode_unchecked_command(std::string_view content_type, std::string_view body, command& into);

/// decode_command() without the check. What `avro` gives is as that left it.
result<command> decode_unchecked_command(std::string_view content_type, std::string_view body,
                                         const avro_command_decoder& avro = nullptr);

}  // namespace horizons
