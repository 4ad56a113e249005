// What makes two submissions the same.
#pragma once

#include <string>

#include "messages/commands.hpp"

namespace horizons::jobs {

/// SHA-256, hexadecimal, of a submission's content: everything but the identifiers that tie messages together. It
/// stands in the claims of every journal, so the bytes it is made of (nlohmann's compact dump, keys in alphabetical
/// order) stay as they are.
std::string content_digest(const command& c);

}  // namespace horizons::jobs
