// The hash chain over every event: chain(n) = SHA-256(chain(n-1) ‖ position as 8 bytes, big endian ‖ event as JSON).
// It makes a changed, missing, inserted or cut-off event visible. It keeps nothing and knows no database.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace horizons::journal {

using chain_hash = std::array<std::uint8_t, 32>;

/// Where a chain stands: its last link and how many events came before it.
struct chain_state {
  std::uint64_t count = 0;
  std::uint64_t position = 0;
  chain_hash hash{};
};

std::string hexadecimal(const chain_hash& hash);
/// 64 digits as `hexadecimal` writes them; false: they are not.
bool from_hexadecimal(std::string_view digits, chain_hash& hash);

/// Computes links. One per thread: it keeps OpenSSL's context, whose making costs more than a hash.
class chain_hasher {
public:
  chain_hasher();

  /// The link after `previous` for the event stored at `position`; all zeros come before the first.
  chain_hash link(const chain_hash& previous, std::uint64_t position, std::string_view event_json);

private:
  struct context_deleter {
    void operator()(void* context) const;
  };
  struct digest_deleter {
    void operator()(void* digest) const;
  };
  std::unique_ptr<void, digest_deleter> digest_;
  std::unique_ptr<void, context_deleter> context_;
};

}  // namespace horizons::journal
