// A PostgreSQL journal for one test: a schema of its own in the database HORIZONS_JOURNAL_URL names, dropped at the
// end.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <pqxx/pqxx>
#include <string>

namespace horizons::journal::sample {

class postgres_schema {
public:
  static bool available() { return std::getenv("HORIZONS_JOURNAL_URL") != nullptr; }

  explicit postgres_schema(std::string server = available() ? std::getenv("HORIZONS_JOURNAL_URL") : "")
      : server_(std::move(server)) {
    static std::atomic<int> made{0};
    name_ = "journal_test_" + std::to_string(::getpid()) + "_" + std::to_string(++made);
  }
  ~postgres_schema() {
    if (server_.empty()) return;
    try {
      run("drop schema if exists " + name_ + " cascade");
    } catch (const std::exception& e) {
      ADD_FAILURE() << "schema " << name_ << " could not be dropped: " << e.what();
    }
  }
  postgres_schema(const postgres_schema&) = delete;

  const std::string& name() const { return name_; }
  std::string url() const {
    return server_ + (server_.find('?') == std::string::npos ? "?" : "&") + "schema=" + name_ +
           "&application_name=" + name_;
  }

  /// As somebody else would, behind the journal's back.
  pqxx::result run(const std::string& sql) const {
    pqxx::connection c(server_);
    pqxx::nontransaction t(c);
    t.exec("set client_min_messages = warning; set search_path to " + name_);
    return t.exec(sql);
  }
  /// Ends the session that holds this journal's lock; how many there were.
  std::size_t cut_owner() const {
    return run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = '" + name_ +
               "' and pid in (select pid from pg_locks where locktype = 'advisory' and granted)")
        .size();
  }

private:
  std::string server_, name_;
};

}  // namespace horizons::journal::sample

/// At the beginning of a test or of SetUp.
#define NEEDS_POSTGRES()                                          \
  if (!::horizons::journal::sample::postgres_schema::available()) \
  GTEST_SKIP() << "needs PostgreSQL: ./dev services up postgres, then eval \"$(./dev services env)\""
