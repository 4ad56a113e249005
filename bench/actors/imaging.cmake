target_sources(bench-imaging PRIVATE tests/actors/observations/uvfits_to_ms.cpp)  # C++17: see actors/room.cmake
