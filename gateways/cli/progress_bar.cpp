#include "gateways/cli/progress_bar.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace horizons::cli {

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && kind && std::string_view(kind) != "dumb";
}

void progress_bar::show(double progress, const std::string& stage, std::optional<double> eta_s) {
  constexpr int cells = 20;
  progress = std::isfinite(progress) ? std::clamp(progress, 0.0, 1.0) : 0.0;
  const auto percent = std::to_string(static_cast<int>(progress * 100)) + " %";
  std::string rest = stage;
  if (eta_s && *eta_s >= 1)
    rest += (rest.empty() ? "" : ", ") + std::string("about ") + std::to_string(static_cast<long>(*eta_s)) + " s left";
  if (is_terminal_) {
    std::string bar;
    for (int i = 0; i < cells; ++i) bar += i < std::lround(progress * cells) ? "█" : "░";
    out_ << "\r\x1b[2K" << label_ << "  " << bar << "  " << percent << "  " << rest << std::flush;
    is_drawn_ = true;
    return;
  }
  const int tenth = static_cast<int>(progress * 10);
  if (stage == last_stage_ && tenth == last_tenth_) return;
  last_stage_ = stage;
  last_tenth_ = tenth;
  out_ << label_ << "  " << percent << "  " << rest << '\n' << std::flush;
}

void progress_bar::finish() {
  if (is_drawn_) out_ << '\n' << std::flush;
  is_drawn_ = false;
}

}  // namespace horizons::cli
