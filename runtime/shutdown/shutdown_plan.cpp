#include "runtime/shutdown/shutdown_plan.hpp"

#include <algorithm>

namespace horizons::shutdown {

void shutdown_plan::enter(std::size_t index, instant now, std::vector<effect>& effects) {
  index_ = index;
  if (index == phase_names.size()) {
    active_ = false;
    over_ = true;
    std::string how = clean_ ? "stopped in order" : "stopped; not every phase ended in time";
    effects.emplace_back(std::in_place_type<leave>, clean_, std::move(how));
    return;
  }
  deadline_ = std::min(now + boxes_.limit[index], end_);
  effects.push_back(run{static_cast<phase>(index), deadline_});
}

std::vector<effect> shutdown_plan::step(const event& e, instant now) {
  std::vector<effect> effects;
  if (over_) return effects;
  if (std::holds_alternative<signalled>(e)) {
    if (active_) {
      over_ = true;
      active_ = false;
      effects.emplace_back(std::in_place_type<leave>, false, "a second signal");
      return effects;
    }
    active_ = true;
    end_ = now + boxes_.total;
    enter(0, now, effects);
    return effects;
  }
  if (!active_) return effects;
  if (auto* f = std::get_if<finished>(&e)) {
    if (static_cast<std::size_t>(f->what) == index_) enter(index_ + 1, now, effects);
    return effects;
  }
  if (now >= deadline_) {
    clean_ = false;
    effects.push_back(give_up{static_cast<phase>(index_)});
    enter(index_ + 1, now, effects);
  }
  return effects;
}

}  // namespace horizons::shutdown
