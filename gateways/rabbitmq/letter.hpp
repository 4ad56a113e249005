// A message in job-dlq: how ours are written, how ours and those that the broker put there (x-death) are read, and how
// the original is made of one again. Pure.
#pragma once

#include <string>

#include "gateways/bridges/dead_letters.hpp"
#include "gateways/bridges/letter_headers.hpp"
#include "gateways/rabbitmq/message.hpp"

namespace horizons::rabbitmq {

/// Headers that we add; the body and the other properties stay as they came.
namespace letter_header {
using namespace bridges::letter_header;
inline constexpr std::string_view id = "horizons-letter";  // a ULID: tells two equal messages apart
inline constexpr std::string_view error = "horizons-error";
inline constexpr std::string_view exchange = "horizons-exchange";
inline constexpr std::string_view routing_key = "horizons-routing-key";
inline constexpr std::string_view user_id = "horizons-user-id";        // the property: only its own user may set it
inline constexpr std::string_view expiration = "horizons-expiration";  // the property: a letter does not expire
inline constexpr std::string_view replays = "horizons-replays";
}  // namespace letter_header

struct failure_note {
  std::string letter_id;
  std::string reason, error;
  int attempts = 1;
  timestamp first_failed_at{}, last_failed_at{};
  std::string job_id;
};

/// `own_user`: whom the connection logs in as; another user_id may not stand in the property and moves to a header.
message to_letter(message original, const failure_note& what, const std::string& own_user);

/// Of any message in job-dlq. The id is the same each time the message is read.
bridges::dead_letter read_letter(const message& m);

/// The original, ready to be published where it came from, with one replay more on its count. Errors: forbidden, it
/// carries a user that the broker had proved, which nobody else can prove again (unless the command itself names the
/// same user); not_found, nobody knows where it came from.
result<message> original_of(const message& letter, const std::string& own_user);

}  // namespace horizons::rabbitmq
