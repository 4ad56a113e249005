// The requests of one life of an actor that wait for their answers, by number. A place is used again, a number never:
// an answer that comes late finds nobody. Internal to the kit.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/kit/cell.hpp"

namespace horizons::kit::detail {

class pending_requests {
public:
  struct entry {
    answer_handler then;
    std::shared_ptr<actor_timer> timeout;
  };

  /// The new request's number, never 0.
  std::uint64_t add(answer_handler then) {
    std::uint32_t at = 0;
    if (free_.empty()) {
      at = static_cast<std::uint32_t>(places_.size());
      places_.emplace_back();
    } else {
      at = free_.back();
      free_.pop_back();
    }
    auto& p = places_[at];
    p.number = ++added_ << place_bits | at;
    p.what = {std::move(then), nullptr};
    return p.number;
  }

  /// Null: answered already.
  entry* find(std::uint64_t number) {
    const auto at = number & ((std::uint64_t{1} << place_bits) - 1);
    return at < places_.size() && places_[at].number == number ? &places_[at].what : nullptr;
  }

  /// Of a number that `find` knows.
  entry take(std::uint64_t number) {
    const auto at = static_cast<std::uint32_t>(number & ((std::uint64_t{1} << place_bits) - 1));
    places_[at].number = 0;
    free_.push_back(at);
    return std::exchange(places_[at].what, {});
  }

  template <class F>
  void for_each(F f) {
    for (auto& p : places_)
      if (p.number != 0) f(p.what);
  }

private:
  static constexpr int place_bits = 24;  // more requests at a time than memory holds; 2^40 in a life
  struct place {
    std::uint64_t number = 0;  // 0: free
    entry what;
  };
  std::vector<place> places_;
  std::vector<std::uint32_t> free_;
  std::uint64_t added_ = 0;
};

}  // namespace horizons::kit::detail
