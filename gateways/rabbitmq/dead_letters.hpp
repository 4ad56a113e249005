// What an operator can do with job-dlq: list, replay to where a message came from, park. Messages are read without
// being taken: each look gets them and gives them back in their order, so two looks at once see each other's gaps.
// The same actor keeps an eye on the queues: how deep they are, and that none is missing.
#pragma once

#include <memory>

#include "gateways/bridges/dead_letters.hpp"
#include "gateways/bridges/services.hpp"
#include "gateways/rabbitmq/metrics.hpp"
#include "gateways/rabbitmq/options.hpp"
#include "gateways/rabbitmq/relay.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::rabbitmq {

struct list_letters {
  using reply = std::vector<bridges::dead_letter>;
  bridges::dead_letter_filter filter;
};

struct replay_letters {
  using reply = bridges::replay_report;
  bridges::dead_letter_filter filter;
  bridges::replay_options options;
};

struct park_letter {
  using reply = bool;
  std::string id, by;
};

using dead_letters_api = kit::accepts<health, list_letters, replay_letters, park_letter>;

/// How much of job-dlq one look reads.
inline constexpr std::size_t letters_max = 10'000;
inline constexpr std::size_t letters_bytes_max = std::size_t{256} << 20;

/// Audit actions; what is parked is remembered by them.
inline constexpr std::string_view parked_action = "dlq.park", replayed_action = "dlq.replay";
inline constexpr std::string_view letter_resource = "dead-letter";

/// Body for kit spawn_blocking.
kit::actor_body dead_letters(bridges::services services, options o, std::shared_ptr<metrics> m);

/// The box over that actor.
std::unique_ptr<bridges::dead_letter_box> make_dead_letter_box(kit::system& system,
                                                               kit::handle<dead_letters_api> actor);

/// Whether a letter is one of those that the filter names (its limit aside).
bool matches(const bridges::dead_letter& l, const bridges::dead_letter_filter& filter);

}  // namespace horizons::rabbitmq
