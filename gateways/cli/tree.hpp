// Draws the supervision tree for people.
#pragma once

#include <string>

#include "messages/events.hpp"

namespace horizons::cli {

/// `root` as GET /api/tree answers: {name, state, restarts, last_error, mailbox, type, children}. What is normal is not
/// said: only restarts, errors and waiting messages that are there. Many equal leaves become one line.
std::string draw_tree(const json& root);

}  // namespace horizons::cli
