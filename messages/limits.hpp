// How large one message may be. Every decoder refuses more, every builder too, so that what was accepted once can
// be read everywhere.
#pragma once

#include <cstddef>

namespace horizons::limits {

inline constexpr std::size_t message_bytes_max = 1 << 20;                      // brokers' own default for one record
inline constexpr std::size_t built_bytes_max = message_bytes_max - 16 * 1024;  // leaves room for a CloudEvent around it
inline constexpr std::size_t depth_max = 32;              // nested containers, the message itself being the first
inline constexpr std::size_t free_depth_max = 29;         // of a free-form value: event, data and a spare lie around it
inline constexpr std::size_t text_bytes_max = 64 * 1024;  // one text inside a message
inline constexpr std::size_t label_bytes_max = 256;       // ids, users, keys
inline constexpr std::size_t uri_bytes_max = 4096;        // what proxies and object stores accept
inline constexpr std::size_t elements_max = 10'000;       // of a typed list
inline constexpr std::size_t values_max = 100'000;        // of free-form values and skipped fields: bounds memory

}  // namespace horizons::limits
