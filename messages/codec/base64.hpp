// Base64 of RFC 4648, section 4: as CloudEvents carries binary data inside JSON.
#pragma once

#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::codec {

std::string to_base64(std::string_view bytes);

/// Padding is required, whitespace and bits beyond the last byte are refused.
result<std::string> from_base64(std::string_view text);

}  // namespace horizons::codec
