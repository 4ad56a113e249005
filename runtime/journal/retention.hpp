// Keeps a journal's table of events small: what is older than the retention goes into compressed archives, which every
// read and `horizons audit verify` go on to see (archive.hpp).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "runtime/journal/journal_actor.hpp"

namespace horizons::journal {

struct retention_options {
  std::chrono::days keep{90};
  /// Sources of the relays that this node runs ("relay/kafka"): an event that one of them has not passed stays.
  std::vector<std::string> relays;
  kit::milliseconds first_after = std::chrono::minutes(1);  // a starting node has more urgent things to do
  kit::milliseconds interval = std::chrono::hours(1);
  kit::milliseconds pause{100};  // between steps of one pass: the appends' turn
};

/// Up to where every one of `relays` has passed; without relays nothing is in the way.
std::uint64_t passed_by(const std::vector<std::string>& relays, const std::map<std::string, source_progress>& sources);

/// Looks every `interval`. What fails is logged and tried again at the next look.
kit::actor_body retention(retention_options options, kit::handle<writer_api> writer, kit::handle<reader_api> reader);

}  // namespace horizons::journal
