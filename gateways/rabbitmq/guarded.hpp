// What an actor's state hands to timers, hooks and other actors may be called when that state is gone (a restart made
// a fresh one): such a call does nothing.
#pragma once

#include <functional>
#include <memory>
#include <utility>

namespace horizons::rabbitmq {

/// `class source_actor : public guarded_state<source_actor>`, held by a shared_ptr.
template <class Me>
class guarded_state : public std::enable_shared_from_this<Me> {
protected:
  /// Calls `f(*this, arguments …)` while this lives.
  template <class F>
  auto guarded(F f) {
    return [weak = this->weak_from_this(), f = std::move(f)]<class... Arguments>(Arguments&&... arguments) mutable {
      using answer = std::invoke_result_t<F&, Me&, Arguments...>;
      if (const auto alive = weak.lock()) return f(*alive, std::forward<Arguments>(arguments)...);
      if constexpr (!std::is_void_v<answer>) return answer{};
    };
  }
};

}  // namespace horizons::rabbitmq
