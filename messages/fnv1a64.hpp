// FNV-1a, 64 bit (draft-eastlake-fnv): a hash that is the same on every machine and for ever, for numbers that are
// stored or agreed upon. Not against an adversary.
#pragma once

#include <cstdint>
#include <string_view>

namespace horizons {

inline constexpr std::uint64_t fnv1a64_basis = 14'695'981'039'346'656'037u;

/// The hash of `text`, or, given the hash of what comes before it, of both joined.
constexpr std::uint64_t fnv1a64(std::string_view text, std::uint64_t before = fnv1a64_basis) {
  for (const char c : text) before = (before ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  return before;
}

}  // namespace horizons
