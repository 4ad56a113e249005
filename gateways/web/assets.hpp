// The files of the web page, as they are in this folder, inside the program. The table is made by embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace horizons::web {

struct asset {
  std::string_view path;  // "/", "/page.css"
  std::string_view content_type;
  std::string_view content;
  std::string_view sha256;  // of the content: its ETag
};

std::span<const asset> assets();

}  // namespace horizons::web
