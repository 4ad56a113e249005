// What was done with dead letters, read from the audit: a fold over audit.recorded events. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "messages/events.hpp"

namespace horizons::kafka {

inline constexpr std::string_view letter_resource = "dead-letter";
inline constexpr std::string_view letter_replayed = "dlq.replay";
inline constexpr std::string_view letter_parked = "dlq.park";

class letter_states {
public:
  explicit letter_states(std::size_t letters_max) : letters_max_(letters_max) {}

  void apply(const event& e) {
    const auto* a = std::get_if<audit_recorded>(&e.data);
    if (!a || a->resource_type != letter_resource || !a->resource_id.starts_with("kafka:")) return;
    std::string state;
    if (a->action == letter_parked) state = "parked";
    if (a->action == letter_replayed && a->outcome.starts_with("done")) state = "replayed";
    if (state.empty()) return;
    const auto [at, is_new] = states_.insert_or_assign(a->resource_id, std::move(state));
    if (!is_new) return;
    order_.push_back(at->first);
    if (order_.size() > letters_max_) {
      states_.erase(order_.front());
      order_.pop_front();
    }
  }
  /// "open", "replayed" or "parked".
  std::string of(const std::string& id) const {
    const auto at = states_.find(id);
    return at == states_.end() ? "open" : at->second;
  }

private:
  std::size_t letters_max_;
  std::unordered_map<std::string, std::string> states_;
  std::deque<std::string> order_;  // by the first act
};

}  // namespace horizons::kafka
