// A file, or a part of it, as a body that is read while it is sent.
#pragma once

#include <filesystem>
#include <memory>

#include "gateways/http/request.hpp"

namespace horizons::http {

/// Bytes [first, first + count) of the file at `path`. Errors: not_found, io, or that the file is not `size` long.
result<std::shared_ptr<body_source>> open_file(const std::filesystem::path& path, std::uint64_t size,
                                               std::uint64_t first, std::uint64_t count);

/// What `Range: bytes=…` asks of a body of `size` bytes.
struct byte_range {
  enum { whole, part, impossible } kind = whole;
  std::uint64_t first = 0, count = 0;
};
/// One range is served; several, other units and what cannot be read count as no range (RFC 9110, 14.2).
byte_range parse_range(std::string_view header, std::uint64_t size);

}  // namespace horizons::http
