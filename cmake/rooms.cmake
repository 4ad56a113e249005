# room(NAME LINK libs...): every .cpp below NAME/ becomes the static library horizons_NAME.
# room_tests(NAME): every tests/NAME/**_test.cpp becomes the GoogleTest binary NAME_tests.
# room_bench(NAME): every bench/NAME/*_bench.cpp becomes a program of its own, bench-<file>.

# quick_allocator(TARGET): jemalloc instead of the C library's malloc. Messages are made in one thread and freed in
# another, where the latter takes a lock and often wakes somebody; see docs/decisions/0009-jemalloc-on-huge-pages.md.
function(quick_allocator target)
  if(NOT HORIZONS_SANITIZE)
    target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/allocator.cpp)
    target_link_options(${target} PRIVATE -Wl,--push-state,--no-as-needed ${JEMALLOC} -Wl,--pop-state)
  endif()
endfunction()

function(room name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${name}/*.cpp)
  if(NOT sources)
    add_library(horizons_${name} INTERFACE)
    target_include_directories(horizons_${name} INTERFACE ${CMAKE_SOURCE_DIR})
    return()
  endif()
  add_library(horizons_${name} STATIC ${sources})
  target_include_directories(horizons_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  list(TRANSFORM ARG_LINK REPLACE "^(simdjson|spdlog)$" "\\1_")
  target_link_libraries(horizons_${name} PUBLIC ${ARG_LINK} Threads::Threads)
  target_precompile_headers(horizons_${name} REUSE_FROM horizons_pch)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${name}/room.cmake)
    include(${CMAKE_SOURCE_DIR}/${name}/room.cmake)  # what only this room needs: per-file flags, generated sources
  endif()
endfunction()

find_package(GTest REQUIRED)
include(GoogleTest)

function(room_tests name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS tests/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_tests ${sources})
  target_link_libraries(${name}_tests PRIVATE GTest::gtest_main GTest::gmock)
  if(TARGET horizons_${name})
    target_link_libraries(${name}_tests PRIVATE horizons_${name})
  else()
    target_link_libraries(${name}_tests PRIVATE horizons_actors horizons_gateways)
    add_dependencies(${name}_tests horizons)
  endif()
  target_compile_definitions(${name}_tests PRIVATE
    HORIZONS_SOURCE_DIR="${CMAKE_SOURCE_DIR}" HORIZONS_BINARY_DIR="${CMAKE_BINARY_DIR}"
    HORIZONS_SHARED_DATA="${CMAKE_SOURCE_DIR}/../shared/data")
  target_precompile_headers(${name}_tests REUSE_FROM horizons_pch)
  gtest_discover_tests(${name}_tests DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 900 LABELS ${name})
endfunction()

function(room_bench name)
  file(GLOB sources CONFIGURE_DEPENDS bench/${name}/*_bench.cpp)
  foreach(source IN LISTS sources)
    get_filename_component(program ${source} NAME_WE)
    string(REGEX REPLACE "_bench$" "" program ${program})
    add_executable(bench-${program} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(bench-${program} PRIVATE horizons_${name})
    quick_allocator(bench-${program})  # as the program runs
    target_include_directories(bench-${program} PRIVATE ${CMAKE_SOURCE_DIR})
    target_precompile_headers(bench-${program} REUSE_FROM horizons_pch)
    if(EXISTS ${CMAKE_SOURCE_DIR}/bench/${name}/${program}.cmake)
      include(${CMAKE_SOURCE_DIR}/bench/${name}/${program}.cmake)  # what only this program needs: its peer's library
    endif()
  endforeach()
endfunction()
