// The box over the actor of dead_letters.cpp, and which letters a filter names.
#include "gateways/rabbitmq/dead_letters.hpp"
#include "runtime/kit/system.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;

class box final : public bridges::dead_letter_box {
public:
  box(kit::system& system, kit::handle<dead_letters_api> actor) : system_(system), actor_(std::move(actor)) {}

  void list(bridges::dead_letter_filter filter, bridges::callback<std::vector<bridges::dead_letter>> then) override {
    system_.ask(actor_, list_letters{std::move(filter)}, 2min, std::move(then));
  }
  void replay(bridges::dead_letter_filter filter, bridges::replay_options options,
              bridges::callback<bridges::replay_report> then) override {
    system_.ask(actor_, replay_letters{std::move(filter), std::move(options)}, 24h, std::move(then));
  }
  void park(std::string id, std::string by, bridges::callback<bool> then) override {
    system_.ask(actor_, park_letter{std::move(id), std::move(by)}, 2min, std::move(then));
  }

private:
  kit::system& system_;
  kit::handle<dead_letters_api> actor_;
};

}  // namespace

std::unique_ptr<bridges::dead_letter_box> make_dead_letter_box(kit::system& system,
                                                               kit::handle<dead_letters_api> actor) {
  return std::make_unique<box>(system, std::move(actor));
}

bool matches(const bridges::dead_letter& l, const bridges::dead_letter_filter& f) {
  const auto same = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  if (!same(f.id, l.id) || !same(f.bridge, l.bridge) || !same(f.job_id, l.job_id) || !same(f.type, l.type) ||
      !same(f.reason, l.reason) || !same(f.state, l.state))
    return false;
  if (f.start && (!l.last_failed_at || *l.last_failed_at < *f.start)) return false;
  return !f.end || (l.last_failed_at && *l.last_failed_at < *f.end);
}

}  // namespace horizons::rabbitmq
