// SHA-256 of what an agent reads: files, and folders such as Measurement Sets.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::agents {

/// 64 hexadecimal digits.
std::string sha256_of_text(std::string_view bytes);

/// Of a file: its bytes. Of a folder: of the listing "<sha256>  <size>  <relative path>\n" of its regular files
/// (locks left out) sorted by path, so that it does not depend on the order on disk, dates or owners. Fails with
/// not_found, io or cancelled.
result<std::string> sha256_of(const std::filesystem::path& path, std::stop_token stop = {});

}  // namespace horizons::agents
