// Writes UVFITS random groups: the form every imaging package reads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gpu/imaging/visibilities.hpp"
#include "messages/result.hpp"

namespace horizons::observations {

/// Writes `o` (one block, one field) with AIPS AN and FQ tables; `history` lines become HISTORY cards.
/// The file appears under its name only when complete (temporary name, fsync, rename).
result<void> write_uvfits(const imaging::observation& o, const std::filesystem::path& path,
                          const std::vector<std::string>& history = {});

}  // namespace horizons::observations
