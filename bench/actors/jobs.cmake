target_compile_definitions(bench-jobs PRIVATE  # where the peers' scripts are, and where their packages go
  HORIZONS_SOURCE_DIR="${CMAKE_SOURCE_DIR}" HORIZONS_BINARY_DIR="${CMAKE_BINARY_DIR}")
