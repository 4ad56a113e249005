#include "runtime/simulation/simulation.hpp"

#include <algorithm>

namespace horizons::simulation {

namespace {
constexpr std::size_t log_max = 10'000;
constexpr std::uint64_t steps_max = 10'000'000;                                 // per run: a live-lock must end too
const timestamp epoch{std::chrono::sys_days{std::chrono::year{2030} / 1 / 1}};  // any fixed day
}  // namespace

simulation::simulation(std::uint64_t seed) : seed_(seed), random_(seed) {}

simulation::~simulation() {
  for (auto& [name, n] : nodes_)
    if (n.system) kit::simulated::crash(*n.system);
}

void simulation::note(const std::string& text) {
  auto ms = std::chrono::duration_cast<milliseconds>(now_.time_since_epoch()).count();
  auto line = std::to_string(ms) + " " + text;
  for (unsigned char c : line) digest_ = (digest_ ^ c) * 0x100000001b3;
  log_.push_back(std::move(line));
  if (log_.size() > log_max) log_.pop_front();
}

std::string simulation::summary() const {
  std::string r = "seed " + std::to_string(seed_) + ", " + std::to_string(steps_) + " steps; last events:\n";
  auto from = log_.size() > 30 ? log_.size() - 30 : 0;
  for (auto i = from; i < log_.size(); ++i) r += "  " + log_[i] + "\n";
  return r;
}

void simulation::start(const std::string& name, node_state& n) {
  note("boot " + name);
  n.clock = std::make_shared<kit::virtual_clock>(epoch);
  n.clock->advance_to(now_);
  n.system = std::make_unique<kit::system>(kit::system_options{
      .threads = 1,
      .on_root_failure = [this, name](
                             const std::string& path,
                             const kit::exit_cause& c) { note(name + " root " + path + " failed: " + c.reason); },
      .simulated = n.clock});
  kit::simulated::observe(*n.system, [this, name](const std::string& path, std::string_view message) {
    note(name + " " + path + " <- " + std::string(message));
  });
  if (n.on_boot) n.on_boot(*n.system);
}

kit::system& simulation::boot(const std::string& name, setup on_boot) {
  auto& n = nodes_[name];
  n.on_boot = std::move(on_boot);
  if (n.system) crash(name);
  start(name, n);
  return *n.system;
}

kit::system& simulation::node(const std::string& name) {
  auto& n = nodes_[name];
  if (!n.system) start(name, n);
  return *n.system;
}

void simulation::crash(const std::string& name) {
  auto& n = nodes_.at(name);
  if (!n.system) return;
  note("crash " + name);
  n.receive = nullptr;
  kit::simulated::crash(*n.system);
  n.system.reset();
}

void simulation::restart(const std::string& name) {
  crash(name);
  start(name, nodes_.at(name));
}

void simulation::jump_wall_time(const std::string& name, milliseconds by) {
  note(name + " wall clock jumps " + std::to_string(by.count()) + " ms");
  node(name);
  nodes_.at(name).clock->jump_wall_time(by);
}

void simulation::slow_down(const std::string& name, unsigned factor) { nodes_[name].slowness = std::max(factor, 1u); }

void simulation::listen(const std::string& name, receiver r) { nodes_[name].receive = std::move(r); }

void simulation::send(const std::string& from, const std::string& to, std::string bytes) {
  auto at = links_.find({from, to});
  auto& f = at == links_.end() ? default_faults_ : at->second;
  if (cut_.contains({from, to}) || chance(f.drop)) return note("lost " + from + " -> " + to);
  int copies = chance(f.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    auto spread = static_cast<std::uint64_t>(std::max<std::int64_t>((f.delay_max - f.delay_min).count(), 0));
    auto delay = f.delay_min + milliseconds{static_cast<std::int64_t>(random(spread + 1))};
    flying_.emplace(now_ + delay, packet{from, to, bytes});
  }
}

void simulation::partition(const std::set<std::string>& a, const std::set<std::string>& b) {
  note("partition");
  for (auto& x : a)
    for (auto& y : b) {
      cut_.insert({x, y});
      cut_.insert({y, x});
    }
}

bool simulation::step(instant limit) {
  ++steps_;
  // Somebody who has something to do, each actor with the same chance; slow nodes sit out most of their turns.
  std::size_t total = 0;
  for (auto& [name, n] : nodes_)
    if (n.system) total += kit::simulated::runnable(*n.system);
  if (total) {
    auto pick = random(total);
    for (auto& [name, n] : nodes_) {
      if (!n.system) continue;
      auto here = kit::simulated::runnable(*n.system);
      if (pick >= here) {
        pick -= here;
        continue;
      }
      if (++n.turn % n.slowness == 0 || here == total) kit::simulated::run(*n.system, pick);
      return true;
    }
  }
  // Nobody: time moves on to the next timer or packet.
  auto next = flying_.empty() ? instant::max() : flying_.begin()->first;
  for (auto& [name, n] : nodes_)
    if (n.system) next = std::min(next, kit::simulated::next_timer(*n.system));
  if (next > limit) return false;
  now_ = std::max(now_, next);
  for (auto& [name, n] : nodes_)
    if (n.system) kit::simulated::advance(*n.system, now_);
  while (!flying_.empty() && flying_.begin()->first <= now_) {
    auto p = std::move(flying_.begin()->second);
    flying_.erase(flying_.begin());
    auto to = nodes_.find(p.to);
    if (to == nodes_.end() || !to->second.system || !to->second.receive || cut_.contains({p.from, p.to})) {
      note("lost " + p.from + " -> " + p.to);
      continue;
    }
    note(p.from + " -> " + p.to + " " + std::to_string(p.bytes.size()) + " bytes");
    auto receive = to->second.receive;
    receive(p.from, p.bytes);
  }
  return true;
}

bool simulation::run_until(const std::function<bool()>& done, milliseconds limit) {
  auto end = now_ + limit;
  for (std::uint64_t n = 0; n < steps_max; ++n) {
    if (done()) return true;
    if (!step(end)) break;
  }
  now_ = std::max(now_, end);
  for (auto& [name, n] : nodes_)
    if (n.system) kit::simulated::advance(*n.system, now_);
  return done();
}

void simulation::run_for(milliseconds d) {
  run_until([] { return false; }, d);
}

}  // namespace horizons::simulation
