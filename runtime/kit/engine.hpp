// What the kit needs from CAF: mailboxes whose consumers run one message at a time on a pool of threads or on one of
// their own. engine.cpp is the only file that includes CAF; a move to CAF 1.x touches it alone. Internal to the kit.
#pragma once

#include <cstddef>
#include <memory>

#include "runtime/kit/kit.hpp"

namespace horizons::kit::detail {

/// Reads a mailbox. Runs on one thread at a time.
class consumer {
public:
  virtual ~consumer() = default;
  /// Before each turn (a run of messages): what must live until its end; null when nobody is left to read for.
  virtual std::shared_ptr<void> begin_turn() = 0;
  /// False ends the mailbox; later messages are refused. Sets `p.kept` to own the parcel from then on.
  virtual bool consume(parcel& p) = 0;
};

class mailbox {
public:
  virtual ~mailbox() = default;
  /// Urgent parcels overtake the others. A mailbox that has ended hands the parcel to `refuse_ended` (see cell.hpp).
  virtual void put(std::unique_ptr<parcel> p, bool urgent) = 0;
};

class engine {
public:
  struct settings {
    std::size_t threads, max_throughput;
    bool simulated;
  };
  explicit engine(const settings& s);
  ~engine();  // returns only when every mailbox has ended

  /// A mailbox and its reader. Simulated: never on a thread of its own.
  std::unique_ptr<mailbox> open(std::unique_ptr<consumer> reader, bool own_thread);

  /// Simulation only: mailboxes with something to read; runs one message of the n-th.
  std::size_t runnable() const;
  void run(std::size_t n);

private:
  struct caf_side;
  std::unique_ptr<caf_side> caf_;
};

/// CPUs this process may use: affinity, then the cgroup's quota (rounded up). At least 2.
std::size_t usable_cpus();

/// A parcel came to a mailbox that has ended: counts it and answers its request. In cell.cpp.
void refuse_ended(std::unique_ptr<parcel> p) noexcept;

}  // namespace horizons::kit::detail
