// libpqxx with errors as values: a connection that never comes back by itself (its session's lock would not come with
// it), and what a failure means for a journal. It knows no table.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <pqxx/pqxx>
#include <string>
#include <thread>
#include <unordered_map>

#include "runtime/journal/postgres_url.hpp"

namespace horizons::journal::postgres {

inline constexpr int statement_ms_max = 20'000;  // the server gives up; nothing of the statement is kept
inline constexpr int answer_ms_max = 25'000;     // we give up: a frozen server

/// Cuts a connection whose server does not answer: libpq waits for ever for one that is frozen but still connected. It
/// looks once a second.
class watchdog {
public:
  explicit watchdog(int socket, int limit_ms = answer_ms_max);
  ~watchdog();
  watchdog(const watchdog&) = delete;

  void arm();
  void disarm() { deadline_ms_ = 0; }

private:
  void watch();

  int socket_, limit_ms_;
  std::atomic<std::int64_t> deadline_ms_{0};  // of the steady clock; 0: nothing is asked
  std::mutex mutex_;
  std::condition_variable stop_asked_;
  bool stop_ = false;
  std::thread thread_;
};

class connection {
public:
  /// Errors name the hosts and the database, never the password.
  static result<std::unique_ptr<connection>> open(const address& to);

  /// Statements without parameters; the result of the last one.
  result<pqxx::result> run(const std::string& sql);
  /// One statement, prepared at its first use. Its text must be one of few: each stays prepared.
  template <class... Parameters>
  result<pqxx::result> ask(const std::string& sql, const Parameters&... parameters) {
    return guarded([&] {
      const std::string& name = prepared(sql);
      pqxx::nontransaction t(*raw_);
      return t.exec_prepared(name, parameters...);
    });
  }

  /// Broken: whether what was asked last was carried out is unknown.
  bool lost() const { return !raw_ || !raw_->is_open(); }
  /// Of the last error; empty when it was not the server's.
  const std::string& sqlstate() const { return sqlstate_; }

private:
  explicit connection(const address& to) : to_(to) {}
  const std::string& prepared(const std::string& sql);
  template <class F>
  result<pqxx::result> guarded(F f) {
    const pause_at_end rest(*watchdog_);
    try {
      sqlstate_.clear();
      return f();
    } catch (...) {
      return failure(caught());
    }
  }
  error caught();  // the exception being handled
  struct pause_at_end {
    explicit pause_at_end(watchdog& w) : w_(w) { w_.arm(); }
    ~pause_at_end() { w_.disarm(); }
    watchdog& w_;
  };

  address to_;
  std::unique_ptr<pqxx::connection> raw_;
  std::unique_ptr<watchdog> watchdog_;  // ends before the connection
  std::unordered_map<std::string, std::string> names_;
  std::string sqlstate_;
};

/// Valid as long as the result that it belongs to.
inline std::string_view text_of(const pqxx::field& f) { return {f.c_str(), f.size()}; }

}  // namespace horizons::journal::postgres
