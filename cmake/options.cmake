# Language level, warnings, sanitizers, ccache and the precompiled header.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

include(CTest)  # BUILD_TESTING

find_program(CCACHE ccache)
if(CCACHE)
  # A precompiled header is safe to cache when its includes are listed (-fpch-preprocess) and time macros ignored; the
  # times of included files say nothing in a fresh checkout.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports these inside libstdc++ and fmt at -O2 (GCC bugs 105329, 105651, 107852).
  add_compile_options(-Wno-restrict -Wno-stringop-overflow -Wno-array-bounds)
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)  # links in a tenth of the time: incremental builds stay short
endif()

set(HORIZONS_SANITIZE "" CACHE STRING "address,undefined or thread")
if(HORIZONS_SANITIZE)
  # At -O2 the checks of the described types' visitors take the compiler minutes and gigabytes for one file.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1 -DNDEBUG")
  add_compile_options(-fsanitize=${HORIZONS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HORIZONS_SANITIZE})
endif()

option(HORIZONS_FUZZ "build the libFuzzer targets (clang only)" OFF)
if(HORIZONS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

add_compile_definitions(HORIZONS_VERSION="${PROJECT_VERSION}")

find_package(Threads REQUIRED)
add_library(horizons_pch OBJECT cmake/pch.cpp)
target_precompile_headers(horizons_pch PRIVATE
  <algorithm> <array> <atomic> <chrono> <cmath> <complex> <cstdint> <filesystem> <functional> <map> <memory> <mutex>
  <optional> <span> <sstream> <stop_token> <string> <string_view> <thread> <unordered_map> <variant> <vector>)
target_include_directories(horizons_pch PRIVATE ${CMAKE_SOURCE_DIR})
