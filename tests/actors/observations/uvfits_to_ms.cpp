#include "tests/actors/observations/uvfits_to_ms.hpp"

#include <casacore/casa/Logging/LogSink.h>
#include <casacore/casa/Logging/NullLogSink.h>
#include <casacore/msfits/MSFits/MSFitsInput.h>

namespace horizons::observations {

std::string uvfits_to_ms(const std::string& uvfits, const std::string& ms) {
  casacore::LogSinkInterface* quiet = new casacore::NullLogSink;
  casacore::LogSink::globalSink(quiet);
  try {
    casacore::MSFitsInput input(ms, uvfits, false);
    input.readFitsFile();
    return {};
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace horizons::observations
