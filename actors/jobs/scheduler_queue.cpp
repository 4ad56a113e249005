#include "actors/jobs/scheduler_queue.hpp"

#include <algorithm>

namespace horizons::jobs {

namespace {

constexpr std::size_t looked_at_max = 8;    // lines of one set, when the first ones do not fit
constexpr std::size_t affinity_depth = 16;  // jobs behind the head of a line
constexpr double length_memory = 0.2;       // weight of the newest job in what a user's jobs typically take

/// Upper ends of the classes of walltime, seconds: short jobs are found behind long ones when they fill a gap.
constexpr std::array<std::uint32_t, 5> walltime_classes{60, 600, 3'600, 21'600, ~std::uint32_t{0}};

std::uint8_t class_of(std::uint32_t walltime_s) {
  auto at = std::lower_bound(walltime_classes.begin(), walltime_classes.end(), walltime_s);
  return static_cast<std::uint8_t>(at - walltime_classes.begin());
}

double seconds_of(kit::instant::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

bool waiting_queue::tenant::field::empty() const {
  return aged.empty() && std::all_of(ageing.begin(), ageing.end(), [](auto& set) { return set.empty(); });
}

// -- accounts -----------------------------------------------------------------------------------------------------

const account_limits& waiting_queue::limits_of(const std::string& tenant) const {
  auto at = limits_.tenants.find(tenant);
  return at == limits_.tenants.end() ? limits_.tenant : at->second;
}

const account_limits& waiting_queue::limits_of(const std::string& tenant, const std::string& user) const {
  auto at = limits_.users.find(tenant + "/" + user);
  return at == limits_.users.end() ? limits_.user : at->second;
}

waiting_queue::tenant& waiting_queue::tenant_of(const std::string& name) {
  auto [at, is_new] = tenants_.try_emplace(name);
  auto& t = at->second;
  if (is_new) {
    t.name = name;
    t.limits = &limits_of(name);
  }
  return t;
}

waiting_queue::user& waiting_queue::account(const std::string& tenant, const std::string& name) {
  auto& t = tenant_of(tenant);
  auto [at, is_new] = t.users.try_emplace(name);
  auto& u = at->second;
  if (is_new) {
    u.name = name;
    u.of = &t;
    u.limits = &limits_of(tenant, name);
    catch_up(u);
  }
  return u;
}

/// Nobody is further behind than `credit`.
void waiting_queue::catch_up(user& u) {
  const double credit = static_cast<double>(limits_.credit.count());
  u.of->had = std::max(u.of->had, served_ - credit);
  u.had = std::max(u.had, u.of->served - credit);
}

double waiting_queue::share_of(const tenant& t) const { return (t.had - t.served) / share_unit(); }

bool waiting_queue::allows(const account_limits& limits, const usage& used, const size_of_job& size) {
  return used.running < limits.running_max && size.gpus <= limits.gpus_max - used.gpus &&
         size.cpus <= limits.cpus_max - used.cpus;
}

void waiting_queue::hold(user& who, int gpus, int cpus, int sign) {
  for (auto* used : {&who.used, &who.of->used}) {
    used->running += sign;
    used->gpus += sign * gpus;
    used->cpus += sign * cpus;
  }
  if (sign < 0) compete_again(who);  // its quota may allow more
}

void waiting_queue::charge(user& who, double device_s) {
  who.had += device_s / who.limits->weight;
  who.of->had += device_s / who.of->limits->weight;
  compete_again(who);
}

void waiting_queue::learn_length(user& who, double seconds) {
  who.typical_s += length_memory * (seconds - who.typical_s);
}

void waiting_queue::decay(double factor) {
  const double credit = static_cast<double>(limits_.credit.count());
  served_ *= factor;
  for (auto t = tenants_.begin(); t != tenants_.end();) {
    auto& of = t->second;
    of.had *= factor;
    of.served *= factor;
    for (auto u = of.users.begin(); u != of.users.end();) {
      auto& who = u->second;
      who.had *= factor;
      // Who would be moved up to here anyway when it comes back need not be remembered.
      if (who.waiting == 0 && who.used.running == 0 && who.had <= of.served - credit) {
        u = of.users.erase(u);
        continue;
      }
      compete_again(who);
      ++u;
    }
    std::erase_if(of.fields, [](auto& f) { return f.second.empty(); });
    t = of.users.empty() && of.had <= served_ - credit ? tenants_.erase(t) : std::next(t);
  }
}

// -- lines compete by their heads -----------------------------------------------------------------------------------

double waiting_queue::aged(int priority, instant since, instant now) const {
  return std::max(0.0, priority - seconds_of(now - since) / ageing());
}

void waiting_queue::compete(bucket& b) {
  auto& among = b.owner->of->fields[b.size].ageing[static_cast<std::size_t>(b.priority - 1)];
  auto since = b.jobs.front().item->second.since.time_since_epoch();
  stand(b, among, share_of(*b.owner) + seconds_of(since) / ageing());
}

void waiting_queue::stand(bucket& b, std::set<competitor>& among, double key) {
  rest(b);
  b.as = {key, b.jobs.front().order, &b};
  b.among = &among;
  among.insert(b.as);
}

void waiting_queue::rest(bucket& b) {
  if (b.among) b.among->erase(b.as);
  b.among = nullptr;
}

void waiting_queue::compete_again(user& u) {
  catch_up(u);
  for (auto& [_, b] : u.buckets) compete(b);
}

std::optional<waiting_queue::candidate> waiting_queue::best(
    instant now, const std::function<bool(const bucket&, const item&)>& fits) {
  std::optional<candidate> first;
  for (auto& [_, t] : tenants_)
    for (auto& [size, field] : t.fields) {
      if (!allows(*t.limits, t.used, size)) continue;
      auto consider = [&](std::set<competitor>& set, int priority) {
        std::size_t looked_at = 0;
        for (auto at = set.begin(); at != set.end() && looked_at < looked_at_max;) {
          auto& b = *(at++)->line;
          auto& u = *b.owner;
          if (!allows(*u.limits, u.used, size)) {
            rest(b);  // until something of its user ends
            continue;
          }
          auto& job = *b.jobs.front().item;
          const double waited = aged(b.priority, job.second.since, now);
          if (priority != 0 && waited == 0) {
            stand(b, field.aged, share_of(u));
            continue;
          }
          ++looked_at;
          if (!fits(b, job)) continue;
          candidate c{&b, &job, share_of(t) + share_of(u) + waited};
          if (!first || c.rank < first->rank || (c.rank == first->rank && b.as.head < first->from->as.head)) first = c;
          break;
        }
      };
      for (int p = 1; p <= priorities; ++p) consider(field.ageing[static_cast<std::size_t>(p - 1)], p);
      consider(field.aged, 0);
    }
  return first;
}

const waiting_queue::item* waiting_queue::prefer(const candidate& c,
                                                 const std::function<bool(std::uint64_t)>& at_hand) const {
  if (limits_.affinity_window.count() == 0) return c.job;
  auto* better = c.from->jobs.find_among_first(affinity_depth, [&](const line::place& p) {
    auto& e = p.item->second;
    return e.dataset != 0 && e.since - c.job->second.since <= limits_.affinity_window && at_hand(e.dataset);
  });
  return better ? better->item : c.job;
}

waiting_queue::started waiting_queue::take(const item& job) {
  auto& e = job.second;
  auto& b = *e.in;
  auto& u = *b.owner;
  auto& t = *u.of;
  started s{{{t.name, job.first},
             b.priority,
             e.order,
             e.attempt,
             u.name,
             b.size.gpus,
             b.size.cpus,
             e.walltime_s,
             e.dataset,
             e.checkpointable},
            &u,
            std::min<double>(u.typical_s, e.walltime_s) * std::max(1, b.size.gpus)};
  t.served = std::max(t.served, u.had);
  served_ = std::max(served_, t.had);
  hold(u, b.size.gpus, b.size.cpus, +1);
  leave(*t.jobs.find(job.first));
  charge(u, s.charged_s);
  return s;
}

// -- jobs join and leave --------------------------------------------------------------------------------------------

void waiting_queue::enqueue(const waiting_job& job, instant now) {
  auto& u = account(job.job.tenant, job.user);
  auto [at, is_new] = u.of->jobs.try_emplace(job.job.job_id);
  auto& e = at->second;
  if (!is_new) {
    e.attempt = job.attempt;
    return;
  }
  const int priority = std::clamp(job.priority, 1, priorities);
  const size_of_job size{job.gpus, job.cpus, class_of(job.walltime_s)};
  if (u.waiting == 0) catch_up(u);
  auto& b = u.buckets[{priority, size}];
  b.owner = &u;
  b.priority = priority;
  b.size = size;
  e = {&b, job.order, now, job.dataset, job.walltime_s, job.attempt, job.checkpointable};
  line::place place{job.order, &*at};
  if (auto* behind = b.jobs.after(place)) e.since = std::min(now, behind->item->second.since);
  b.jobs.insert(place);
  ++u.waiting;
  ++waiting_;
  if (b.jobs.front().item == &*at) compete(b);
}

void waiting_queue::dequeue(const job_key& job) {
  if (auto* known = find(job)) leave(*known->second.in->owner->of->jobs.find(job.job_id));
}

void waiting_queue::leave(item& job) {
  auto& b = *job.second.in;
  auto& u = *b.owner;
  const bool first = b.jobs.front().item == &job;
  const bool competes = b.among != nullptr;
  b.jobs.erase({job.second.order, &job});
  --u.waiting;
  --waiting_;
  if (b.jobs.empty()) {
    rest(b);
    u.buckets.erase({b.priority, b.size});
  } else if (first && competes) {
    compete(b);
  }
  u.of->jobs.erase(job.first);
}

std::size_t waiting_queue::waiting_of(std::string_view tenant) const {
  auto at = tenants_.find(tenant);
  return at == tenants_.end() ? 0 : at->second.jobs.size();
}

const waiting_queue::item* waiting_queue::find(const job_key& job) const {
  auto t = tenants_.find(job.tenant);
  if (t == tenants_.end()) return nullptr;
  auto at = t->second.jobs.find(job.job_id);
  return at == t->second.jobs.end() ? nullptr : &*at;
}

// -- answers --------------------------------------------------------------------------------------------------------

std::size_t waiting_queue::ahead_of(const item& job, instant now) const {
  auto rank_of = [&](const bucket& b, const entry& e) {
    return share_of(*b.owner->of) + share_of(*b.owner) + aged(b.priority, e.since, now);
  };
  auto& own = *job.second.in;
  const double own_rank = rank_of(own, job.second);
  std::size_t n = 0;
  for (auto& [_, t] : tenants_)
    for (auto& [_, u] : t.users)
      for (auto& [_, b] : u.buckets) {
        const bool may_start = allows(*t.limits, t.used, b.size) && allows(*u.limits, u.used, b.size);
        if (!may_start && &b != &own) continue;
        if (n > counted_max) return counted_max + 1;
        n += b.jobs.count_before([&](const line::place& p) {
          const double rank = rank_of(b, p.item->second);
          return rank < own_rank || (rank == own_rank && p.order < job.second.order);
        });
      }
  return std::min(n, counted_max + 1);
}

std::string waiting_queue::quota_of(const item& job) const {
  auto& b = *job.second.in;
  auto& u = *b.owner;
  auto reason = [&](const account_limits& limits, const usage& used, const std::string& whose) -> std::string {
    auto over = [&](const char* what, int limit, int held, int wanted) -> std::string {
      if (limit == no_limit || wanted <= limit - held) return "";
      auto quota = std::string("quota ") + what + "=" + std::to_string(limit) + " of " + whose;
      return wanted > limit ? quota + " is less than the " + std::to_string(wanted) + " wanted" : quota + " used";
    };
    auto text = over("running", limits.running_max, used.running, 1);
    if (text.empty()) text = over("gpus", limits.gpus_max, used.gpus, b.size.gpus);
    if (text.empty()) text = over("cpus", limits.cpus_max, used.cpus, b.size.cpus);
    return text;
  };
  auto text = reason(*u.limits, u.used, "user " + u.name);
  return text.empty() ? reason(*u.of->limits, u.of->used, "tenant " + u.of->name) : text;
}

}  // namespace horizons::jobs
