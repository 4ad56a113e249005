// One owner per journal file: an exclusive flock on "<journal>.lock", which also says who holds it. The kernel
// drops the lock with its process, so a restart after kill -9 does not wait. Not for shared network folders.
#pragma once

#include <string>

#include "runtime/journal/journal.hpp"

namespace horizons::journal {

class owner_lock {
public:
  owner_lock() = default;
  owner_lock(owner_lock&& other) noexcept;
  owner_lock& operator=(owner_lock&& other) noexcept;
  ~owner_lock();

  /// Takes the lock or says who has it (`unavailable`). Other errors: `io`.
  static result<owner_lock> take(const std::string& path, const owner_info& me);

private:
  explicit owner_lock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace horizons::journal
