// What an agent keeps of its work from one attempt to the next, so that a job that was preempted, interrupted or
// retried goes on where it stood. One file, replaced as a whole: there is the last complete one, or none.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

class checkpoint {
public:
  struct content {
    json head;         // small figures
    std::string data;  // the parts, one after the other
  };

  /// `folder` empty: nothing is kept. `key` names everything that the work depends on (dataset, parameters, version):
  /// what was kept under another one is not used.
  checkpoint(std::filesystem::path folder, std::string key);

  explicit operator bool() const { return !folder_.empty(); }

  /// Durable when it returns. Errors: disk_full, io; the one before stays.
  result<void> save(const json& head, std::span<const std::span<const std::byte>> parts) const;

  /// Nothing: never saved, another key's, or damaged. The work then begins at the beginning.
  std::optional<content> load() const;

private:
  std::filesystem::path folder_;
  std::string key_;
};

}  // namespace horizons::agents
