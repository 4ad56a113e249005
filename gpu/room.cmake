# The gridder's hot loops are built once per instruction set and chosen at run time. Their own flags do not fit the
# precompiled header. -fno-trapping-math and -fno-math-errno let loops with floor, sqrt and selections vectorise;
# results stay IEEE (no -ffast-math).
set(kernel_flags -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND kernel_flags -Wno-psabi)  # vectors wider than the baseline's registers are never passed between files
endif()
set(kernels ${CMAKE_SOURCE_DIR}/gpu/imaging/gridder_kernels)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
  target_compile_definitions(horizons_gpu PRIVATE HORIZONS_X86_KERNELS)
  set(avx2_flags -mavx2 -mfma)
  set(avx512_flags ${avx2_flags} -mavx512f -mavx512dq -mavx512vl -mavx512bw -mprefer-vector-width=512)
endif()
foreach(set baseline avx2 avx512)
  set_source_files_properties(${kernels}_${set}.cpp PROPERTIES
    COMPILE_OPTIONS "${kernel_flags};${${set}_flags}" SKIP_PRECOMPILE_HEADERS ON)
endforeach()
