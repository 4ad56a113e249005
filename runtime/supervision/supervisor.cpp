#include "runtime/supervision/supervisor.hpp"

#include <exception>

namespace horizons::supervision {

kit::actor_body supervisor(strategy how, restart_limits limits, std::vector<child_spec> children) {
  return [how, limits, children = std::move(children)](kit::context& self) {
    self.supervise(how, limits);
    for (auto& c : children) self.spawn_any(c.options, c.body, c.child, c.blocking);
    return kit::behavior{}
        .on<start_child_request>([&self](start_child_request& m) -> result<kit::address> {
          try {
            auto& c = m.spec;
            return self.spawn_any(std::move(c.options), std::move(c.body), c.child, c.blocking);
          } catch (const std::exception& e) {  // the name is taken
            return failure(error_code::conflict, e.what());
          }
        })
        .on<which_children>(
            [&self](const which_children&) -> result<std::vector<child_state>> { return self.children(); });
  };
}

}  // namespace horizons::supervision
