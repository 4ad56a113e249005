#include "runtime/journal/postgres.hpp"

#include <sys/socket.h>

#include <chrono>

namespace horizons::journal::postgres {

namespace {

constexpr std::chrono::seconds watch_interval{1};

// Of every session. What was acknowledged survives, so a commit is never answered before it is on disk, whatever the
// database's default. The server, too, forgets a host that lost its power: its lock must not stay. Plans are made once:
// the planner would take that of a small append for so much better than the general one that it made it every time.
constexpr const char* settings =
    "set lock_timeout = 10000; set idle_in_transaction_session_timeout = 30000; set jit = off; "
    "set plan_cache_mode = force_generic_plan; "
    "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'; "
    "set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 3; set tcp_keepalives_count = 3";

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// SQLSTATE classes: www.postgresql.org/docs/15/errcodes-appendix.html.
error_code code_of(const std::string& state) {
  if (state == "53100") return error_code::disk_full;
  const auto kind = state.substr(0, 2);
  if (kind == "58" || state == "F0000") return error_code::io;
  if (kind == "XX") return error_code::unreadable;
  if (kind == "28" || state == "42501") return error_code::forbidden;
  if (kind == "3D") return error_code::not_found;
  if (kind == "54") return error_code::limit_exceeded;
  if (kind == "23") return error_code::conflict;
  // 08 connection, 25006 a standby, 40 rolled back, 53 resources, 55P03 locked, 57 stopped or too slow
  if (kind == "08" || kind == "25" || kind == "40" || kind == "53" || kind == "55" || kind == "57")
    return error_code::unavailable;
  return error_code::internal;
}

/// The first line, without the password that libpq would not put there anyway.
std::string shortened(std::string text, const std::string& password) {
  text = text.substr(0, text.find('\n'));
  for (const std::string_view front : {"ERROR:  ", "FATAL:  "})
    if (text.starts_with(front)) text = text.substr(front.size());
  if (!password.empty())
    for (auto at = text.find(password); at != std::string::npos; at = text.find(password, at + 3))
      text.replace(at, password.size(), "***");
  return text;
}

}  // namespace

watchdog::watchdog(int socket, int limit_ms) : socket_(socket), limit_ms_(limit_ms), thread_([this] { watch(); }) {}

watchdog::~watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_asked_.notify_all();
  thread_.join();
}

void watchdog::arm() { deadline_ms_ = now_ms() + limit_ms_; }

void watchdog::watch() {
  std::unique_lock lock(mutex_);
  while (!stop_asked_.wait_for(lock, watch_interval, [this] { return stop_; })) {
    const auto deadline = deadline_ms_.load();
    if (deadline != 0 && now_ms() > deadline) ::shutdown(socket_, SHUT_RDWR);
  }
}

result<std::unique_ptr<connection>> connection::open(const address& to) {
  std::unique_ptr<connection> c(new connection(to));
  try {
    c->raw_ = std::make_unique<pqxx::connection>(to.connection);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    c->raw_->inhibit_reactivation(true);  // deprecated with reactivation itself, which libpqxx 6 still has
#pragma GCC diagnostic pop
    c->watchdog_ = std::make_unique<watchdog>(c->raw_->sock());
  } catch (const std::exception& e) {
    return failure(error_code::unavailable, "journal " + to.shown + ": " + shortened(e.what(), to.password));
  }
  const auto ok = c->run("set search_path to " + to.schema +
                         "; set statement_timeout = " + std::to_string(statement_ms_max) + "; " + settings);
  if (!ok) return failure(ok.error());
  return c;
}

const std::string& connection::prepared(const std::string& sql) {
  const auto known = names_.find(sql);
  if (known != names_.end()) return known->second;
  const auto name = "s" + std::to_string(names_.size() + 1);
  raw_->prepare(name, sql);
  return names_.emplace(sql, name).first->second;
}

result<pqxx::result> connection::run(const std::string& sql) {
  return guarded([&] {
    pqxx::nontransaction t(*raw_);
    return t.exec(sql);
  });
}

error connection::caught() {
  std::string text;
  try {
    throw;
  } catch (const pqxx::sql_error& e) {
    sqlstate_ = e.sqlstate();
    text = e.what();
  } catch (const std::exception& e) {
    text = e.what();
  }
  const auto code = lost() ? error_code::unavailable : sqlstate_.empty() ? error_code::internal : code_of(sqlstate_);
  return {code, "journal " + to_.shown + ": " + shortened(std::move(text), to_.password) +
                    (sqlstate_.empty() ? "" : " [" + sqlstate_ + "]")};
}

}  // namespace horizons::journal::postgres
