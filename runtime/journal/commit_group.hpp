// The appends that wait for the next commit: what one group may hold. Knows no store, clock or actor.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/journal/journal_actor.hpp"

namespace horizons::journal {

inline constexpr std::size_t group_batches_max = 1'000;               // a commit's latency stays a few milliseconds
inline constexpr std::size_t group_bytes_max = std::size_t{4} << 20;  // about as long to write as to sync

class commit_group {
public:
  void add(append a, kit::promise<append_outcome> answer) {
    bytes_ += bytes_of(a);
    batches_.push_back(std::move(a.what));
    answers_.push_back(std::move(answer));
  }
  bool empty() const { return batches_.empty(); }
  bool full() const { return batches_.size() >= group_batches_max || bytes_ >= group_bytes_max; }

  std::span<const batch_ptr> batches() const { return batches_; }
  const std::vector<kit::promise<append_outcome>>& answers() const { return answers_; }

private:
  std::vector<batch_ptr> batches_;
  std::vector<kit::promise<append_outcome>> answers_;  // one per batch
  std::size_t bytes_ = 0;
};

}  // namespace horizons::journal
