// Decides how a node stops: phases in order, each with a time box, all together within a limit; a second signal ends
// it at once. Knows no clock, signal or actor: it is told the time and carries nothing out.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/kit/kit.hpp"

namespace horizons::shutdown {

using kit::instant;
using kit::milliseconds;

enum class phase : std::uint8_t { stop_intake, drain, hand_over, stop_actors, close };
inline constexpr std::array<std::string_view, 5> phase_names{"stop intake", "drain", "hand over", "stop actors",
                                                             "close"};
inline std::string_view to_string(phase p) { return phase_names[static_cast<std::size_t>(p)]; }

/// Time boxes; together 15 s at most.
struct time_boxes {
  std::array<milliseconds, 5> limit{
      milliseconds{1'000},  // stop intake: closing doors needs no waiting
      milliseconds{6'000},  // drain: what runs may finish a unit of work (about 100 ms) and write its results
      milliseconds{1'000},  // hand over: leases and offsets
      milliseconds{5'000},  // stop actors: an actor's grace
      milliseconds{1'000},  // close: journal and sockets
  };
  milliseconds total{15'000};  // service managers kill after 30 s or more
};

struct signalled {};  // the first one begins, the second one ends everything
struct finished {
  phase what;
};
struct time_passed {};
using event = std::variant<signalled, finished, time_passed>;

struct run {
  phase what;
  instant deadline;
};
struct give_up {
  phase what;
};  // its time is over: the next phase follows, the work is left to itself
struct leave {
  bool in_order;
  std::string reason;
};
using effect = std::variant<run, give_up, leave>;

class shutdown_plan {
public:
  explicit shutdown_plan(time_boxes boxes = {}) : boxes_(boxes) {}

  std::vector<effect> step(const event& e, instant now);
  /// When to call with time_passed next; `instant::max()` before the first signal and after the end.
  instant next_deadline() const { return active_ ? deadline_ : instant::max(); }

private:
  void enter(std::size_t index, instant now, std::vector<effect>& effects);

  time_boxes boxes_;
  bool active_ = false, over_ = false;
  bool clean_ = true;
  std::size_t index_ = 0;
  instant end_{}, deadline_{};
};

}  // namespace horizons::shutdown
