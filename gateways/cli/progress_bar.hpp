// How far something is: one line drawn over and over on a terminal, plain lines elsewhere (a new stage, or every
// tenth), so that a log stays readable.
#pragma once

#include <optional>
#include <ostream>
#include <string>

namespace horizons::cli {

class progress_bar {
public:
  /// `label` stands in front, "job 01JD…".
  progress_bar(std::ostream& out, bool is_terminal, std::string label)
      : out_(out), is_terminal_(is_terminal), label_(std::move(label)) {}

  /// `progress` 0 to 1; values outside are cut.
  void show(double progress, const std::string& stage, std::optional<double> eta_s = {});
  /// Leaves the drawn line behind; what is written next begins on a line of its own.
  void finish();

private:
  std::ostream& out_;
  bool is_terminal_;
  std::string label_;
  std::string last_stage_;
  int last_tenth_ = -1;
  bool is_drawn_ = false;
};

/// Whether standard output is a terminal that can redraw a line.
bool is_terminal();

}  // namespace horizons::cli
