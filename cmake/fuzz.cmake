# fuzz_targets(libs...): every tests/fuzz/x_fuzz.cpp becomes the libFuzzer program fuzz-x and the test fuzz.x, which starts
# from the committed corpus tests/fuzz/corpus/x, keeps what it finds in the build folder and runs for
# HORIZONS_FUZZ_SECONDS. Only where HORIZONS_FUZZ is on; libFuzzer belongs to clang.
set(HORIZONS_FUZZ_SECONDS 10 CACHE STRING "how long each fuzz test runs")

function(fuzz_targets)
  if(NOT HORIZONS_FUZZ)
    return()
  endif()
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "HORIZONS_FUZZ needs clang (libFuzzer); configure with --preset fuzz")
  endif()
  add_custom_target(fuzz)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cpp)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${name})
    add_executable(fuzz-${name} ${source})
    target_link_libraries(fuzz-${name} PRIVATE ${ARGN})
    target_link_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzz fuzz-${name})
    set(found ${CMAKE_BINARY_DIR}/fuzz-corpus/${name})
    file(MAKE_DIRECTORY ${found})
    add_test(NAME fuzz.${name}
             COMMAND fuzz-${name} -max_total_time=${HORIZONS_FUZZ_SECONDS} -timeout=5 -rss_limit_mb=1024 -max_len=65536
                     -print_final_stats=1 -artifact_prefix=${CMAKE_BINARY_DIR}/fuzz-${name}- ${found}
                     ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    math(EXPR limit "${HORIZONS_FUZZ_SECONDS} + 120")
    set_tests_properties(fuzz.${name} PROPERTIES TIMEOUT ${limit} LABELS fuzz)
  endforeach()
endfunction()
