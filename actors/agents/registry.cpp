#include <algorithm>
#include <array>

#include "actors/agents/agent.hpp"
#include "actors/agents/image_reconstruction.hpp"

namespace horizons::agents {

std::span<const std::unique_ptr<const agent>> all_agents() {
  static const std::array<std::unique_ptr<const agent>, 1> agents{std::make_unique<const image_reconstruction>()};
  return agents;
}

const agent* find_agent(std::string_view name) {
  const auto agents = all_agents();
  const auto at = std::find_if(agents.begin(), agents.end(), [&](const auto& a) { return a->name() == name; });
  return at == agents.end() ? nullptr : at->get();
}

}  // namespace horizons::agents
