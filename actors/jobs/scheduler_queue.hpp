// The jobs that wait, in the order in which they deserve to start. Knows nothing of devices.
//
// A job's rank, smaller is better, is counted in priorities:
//
//     max(0, priority - waited / ageing)  +  device time its tenant and user had beyond their shares / share_unit
//
// Ageing ends one above a fresh priority 1: with an endless backlog everybody's jobs come to that point, and the shares
// decide. The shares are those of start-time fair queuing (Goyal, Vin, Cheng 1996): every user has a virtual time, its
// device time over its weight, and the tenant's virtual time is that of the user served last; tenants alike. Who
// comes back after a while is moved up to at most `credit` behind the others, so that nobody is shut out by a
// newcomer; and usage is forgotten by half every half_life.
//
// Cost: jobs that differ in nothing that decides between them form a line, and only its head competes. Joining and
// leaving cost O(log n); choosing costs O(tenants x sizes of jobs), of which there are tens, and O(log users).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "actors/jobs/scheduler_limits.hpp"
#include "actors/jobs/scheduler_line.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::jobs {

using kit::instant;

struct job_key {
  std::string tenant, job_id;
  friend auto operator<=>(const job_key&, const job_key&) = default;
};

/// The same, of somebody else's texts: to look for a job without copying its name.
struct job_name {
  std::string_view tenant, job_id;
  friend bool operator==(const job_name&, const job_name&) = default;
  friend bool operator==(const job_name& a, const job_key& b) { return a.job_id == b.job_id && a.tenant == b.tenant; }
};

struct job_key_hash {
  using is_transparent = void;
  std::size_t operator()(const auto& k) const {
    const std::hash<std::string_view> hash;
    return hash(k.tenant) * 31 + hash(k.job_id);
  }
};

/// A job that waits, as the scheduler sees it.
struct waiting_job {
  job_key job;
  int priority = 3;         // 1 (first) to 5
  std::uint64_t order = 0;  // journal position of its submission: smaller came first
  int attempt = 1;          // that would start next
  std::string user = "";
  int gpus = 0;  // accelerators wanted together; 0: one device of any kind
  int cpus = 1;
  std::uint32_t walltime_s = 86'400;
  std::uint64_t dataset = 0;  // a hash; 0: none
  bool checkpointable = false;
};

class waiting_queue {
public:
  explicit waiting_queue(scheduler_limits limits) : limits_(std::move(limits)) {}
  waiting_queue(const waiting_queue&) = delete;

  struct user;
  struct tenant;
  struct bucket;

  /// What decides, beside user and priority, whether a job can start now.
  struct size_of_job {
    int gpus, cpus;
    std::uint8_t walltime_class;
    friend auto operator<=>(const size_of_job&, const size_of_job&) = default;
  };

  /// What is kept of a waiting job; its id is the key in its tenant's map.
  struct entry {
    bucket* in;
    std::uint64_t order;
    instant since;
    std::uint64_t dataset;
    std::uint32_t walltime_s;
    int attempt;
    bool checkpointable;
  };
  using item = std::pair<const std::string, entry>;
  using line = waiting_line<item>;

  struct usage {
    int running = 0, gpus = 0, cpus = 0;
  };

  /// A line among those of the same tenant, size and priority.
  struct competitor {
    double key;
    std::uint64_t head;  // order of its first job
    bucket* line;
    friend auto operator<=>(const competitor&, const competitor&) = default;
  };

  /// Jobs of one user, priority and size, in order. Whoever comes first has waited at least as long as those behind.
  struct bucket {
    user* owner;
    int priority;
    size_of_job size;
    line jobs;
    competitor as{};                        // where it stands among the others:
    std::set<competitor>* among = nullptr;  // null while its user's quota is used up
  };

  struct user {
    std::string name;
    tenant* of;
    const account_limits* limits;
    usage used;
    double had = 0;         // virtual time: device seconds over weight
    double typical_s = 60;  // how long its jobs ran lately: what a start is charged before its length is known
    std::size_t waiting = 0;
    std::map<std::pair<int, size_of_job>, bucket> buckets;
  };

  struct tenant {
    std::string name;
    const account_limits* limits;
    usage used;
    double had = 0;     // virtual time
    double served = 0;  // virtual time of its user served last
    std::map<std::string, user> users;
    std::unordered_map<std::string, entry> jobs;

    /// The lines of one size of job that may start. Those whose head still ages stand by the time at which they would
    /// be at rank 0, an order that time does not change, one set for each priority; those aged to the end by share.
    struct field {
      std::array<std::set<competitor>, 5> ageing;
      std::set<competitor> aged;
      bool empty() const;
    };
    std::map<size_of_job, field> fields;
  };

  // -- jobs join and leave ----------------------------------------------------------------------------------------

  /// Waiting twice is once, for the attempt said last.
  void enqueue(const waiting_job& job, instant now);
  /// It waits no longer (cancelled, paused). Unknown: nothing.
  void dequeue(const job_key& job);

  std::size_t waiting() const { return waiting_; }
  std::size_t waiting_of(std::string_view tenant) const;
  const item* find(const job_key& job) const;

  // -- who is next ------------------------------------------------------------------------------------------------

  struct candidate {
    bucket* from;
    const item* job;
    double rank;
    instant since() const { return job->second.since; }
  };
  /// The first in order among those whose quotas allow a start and whose kind `fits`.
  std::optional<candidate> best(instant now, const std::function<bool(const bucket&, const item&)>& fits);

  /// A later job of the candidate's line whose dataset is `at_hand`, when the window of affinity allows it; else
  /// itself.
  const item* prefer(const candidate& c, const std::function<bool(std::uint64_t dataset)>& at_hand) const;

  /// The job leaves the queue and starts: its account is charged what its jobs typically take.
  struct started {
    waiting_job job;
    user* who;
    double charged_s;  // device seconds
  };
  started take(const item& job);

  // -- what runs --------------------------------------------------------------------------------------------------

  user& account(const std::string& tenant, const std::string& name);
  /// A job of that size holds devices from now on, or no longer.
  void hold(user& who, int gpus, int cpus, int sign);
  /// Corrects the charge of a job by so many device seconds.
  void charge(user& who, double device_s);
  /// A job ran for so long.
  static void learn_length(user& who, double seconds);
  /// Forgets usage of long ago; to be called about every minute.
  void decay(double factor);

  // -- answers ----------------------------------------------------------------------------------------------------

  static constexpr std::size_t counted_max = 10'000;  // nobody needs it exactly, and counting users takes time

  /// How many jobs would start before this one if nothing changed, at most counted_max + 1; jobs over their quotas are
  /// not counted.
  std::size_t ahead_of(const item& job, instant now) const;
  /// "quota gpus=1 of user x used"; empty: its quotas allow a start.
  std::string quota_of(const item& job) const;

private:
  static constexpr int priorities = 5;

  double aged(int priority, instant since, instant now) const;
  double share_of(const user& u) const { return u.had / share_unit(); }
  double share_of(const tenant& t) const;
  double share_unit() const { return static_cast<double>(limits_.share_unit.count()); }
  double ageing() const { return static_cast<double>(limits_.ageing.count()); }

  static bool allows(const account_limits& limits, const usage& used, const size_of_job& size);
  const account_limits& limits_of(const std::string& tenant) const;
  const account_limits& limits_of(const std::string& tenant, const std::string& user) const;
  tenant& tenant_of(const std::string& name);
  void catch_up(user& u);

  void compete(bucket& b);
  static void stand(bucket& b, std::set<competitor>& among, double key);
  static void rest(bucket& b);
  void compete_again(user& u);
  void leave(item& job);

  scheduler_limits limits_;
  std::map<std::string, tenant, std::less<>> tenants_;
  double served_ = 0;  // virtual time of the tenant served last
  std::size_t waiting_ = 0;
};

}  // namespace horizons::jobs
