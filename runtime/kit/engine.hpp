// What the kit needs from CAF: actors that read mailboxes of parcels one at a time, on a pool of threads or on one of
// their own. engine.cpp and the policy in it are the only places that know CAF; a move to CAF 1.x touches them alone.
// Internal to the kit.
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
  /// False ends the mailbox; later messages are refused. `last`: no other one is at hand.
  virtual bool consume(std::unique_ptr<parcel> p, bool last) = 0;
  /// After each turn, in it.
  virtual void end_turn() = 0;
};

class mailbox {
public:
  /// A mailbox that has ended hands the parcel to `refuse_ended`.
  virtual void put(std::unique_ptr<parcel> p) = 0;
  struct owner_gone {
    void operator()(mailbox* m) const noexcept { m->release(); }
  };

protected:
  virtual void release() noexcept = 0;
  ~mailbox() = default;
};
using mailbox_ptr = std::unique_ptr<mailbox, mailbox::owner_gone>;

class engine {
public:
  struct settings {
    std::size_t threads, max_throughput;
    bool simulated;
  };
  explicit engine(const settings& s);
  ~engine();  // returns only when every mailbox has ended

  /// A mailbox and its reader. Simulated: never on a thread of its own.
  mailbox_ptr open(std::unique_ptr<consumer> reader, bool own_thread);

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
