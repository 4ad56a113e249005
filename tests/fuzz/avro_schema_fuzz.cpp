#include "tests/fuzz/avro_targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  horizons::fuzz::avro_schema({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
