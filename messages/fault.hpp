// Where a message is wrong and why: the path grows from the inside out while the readers return false, so a
// message that is right pays nothing for it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "messages/result.hpp"

namespace horizons {

class fault {
public:
  /// Records the reason; always false, so that a reader ends with `return fault.refuse(…)`.
  bool refuse(error_code code, std::string reason) {
    code_ = code;
    reason_ = std::move(reason);
    return false;
  }

  /// The wrong value is the field `name` (or lies inside it); always false.
  bool within(std::string_view name) {
    if (!path_.empty() && path_[0] != '[') path_.insert(0, 1, '.');
    path_.insert(0, name);
    return false;
  }

  /// The wrong value is element `index`; always false.
  bool at(std::size_t index) {
    if (!path_.empty() && path_[0] != '[') path_.insert(0, 1, '.');
    path_.insert(0, "[" + std::to_string(index) + "]");
    return false;
  }

  /// "data.progress: 1.5 is out of range; expected 0 to 1".
  tl::unexpected<error> failure() const {
    return tl::unexpected<error>(error{code_, path_.empty() ? reason_ : path_ + ": " + reason_});
  }

private:
  error_code code_ = error_code::internal;
  std::string path_;
  std::string reason_;
};

}  // namespace horizons
