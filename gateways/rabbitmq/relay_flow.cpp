#include "gateways/rabbitmq/relay_flow.hpp"

#include <algorithm>

namespace horizons::rabbitmq {

relay_flow::offered relay_flow::offer(const page& events, std::uint64_t after_position) {
  if (events->empty()) return offered::taken;
  if (after_position != held_to_) return offered::gap;
  if (slots_.size() + events->size() > held_max && !slots_.empty()) return offered::full;
  for (std::uint32_t i = 0; i < events->size(); ++i) slots_.push_back({slot::waiting, i, events});
  held_to_ = events->back().position;
  return offered::taken;
}

const event* relay_flow::next(instant now) {
  if (resume_at_) {
    if (ledger_.outstanding() > 0 || now < *resume_at_) return nullptr;
    resume_at_.reset();
  }
  if (ledger_.outstanding() >= window()) return nullptr;
  while (cursor_ < first_ + slots_.size() && slots_[cursor_ - first_].state != slot::waiting) ++cursor_;
  return cursor_ < first_ + slots_.size() ? &slots_[cursor_ - first_].get() : nullptr;
}

void relay_flow::sent(instant now) {
  slots_[cursor_ - first_].state = slot::in_flight;
  ledger_.publish({cursor_, now});
  ++cursor_;
}

void relay_flow::skipped() {
  slots_[cursor_ - first_].state = slot::done;
  ++cursor_;
  drop_done();
}

void relay_flow::lost() {
  for (const flight& f : ledger_.reset()) again(f.slot);
  resume_at_.reset();
  backoff_ = backoff_first;
  proven_ = false;
}

void relay_flow::again(std::uint64_t number) {
  slots_[number - first_].state = slot::waiting;
  cursor_ = std::min(cursor_, number);
}

void relay_flow::back_off(instant now) {
  if (resume_at_) return;  // one refusal after another of the same window
  resume_at_ = now + backoff_;
  backoff_ = std::min(backoff_ * 2, backoff_max);
}

void relay_flow::drop_done() {
  while (!slots_.empty() && slots_.front().state == slot::done) {
    done_to_ = slots_.front().get().position;
    slots_.pop_front();
    ++first_;
  }
  cursor_ = std::max(cursor_, first_);
}

}  // namespace horizons::rabbitmq
