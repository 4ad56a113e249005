// SQLite's C API with owners and errors as values: a connection, a prepared statement, and what a failure means for
// a journal. It knows no table.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::journal::sqlite {

/// A prepared statement. Bound texts and blobs must live until the next reset: nothing is copied.
class statement {
public:
  statement() = default;
  explicit statement(sqlite3_stmt* raw) : raw_(raw) {}
  explicit operator bool() const { return raw_ != nullptr; }

  statement& bind(int index, std::int64_t value) { return kept(sqlite3_bind_int64(raw_.get(), index, value)); }
  statement& bind(int index, std::uint64_t value) { return bind(index, static_cast<std::int64_t>(value)); }
  statement& bind(int index, std::string_view text) {  // never NULL, also for an empty text
    return kept(sqlite3_bind_text64(raw_.get(), index, text.data() ? text.data() : "", text.size(), SQLITE_STATIC,
                                    SQLITE_UTF8));
  }
  statement& bind(int index, std::span<const std::uint8_t> blob) {
    return kept(sqlite3_bind_blob64(raw_.get(), index, blob.data(), blob.size(), SQLITE_STATIC));
  }
  statement& bind_null(int index) { return kept(sqlite3_bind_null(raw_.get(), index)); }

  /// true: a row is there. After false or an error the statement is reset.
  result<bool> step();
  /// A statement without rows.
  result<void> run();
  void reset() {
    sqlite3_reset(raw_.get());
    bound_ = SQLITE_OK;
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(raw_.get(), column); }
  std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  bool is_null(int column) const { return sqlite3_column_type(raw_.get(), column) == SQLITE_NULL; }
  /// Valid until the next step or reset.
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;

private:
  statement& kept(int code) {
    if (code != SQLITE_OK) bound_ = code;
    return *this;
  }
  struct finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, finalize> raw_;
  int bound_ = SQLITE_OK;  // the first failed bind, told by step
};

/// Resets a statement that may stand on a row: an open read would hold back the checkpoint of the log.
class reset_at_end {
public:
  explicit reset_at_end(statement& s) : statement_(s) {}
  ~reset_at_end() { statement_.reset(); }
  reset_at_end(const reset_at_end&) = delete;

private:
  statement& statement_;
};

enum class access { read, write };

class connection {
public:
  connection() = default;
  explicit operator bool() const { return raw_ != nullptr; }

  /// Errors name the file. `write` makes the file when it is absent.
  static result<connection> open(const std::string& path, access how);

  result<void> run(const char* sql);                   // one or more statements without parameters
  result<statement> prepare(std::string_view sql);     // kept for the connection's life
  result<std::int64_t> integer(std::string_view sql);  // the first column of the only row
  std::uint64_t changes() const { return static_cast<std::uint64_t>(sqlite3_changes64(raw_.get())); }
  bool in_transaction() const { return sqlite3_get_autocommit(raw_.get()) == 0; }
  sqlite3* raw() const { return raw_.get(); }

private:
  struct close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, close> raw_;
};

/// What SQLite's last failure on `db` means: disk_full (also quotas and file size limits), io, unavailable (busy),
/// unreadable (damaged or no database), limit_exceeded, internal. The text names the file and the system's reason.
error last_error(sqlite3* db, int code);

}  // namespace horizons::journal::sqlite
