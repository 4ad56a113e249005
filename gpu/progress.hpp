// How running work tells how far it is, without knowing who listens.
#pragma once

#include <functional>
#include <string_view>

namespace horizons::gpu {

/// Called from the worker's thread with a fraction 0…1 of the whole and the stage's name. Cheap to call often: the
/// listener decides what becomes an event. Never called after the work has returned.
using progress_sink = std::function<void(double fraction, std::string_view stage)>;

}  // namespace horizons::gpu
