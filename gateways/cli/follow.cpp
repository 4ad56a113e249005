#include "gateways/cli/follow.hpp"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <iostream>
#include <mutex>

#include "gateways/cli/commands.hpp"
#include "gateways/cli/progress_bar.hpp"

namespace horizons::cli {
namespace {

volatile std::sig_atomic_t ctrl_c = 0;

/// Ctrl-C ends the watching, not the program, while this lives.
class interrupt_watch {
public:
  interrupt_watch() {
    ctrl_c = 0;
    before_ = std::signal(SIGINT, [](int) { ctrl_c = 1; });
  }
  ~interrupt_watch() { std::signal(SIGINT, before_); }
  interrupt_watch(const interrupt_watch&) = delete;

private:
  void (*before_)(int);
};

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0.0;
}

/// What has been seen of the job so far.
struct watched {
  std::string position = "0";
  std::string final_status;
};

void tell(const json& e, const std::string& job_id, progress_bar& bar, std::ostream& out, watched& w) {
  const auto type = text_in(e, "event_type");
  const auto data = e.value("data", json::object());
  if (type == "job.progress") {
    std::optional<double> eta;
    if (data.contains("eta_s") && data["eta_s"].is_number()) eta = data["eta_s"].get<double>();
    return bar.show(number_in(data, "progress"), text_in(data, "stage"), eta);
  }
  if (type == "job.queued" || type == "job.running" || type == "job.paused" || type == "job.resumed" ||
      type == "job.submitted") {
    const auto device = text_in(data, "device");
    return bar.show(0, type.substr(4) + (device.empty() ? "" : " on " + device));
  }
  if (type == "job.retrying") {
    bar.finish();
    out << "job " << job_id << "  attempt " << number_in(data, "attempt") << " failed: " << text_in(data, "reason")
        << "; it is tried again\n";
    return;
  }
  if (type == "job.completed") {
    bar.show(1, "");
    bar.finish();
    out << "job " << job_id << "  COMPLETED in " << number_in(data, "execution_duration_s") << " s\n";
    for (const auto& file : data.value("results", json::array())) out << "  " << text_in(file, "name") << '\n';
    w.final_status = "COMPLETED";
  } else if (type == "job.failed" || type == "job.rejected") {
    bar.finish();
    const auto error = data.value("error", json::object());
    out << "job " << job_id << (type == "job.failed" ? "  FAILED  " : "  REJECTED  ") << text_in(error, "title")
        << "\n  " << text_in(error, "detail") << '\n';
    w.final_status = "FAILED";
  } else if (type == "job.cancelled") {
    bar.finish();
    const auto by = text_in(data, "by"), reason = text_in(data, "reason");
    out << "job " << job_id << "  CANCELLED" << (by.empty() ? "" : " by " + by) << (reason.empty() ? "" : ": " + reason)
        << '\n';
    w.final_status = "CANCELLED";
  }
}

}  // namespace

int follow(const client& c, const std::string& job_id, std::ostream& out, bool as_json) {
  using namespace std::chrono_literals;
  const interrupt_watch interrupts;
  progress_bar bar(out, is_terminal() && !as_json, "job " + job_id);
  watched w;
  auto last_contact = std::chrono::steady_clock::now();
  for (;;) {
    const auto streamed = c.lines(
        "/api/stream?job_id=" + escaped(job_id) + "&after=" + w.position,
        [&](std::string_view line) {
          last_contact = std::chrono::steady_clock::now();
          if (line.starts_with("id: ")) w.position = line.substr(4);
          if (!line.starts_with("data: ")) return true;
          const auto e = json::parse(line.substr(6), nullptr, false);
          if (!e.is_object()) return true;
          if (as_json) out << line.substr(6) << '\n' << std::flush;
          std::ostream silent(nullptr);
          progress_bar none(silent, false, "");
          tell(e, job_id, as_json ? none : bar, as_json ? silent : out, w);
          return w.final_status.empty();
        },
        [] { return ctrl_c == 0; });
    if (ctrl_c) {
      bar.finish();
      std::cerr << "The job goes on. Watch it again: horizons job " << job_id
                << " --follow      Stop it: horizons cancel " << job_id << '\n';
      return interrupted;
    }
    if (!w.final_status.empty()) return w.final_status == "COMPLETED" ? done : failed;
    if (streamed && streamed->status / 100 != 2) return report(streamed, "watching job " + job_id, std::cerr);
    if (std::chrono::steady_clock::now() - last_contact > 30s) {
      bar.finish();
      return report(streamed
                        ? result<answer>(failure(error_code::unavailable, "the node at " + c.node() + " went away"))
                        : streamed,
                    "watching job " + job_id, std::cerr);
    }
    std::mutex mutex;  // a pause before the next try
    std::unique_lock lock(mutex);
    std::condition_variable never;
    never.wait_for(lock, 200ms, [] { return ctrl_c != 0; });
  }
}

int report(const result<answer>& a, const std::string& what, std::ostream& err) {
  if (!a) {
    err << a.error().text << '\n';
    return a.error().code == error_code::unavailable ? unreachable : failed;
  }
  const auto body = json::parse(a->body, nullptr, false);
  err << what << ": " << (body.is_object() ? text_in(body, "title") : std::string()) << " (" << a->status << ")\n";
  if (body.is_object() && !text_in(body, "detail").empty()) err << "  " << text_in(body, "detail") << '\n';
  if (a->status == 401) err << "  Give the token with --token, or run this as the user who runs the node.\n";
  if (a->status == 429 || a->status == 503) err << "  Try again in a few seconds.\n";
  return failed;
}

}  // namespace horizons::cli
