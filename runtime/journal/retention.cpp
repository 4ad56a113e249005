#include "runtime/journal/retention.hpp"

#include <algorithm>
#include <limits>

#include "runtime/telemetry/log.hpp"

namespace horizons::journal {

namespace {

using namespace std::chrono_literals;

class keeper : public std::enable_shared_from_this<keeper> {
public:
  keeper(kit::context& self, retention_options o, kit::handle<writer_api> writer, kit::handle<reader_api> reader)
      : self_(self), options_(std::move(o)), writer_(std::move(writer)), reader_(std::move(reader)) {}

  void look_after(kit::milliseconds delay) {
    self_.after(delay, [me = shared_from_this()] { me->look(); });
  }

private:
  void look() {
    moved_ = removed_ = 0;
    self_.request(reader_, read_sources{"relay/"}, 30s, [me = shared_from_this()](result<read_sources::reply> sources) {
      if (!sources) return me->rest(&sources.error());
      me->step(passed_by(me->options_.relays, *sources));
    });
  }

  void step(std::uint64_t up_to) {
    const archive_events ask{.before = self_.utc() - options_.keep, .up_to = up_to};
    self_.request(writer_, ask, 60s, [me = shared_from_this(), up_to](result<archived> done) {
      if (!done) return me->rest(&done.error());
      me->removed_ += done->removed;
      if (done->last == 0) return me->rest(nullptr);
      me->moved_ += done->last - done->first + 1;
      me->self_.after(me->options_.pause, [me, up_to] { me->step(up_to); });
    });
  }

  void rest(const error* why) {
    if (why) log::warn("old events could not be archived", {{"reason", why->text}});
    if (moved_ + removed_ > 0)
      log::info("archived old events",
                {{"events", std::to_string(moved_)}, {"removed_from_table", std::to_string(removed_)}});
    look_after(options_.interval);
  }

  kit::context& self_;
  retention_options options_;
  kit::handle<writer_api> writer_;
  kit::handle<reader_api> reader_;
  std::uint64_t moved_ = 0, removed_ = 0;  // in this pass
};

}  // namespace

std::uint64_t passed_by(const std::vector<std::string>& relays, const std::map<std::string, source_progress>& sources) {
  auto passed = std::numeric_limits<std::uint64_t>::max();
  for (const auto& relay : relays) {
    const auto at = sources.find(relay);
    const auto next = at == sources.end() ? 0 : at->second.next;
    passed = std::min(passed, next == 0 ? 0 : next - 1);
  }
  return passed;
}

kit::actor_body retention(retention_options options, kit::handle<writer_api> writer, kit::handle<reader_api> reader) {
  return [options = std::move(options), writer = std::move(writer), reader = std::move(reader)](kit::context& self) {
    std::make_shared<keeper>(self, options, writer, reader)->look_after(options.first_after);
    return kit::behavior{};
  };
}

}  // namespace horizons::journal
