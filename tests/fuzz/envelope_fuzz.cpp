#include "tests/fuzz/messages_targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  horizons::fuzz::envelope({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
