#include "gateways/cli/actor_commands.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include "gateways/cli/asking.hpp"
#include "gateways/cli/follow.hpp"
#include "gateways/cli/table.hpp"
#include "gateways/cli/top.hpp"

namespace horizons::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto settle_time = 10s;  // an actor's grace is 5 s by default, a kill half a second more

constexpr const char* drain_help =
    R"(From now on the actor takes no data: messages to it are dead letters (reason "draining"), requests fail with
"unavailable". What is queued is handled; control messages (health, cancel, stop) are taken as ever. With --then stay
it goes on like this until its present life ends: any restart opens it again. Its children are not drained.)";

std::string url_of(const std::string& path, const std::string& order = "") {
  return "/api/actors/" + escaped(path) + (order.empty() ? "" : "/" + order);
}

int list(const client_options& o, const std::string& below, const std::string& type) {
  std::string path = "/api/actors?limit=100000";
  if (!below.empty()) path += "&below=" + escaped(below);
  if (!type.empty()) path += "&type=" + escaped(type);
  return ask_and_show(o, "listing actors", "GET", path, "", [](const json& page) {
    table rows({"PATH", "TYPE", "MAILBOX", "HANDLED"});
    for (const auto& a : page.value("actors", json::array()))
      rows.add({shown(a, "path"), shown(a, "type"), shown(a, "messages"), shown(a, "handled")});
    rows.print(std::cout);
  });
}

/// Members of an object as "name value" in one line, zeros left out.
std::string remarkable(const json& object) {
  std::string line;
  for (const auto& [name, value] : object.items())
    if (value.is_number() && value != 0) line += (line.empty() ? "" : ", ") + value.dump() + " " + name;
  return line;
}

int inspect(const client_options& o, const std::string& path) {
  return ask_and_show(o, "actor " + path, "GET", url_of(path), "", [](const json& a) {
    table rows({"actor", shown(a, "path")});
    for (const char* name : {"type", "state", "supervisor", "restarts", "last_error", "started_at"})
      if (const auto text = shown(a, name); !text.empty()) rows.add({name, text});
    const auto box = a.value("mailbox", json::object());
    auto mailbox = shown(box, "messages") + " messages, " + shown(box, "bytes") + " bytes";
    if (box.value("messages", 0) > 0) mailbox += ", the oldest for " + shown(box, "oldest_ms") + " ms";
    rows.add({"mailbox", mailbox});
    rows.add({"handled", shown(box, "handled")});
    if (const auto handling = shown(box, "handling"); !handling.empty())
      rows.add({"handling", handling + " for " + shown(box, "handling_ms") + " ms"});
    const auto type = a.value("of_type", json::object());
    for (const char* name : {"dead_letters", "stopped"})
      if (const auto line = remarkable(type.value(name, json::object())); !line.empty())
        rows.add({std::string(name) + " (type)", line});
    for (const char* name : {"mean_wait_ms", "mean_processing_ms", "longest_handler_ms", "credit_outstanding"})
      if (const auto text = shown(type, name); !text.empty() && text != "0")
        rows.add({std::string(name) + " (type)", text});
    rows.print(std::cout);
  });
}

/// Whether the order has had its effect; `text` says what is the case.
bool is_settled(const std::string& order, bool comes_back, const json& before, const result<answer>& a,
                std::string& text) {
  if (a && a->status == 404) return text = "ended", true;  // a temporary child, or its supervisor went with it
  const auto now = a && a->status == 200 ? object_of(*a) : result<json>(failure(error_code::unavailable, ""));
  if (!now) return text = "the node does not answer", false;
  const auto state = shown(*now, "state");
  const auto waiting = now->value("mailbox", json::object()).value("messages", 0);
  text = state + (waiting ? ", " + std::to_string(waiting) + " messages wait" : "");
  if (order == "drain" && !comes_back) return waiting == 0;
  const bool is_new = now->value("restarts", 0) != before.value("restarts", 0);
  // A temporary child's supervisor forgets it a moment after its end.
  return (is_new && (state == "running" || state == "draining")) ||
         (state == "backoff" && !before.value("temporary", false));
}

int give_order(const client_options& o, const std::string& order, const std::string& path, const std::string& then) {
  const auto c = client_of(o);
  const auto what = order + " " + path;
  const auto there = c.ask("GET", url_of(path));
  if (!there || there->status / 100 != 2) return report(there, what, std::cerr);
  const auto before = object_of(*there);
  if (!before) return report(failure(before.error()), what, std::cerr);
  const auto done_ = c.ask("POST", url_of(path, order), then.empty() ? "{}" : json{{"then", then}}.dump());
  if (!done_ || done_->status / 100 != 2) return report(done_, what, std::cerr);
  if (const auto accepted = object_of(*done_); accepted && !accepted->value("audited", true))
    std::cerr << "warning: the journal did not take the audit record; the node's log has it\n";
  std::string text;
  bool settled = false;
  for (const auto end = std::chrono::steady_clock::now() + settle_time;
       !settled && std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(50ms))
    settled = is_settled(order, order != "drain" || then == "restart", *before, c.ask("GET", url_of(path)), text);
  if (o.json)
    std::cout << json{{"path", path}, {"order", order}, {"settled", settled}, {"state", text}}.dump() << '\n';
  else
    std::cout << path << "  " << text << (settled ? "" : "  (the order was taken; this is not over yet)") << '\n';
  return settled ? done : failed;
}

/// Lines of the terminal that are left for actors: without the headings, the last line and the prompt.
std::size_t lines_of_terminal() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 5 ? size.ws_row - 3u : 20u;
}

int top(const client_options& o, double interval_s) {
  const auto c = client_of(o);
  const bool live = !o.json && ::isatty(STDOUT_FILENO) == 1;
  const auto read = [&](json& into) {
    const auto a = c.ask("GET", "/api/actors?limit=10000");
    if (!a || a->status / 100 != 2) return report(a, "reading the actors", std::cerr);
    auto object = object_of(*a);
    if (!object) return report(failure(object.error()), "reading the actors", std::cerr);
    into = std::move(*object);
    return done;
  };
  json before;
  if (const int status = read(before); status != done) return status;
  for (;;) {
    std::this_thread::sleep_for(std::chrono::duration<double>(interval_s));
    json now;
    if (const int status = read(now); status != done) return status;
    const auto rated = with_rates(before, now);
    if (o.json)
      std::cout << rated.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
    else
      std::cout << (live ? "\033[H\033[J" : "") << draw_top(rated, live ? lines_of_terminal() : 10'000) << std::flush;
    if (!live || !std::cout) return done;
    before = std::move(now);
  }
}

}  // namespace

void add_actor_commands(CLI::App& app, client_options& o, int& exit_status) {
  const auto below = [](CLI::App& parent, const std::string& name, const std::string& doc) {
    auto* sub = parent.add_subcommand(name, doc);
    sub->fallthrough();
    return sub;
  };
  struct words {
    std::string path, text;
  };
  auto* actor = below(app, "actor", "One actor of the node: look at it, or give it an order");
  actor->require_subcommand(1);

  auto* list_command = below(*actor, "list", "All actors");
  auto w = std::make_shared<words>();
  list_command->add_option("path", w->path, "Only this one and what is below it");
  list_command->add_option("--type", w->text, "Only of this type");
  list_command->callback([&o, &exit_status, w] { exit_status = list(o, w->path, w->text); });

  auto* inspect_command = below(*actor, "inspect", "Its state, mailbox, restarts and last error");
  w = std::make_shared<words>();
  inspect_command->add_option("path", w->path, "As `horizons tree` and `actor list` show it")->required();
  inspect_command->callback([&o, &exit_status, w] { exit_status = inspect(o, w->path); });

  const std::pair<const char*, const char*> orders[] = {
      {"kill", "End it as if it had crashed; its supervisor decides what follows"},
      {"restart", "Stop it in order and start it with fresh state, with what its supervisor's strategy ties to it"},
      {"drain", "Let it finish what is queued and take no more data; control messages go on"}};
  for (const auto& [order, doc] : orders) {
    auto* sub = below(*actor, order, doc);
    w = std::make_shared<words>();
    sub->add_option("path", w->path, "As `horizons tree` and `actor list` show it")->required();
    if (std::string_view(order) == "drain")
      sub->footer(drain_help)
          ->add_option("--then", w->text, "stay: drained until a restart; restart: as soon as its mailbox is empty")
          ->check(CLI::IsMember({"stay", "restart"}))
          ->default_val("stay");
    sub->callback(
        [&o, &exit_status, w, order = std::string(order)] { exit_status = give_order(o, order, w->path, w->text); });
  }

  auto* top_command = below(app, "top", "The busiest actors, live on a terminal");
  auto interval = std::make_shared<double>(1.0);
  top_command->add_option("--interval", *interval, "Seconds between two readings")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  top_command->callback([&o, &exit_status, interval] { exit_status = top(o, *interval); });
}

}  // namespace horizons::cli
