// What holds for the values of every described type: texts are bounded UTF-8 without NUL, numbers are finite,
// free-form values have a bounded depth. What one message means is checked in validate.cpp, not here.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "messages/description.hpp"
#include "messages/events.hpp"
#include "messages/fault.hpp"
#include "messages/limits.hpp"
#include "messages/text.hpp"

namespace horizons {

/// Walks one message; `bytes()` is a cheap upper-bound stand-in for its size.
class value_check {
public:
  explicit value_check(fault& site) : site_(site) {}

  bool operator()(const std::string& text) { return bounded(text, limits::text_bytes_max); }

  bool operator()(double value) {
    bytes_ += 8;
    if (std::isfinite(value)) return true;
    return site_.refuse(error_code::invalid_argument, "is " + number_text(value) + "; expected a finite number");
  }

  template <class T>
  requires(std::is_integral_v<T>) bool operator()(const T&) {
    bytes_ += 8;
    return true;
  }

  bool operator()(timestamp t) {
    using namespace std::chrono;
    bytes_ += 24;
    if (t >= timestamp{} && t < sys_days{year{10'000} / 1 / 1}) return true;
    return site_.refuse(error_code::invalid_argument, "is outside the years 1970 to 9999");
  }

  bool operator()(const json& value) { return free_form(value, 1); }

  template <class T>
  bool operator()(const std::optional<T>& value) {
    return !value || (*this)(*value);
  }

  template <class T>
  bool operator()(const std::vector<T>& values) {
    if (values.size() > limits::elements_max)
      return site_.refuse(error_code::limit_exceeded, "has " + std::to_string(values.size()) + " elements; at most " +
                                                          std::to_string(limits::elements_max));
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!(*this)(values[i])) return site_.at(i);
    return true;
  }

  template <described T>
  bool operator()(const T& message) {
    static constexpr auto description = T::description();
    return std::apply(
        [&](const auto&... each) { return (((*this)(message.*(each.member)) || site_.within(each.name)) && ...); },
        description.fields);
  }

  /// A text of at most `bytes_max` bytes.
  bool bounded(std::string_view text, std::size_t bytes_max) {
    bytes_ += text.size() + 16;
    if (text.size() > bytes_max)
      return site_.refuse(error_code::limit_exceeded,
                          "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(bytes_max));
    const std::string_view wrong = text_fault(text);
    return wrong.empty() ||
           site_.refuse(error_code::invalid_argument, quote(text) + " " + std::string(wrong) + "; expected UTF-8 text");
  }

  std::size_t bytes() const { return bytes_; }

private:
  bool free_form(const json& value, std::size_t depth);

  fault& site_;
  std::size_t bytes_ = 0;
  std::size_t values_ = 0;
};

}  // namespace horizons
