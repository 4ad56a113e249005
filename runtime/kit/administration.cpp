#include "runtime/kit/administration.hpp"

#include "runtime/kit/incarnation.hpp"

namespace horizons::kit {

using detail::cell_ptr;
using detail::phase;

namespace {

result<cell_ptr> find_actor(system& sys, std::string_view path) {
  auto c = sys.internals().core->find(path);
  if (c && c->now() != phase::ended) return c;
  return failure(error_code::not_found,
                 "no actor has the path " + std::string(path) + "; `horizons tree` shows who is there");
}

result<cell_ptr> find_child(system& sys, std::string_view path) {
  auto c = find_actor(sys, path);
  if (c && !(*c)->supervisor())
    return failure(error_code::conflict, std::string(path) + " is a root and has no supervisor; stop the node instead");
  return c;
}

result<cell_ptr> find_restartable(system& sys, std::string_view path) {
  auto c = find_child(sys, path);
  if (c && (*c)->temporary())
    return failure(error_code::conflict,
                   std::string(path) + " is a temporary child: its supervisor never starts it again");
  return c;
}

/// Tells the supervisor: it alone knows what else its strategy ties to the child.
void ask_for_restart(const cell_ptr& c) {
  if (auto parent = c->supervisor()) parent->post([c](detail::runner& r) { r.renew_child(c); }, parent->generation());
}

}  // namespace

result<actor_report> inspect(system& sys, std::string_view path) {
  auto c = find_actor(sys, path);
  if (!c) return failure(c.error());
  auto above = (*c)->supervisor();
  return actor_report{.entry = (*c)->entry(),
                      .mailbox = sys.internals().core->read_mailbox(**c),
                      .supervisor = above ? above->path() : "",
                      .draining = (*c)->draining(),
                      .blocking = (*c)->blocking(),
                      .temporary = (*c)->temporary()};
}

result<void> kill_actor(system& sys, std::string_view path) {
  auto c = find_child(sys, path);
  if (!c) return failure(c.error());
  if (!detail::takes_messages((*c)->now()))
    return failure(error_code::conflict, std::string(path) + " is not running: there is nothing to kill");
  (*c)->request_stop(milliseconds{0});
  return {};
}

result<void> restart_actor(system& sys, std::string_view path) {
  auto c = find_restartable(sys, path);
  if (!c) return failure(c.error());
  ask_for_restart(*c);
  return {};
}

result<void> drain_actor(system& sys, std::string_view path, after_drain then) {
  auto c = then == after_drain::restart ? find_restartable(sys, path) : find_actor(sys, path);
  if (!c) return failure(c.error());
  const bool began = (*c)->drain([weak = std::weak_ptr(*c), then] {
    if (auto self = weak.lock(); self && then == after_drain::restart) ask_for_restart(self);
  });
  if (!began) return failure(error_code::conflict, std::string(path) + " is not running: there is nothing to drain");
  return {};
}

}  // namespace horizons::kit
