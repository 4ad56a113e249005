#include "messages/ulid.hpp"

#include <random>

namespace horizons {

namespace {

constexpr char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The 80 random bits of one thread's ULIDs, as a high part of 16 bits and a low part of 64.
struct random_part {
  std::uint64_t low = 0;
  std::uint16_t high = 0;
};

std::string ulid_text(timestamp now, random_part random) {
  const std::int64_t since_epoch = now.time_since_epoch().count();
  const std::uint64_t ms = since_epoch < 0 ? 0 : static_cast<std::uint64_t>(since_epoch) & 0xFFFF'FFFF'FFFF;
  std::string text(26, '0');
  for (int i = 0; i < 10; ++i) text[static_cast<std::size_t>(i)] = alphabet[ms >> (45 - 5 * i) & 31];
  for (std::size_t i = 25; i >= 10; --i) {
    text[i] = alphabet[random.low & 31];
    random.low = random.low >> 5 | static_cast<std::uint64_t>(random.high & 31) << 59;
    random.high >>= 5;
  }
  return text;
}

std::mt19937_64 seeded() {
  std::random_device device;  // the kernel's generator: 256 bits, so that threads and nodes never share a stream
  std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
  return std::mt19937_64{seed};
}

}  // namespace

std::string make_ulid(timestamp now) {
  thread_local std::mt19937_64 generator = seeded();
  thread_local timestamp last{timestamp::duration::min()};
  thread_local random_part random;
  if (now != last) {
    random.low = generator();
    random.high = static_cast<std::uint16_t>(generator() & 0x7FFF);  // top bit clear: growing never overflows
    last = now;
  } else if (++random.low == 0) {
    ++random.high;
  }
  return ulid_text(now, random);
}

std::string make_ulid(timestamp now, std::array<std::uint8_t, 10> bits) {
  random_part random;
  random.high = static_cast<std::uint16_t>(bits[0] << 8 | bits[1]);
  for (std::size_t i = 2; i < bits.size(); ++i) random.low = random.low << 8 | bits[i];
  return ulid_text(now, random);
}

bool is_ulid(std::string_view text) {
  if (text.size() != 26 || text[0] > '7') return false;  // 26 characters hold 130 bits; the first two are zero
  static constexpr auto in_alphabet = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view(alphabet)) table[static_cast<unsigned char>(c)] = true;
    return table;
  }();
  bool all = true;
  for (const char c : text) all &= in_alphabet[static_cast<unsigned char>(c)];
  return all;
}

}  // namespace horizons
