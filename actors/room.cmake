# The headers of casacore 3.5 name std::allocator::pointer, which C++20 removed: what includes them is C++17. Their Block
# binds references to null allocators, harmless in practice: undefined-behaviour checks would stop at it, not at ours.
set_source_files_properties(
  ${CMAKE_SOURCE_DIR}/actors/observations/casacore_table.cpp ${CMAKE_SOURCE_DIR}/tests/actors/observations/uvfits_to_ms.cpp
  PROPERTIES COMPILE_OPTIONS "-std=c++17;-fno-sanitize=undefined" SKIP_PRECOMPILE_HEADERS ON)
