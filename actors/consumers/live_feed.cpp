#include "actors/consumers/live_feed.hpp"

#include <map>

namespace horizons::consumers {

namespace {

class feed {
public:
  feed(kit::context& self, kit::handle<journal::writer_api> writer) : self_(self), writer_(std::move(writer)) {
    connect();
  }

  void take(const journal::committed& c) {
    for (auto& e : *c.events)
      for (auto& [_, tell] : watchers_) tell(e);
  }

  std::uint64_t add(watch_events& w) {
    watchers_.emplace(++last_, std::move(w.on_event));
    return last_;
  }

  void remove(const unwatch_events& w) { watchers_.erase(w.watcher); }

private:
  void connect() {
    using namespace std::chrono_literals;
    self_.request(writer_, journal::journal_status{}, 5s, [this](result<journal::journal_status::reply> r) {
      if (!r) {
        self_.after(200ms, [this] { connect(); });
        return;
      }
      writer_.send(journal::subscribe{self_.self_as<kit::accepts<journal::committed>>(), r->last_position});
      self_.monitor(writer_, [this](const kit::exit_cause&) { connect(); });  // a fresh writer knows no subscriber
    });
  }

  kit::context& self_;
  kit::handle<journal::writer_api> writer_;
  std::map<std::uint64_t, std::function<void(const event&)>> watchers_;
  std::uint64_t last_ = 0;
};

}  // namespace

kit::actor_body live_feed(kit::handle<journal::writer_api> writer) {
  return [writer](kit::context& self) {
    auto f = std::make_shared<feed>(self, writer);
    return kit::behavior{}
        .on<journal::committed>([f](const journal::committed& c) { f->take(c); })
        .on<watch_events>([f](watch_events& w) -> result<std::uint64_t> { return f->add(w); })
        .on<unwatch_events>([f](const unwatch_events& w) { f->remove(w); });
  };
}

}  // namespace horizons::consumers
