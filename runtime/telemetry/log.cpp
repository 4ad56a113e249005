#include "runtime/telemetry/log.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "messages/timestamp.hpp"

namespace horizons::log {

namespace {

constexpr std::size_t line_bytes_max = 8 * 1024, fields_max = 16;
constexpr std::array<std::string_view, 5> names{"debug", "info", "warn", "error", "off"};
constexpr std::array<spdlog::level::level_enum, 5> spd{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                       spdlog::level::err, spdlog::level::off};

class function_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
  explicit function_sink(std::function<void(std::string_view)> f) : f_(std::move(f)) {}

protected:
  void sink_it_(const spdlog::details::log_msg& m) override { f_({m.payload.data(), m.payload.size()}); }
  void flush_() override {}

private:
  std::function<void(std::string_view)> f_;
};

struct state {
  std::shared_ptr<spdlog::logger> logger;
  log::format format;
};

std::shared_ptr<state> make(options o) {
  spdlog::sink_ptr sink;
  if (o.sink)
    sink = std::make_shared<function_sink>(std::move(o.sink));
  else
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("horizons", sink);
  logger->set_pattern("%v");
  logger->set_level(spd[static_cast<std::size_t>(o.level)]);
  logger->flush_on(spdlog::level::debug);
  return std::make_shared<state>(state{std::move(logger), o.format});
}

std::shared_ptr<state>& slot() {
  static auto s = make({});
  return s;
}
std::shared_ptr<state> current() { return std::atomic_load(&slot()); }

std::string one_line(std::string_view s) {
  std::string r(s);
  for (auto& c : r)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // nobody forges a second line
  return r;
}

}  // namespace

result<level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (text == names[i]) return static_cast<level>(i);
  return failure(error_code::invalid_argument,
                 "log level '" + std::string(text) + "' is unknown; expected debug, info, warn, error or off");
}

void configure(options o) { std::atomic_store(&slot(), make(std::move(o))); }

void write(level l, std::string_view text, fields f) {
  auto s = current();
  auto at = spd[static_cast<std::size_t>(l)];
  if (!s->logger->should_log(at)) return;
  auto now = to_string(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
  std::string line;
  auto cut = text.substr(0, line_bytes_max / 2);
  std::size_t n = 0;
  if (s->format == format::json) {
    nlohmann::ordered_json j;
    j["time"] = now;
    j["level"] = names[static_cast<std::size_t>(l)];
    j["message"] = cut;
    for (auto& x : f)
      if (n++ < fields_max) j[std::string(x.name)] = x.value.substr(0, line_bytes_max / fields_max);
    line = j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = now + " " + std::string(names[static_cast<std::size_t>(l)]) + " " + one_line(cut);
    for (auto& x : f)
      if (n++ < fields_max)
        line += " " + std::string(x.name) + "=" + one_line(x.value.substr(0, line_bytes_max / fields_max));
    if (line.size() > line_bytes_max) line.resize(line_bytes_max);
  }
  s->logger->log(at, fmt::string_view("{}"), line);
}

}  // namespace horizons::log
