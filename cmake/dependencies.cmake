# Every third-party library under one short name; `dev` installs the packages (see packages.txt).
include(FindPkgConfig)

function(dependency name)
  add_library(${name} INTERFACE)
  target_link_libraries(${name} INTERFACE ${ARGN})
endfunction()

find_package(CAF 0.17 REQUIRED COMPONENTS core io)
dependency(caf CAF::io CAF::core)

dependency(expected)  # header only: libexpected-dev
dependency(nlohmann)  # header only: nlohmann-json3-dev
dependency(cli11)     # header only: libcli11-dev
dependency(msgpack)   # header only: libmsgpack-cxx-dev (its CMake config is not where CMake looks)
target_compile_definitions(msgpack INTERFACE MSGPACK_NO_BOOST)

find_package(simdjson REQUIRED)
dependency(simdjson_ simdjson::simdjson)

find_package(SQLite3 REQUIRED)
dependency(sqlite SQLite::SQLite3)
find_package(spdlog REQUIRED)
dependency(spdlog_ spdlog::spdlog)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
dependency(prometheus prometheus-cpp::core)
find_package(tomlplusplus REQUIRED)
dependency(toml tomlplusplus::tomlplusplus)
find_package(Boost 1.74 REQUIRED)  # Beast and Asio are header only
dependency(beast Boost::headers Threads::Threads)
find_package(OpenSSL REQUIRED)
dependency(openssl OpenSSL::SSL OpenSSL::Crypto)
find_package(CURL REQUIRED)
dependency(curl CURL::libcurl)
find_library(JEMALLOC jemalloc REQUIRED)
find_package(PNG REQUIRED)
dependency(png PNG::PNG)

pkg_check_modules(FFTW REQUIRED IMPORTED_TARGET fftw3 fftw3f)
find_library(FFTW_THREADS fftw3_threads REQUIRED)
find_library(FFTWF_THREADS fftw3f_threads REQUIRED)
dependency(fftw ${FFTW_THREADS} ${FFTWF_THREADS} PkgConfig::FFTW Threads::Threads)

pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)
dependency(rdkafka PkgConfig::RDKAFKA)
pkg_check_modules(RABBITMQ REQUIRED IMPORTED_TARGET librabbitmq)
dependency(rabbitmq PkgConfig::RABBITMQ OpenSSL::SSL OpenSSL::Crypto)
pkg_check_modules(PQXX REQUIRED IMPORTED_TARGET libpqxx libpq)
dependency(pqxx PkgConfig::PQXX)

pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
dependency(zstd PkgConfig::ZSTD)

pkg_check_modules(CFITSIO REQUIRED IMPORTED_TARGET cfitsio)
dependency(cfitsio PkgConfig::CFITSIO)

find_path(CASACORE_INCLUDE_DIR casacore/ms/MeasurementSets/MeasurementSet.h REQUIRED)
set(_casacore)
foreach(part msfits ms fits measures coordinates tables scimath casa)
  find_library(CASACORE_${part} casa_${part} REQUIRED)
  list(APPEND _casacore ${CASACORE_${part}})
endforeach()
dependency(casacore ${_casacore})
target_include_directories(casacore SYSTEM INTERFACE ${CASACORE_INCLUDE_DIR})
