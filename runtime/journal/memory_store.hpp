// A journal in memory, for simulations and measurements: what was committed is kept apart from what a crash would
// lose, and faults can be asked for. Journals live in this process under a name; "memory:" is the one without.
// It keeps no hash chain (its head has no hash): nobody can change it behind our back.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/journal/journal.hpp"

namespace horizons::journal {

/// What one commit of a memory journal meets.
enum class memory_fault {
  none,
  disk_full,    // nothing stored, disk_full
  io,           // nothing stored, io
  torn_write,   // power fails while writing: nothing of the commit survives, every call fails until the crash
  answer_lost,  // stored, but the caller is told timed_out
};

struct memory_faults {
  std::function<memory_fault(std::uint64_t commit)> at_commit;  // told the number of the commit, from 1
  std::function<void()> before_sync;  // a slow disk: written but not synced; crash() here loses the commit
};

class memory_data;

/// A named journal, held alive beyond its stores: what a crashed node finds when it comes back.
class memory_journal {
public:
  explicit memory_journal(const std::string& name);
  void set_faults(memory_faults faults);
  /// Power off and on: what was not synced is gone, the owner's lock too; its old store is refused from now on.
  void crash();

private:
  std::shared_ptr<memory_data> data_;
};

result<std::unique_ptr<store>> open_memory_store(const std::string& name, const owner_info& me);
result<std::unique_ptr<store>> open_memory_reader(const std::string& name);

}  // namespace horizons::journal
