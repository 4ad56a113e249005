#include "runtime/journal/sqlite.hpp"

#include <cerrno>
#include <cstring>

namespace horizons::journal::sqlite {

namespace {

constexpr int busy_ms = 5'000;  // a reader meets a lock only while another process recovers or migrates

error_code code_of(int code, int system_errno) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return error_code::disk_full;
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_FSYNC) return error_code::io;  // also for lack of space: what was written is unknown
      return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG ? error_code::disk_full
                                                                                       : error_code::io;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
      return error_code::unavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return error_code::unreadable;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return error_code::io;
    case SQLITE_TOOBIG:
      return error_code::limit_exceeded;
    case SQLITE_CONSTRAINT:
      return error_code::conflict;
    default:
      return error_code::internal;
  }
}

/// The system's reason for the last failure. SQLite keeps it per connection for statements, but when a commit fails
/// only per file: of the log, then of the database.
int system_errno_of(sqlite3* db, int code) {
  if (const int known = sqlite3_system_errno(db); known != 0 || (code & 0xFF) != SQLITE_IOERR) return known;
  int reason = 0;
  sqlite3_file* log = nullptr;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log && log->pMethods)
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &reason);
  if (reason == 0) sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &reason);
  return reason;
}

}  // namespace

error last_error(sqlite3* db, int code) {
  const char* file = db ? sqlite3_db_filename(db, "main") : nullptr;
  const int system_errno = db ? system_errno_of(db, code) : 0;
  const auto kind = code_of(code, system_errno);
  std::string text = "journal";
  if (file && *file) text += std::string(" ") + file;
  text += ": ";
  switch (kind) {
    case error_code::disk_full:
      text += "no space left";
      break;
    case error_code::unreadable:
      text += (code & 0xFF) == SQLITE_NOTADB ? "is not a SQLite database" : "is damaged; restore it from a copy";
      break;
    default:
      text += db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  }
  const bool system = kind == error_code::io || kind == error_code::disk_full;
  if (system && system_errno != 0) text += std::string(" (") + std::strerror(system_errno) + ")";
  if (kind == error_code::internal || kind == error_code::io) text += " [SQLite " + std::to_string(code) + "]";
  return {kind, std::move(text)};
}

result<bool> statement::step() {
  const int code = bound_ == SQLITE_OK ? sqlite3_step(raw_.get()) : bound_;
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  sqlite3* db = sqlite3_db_handle(raw_.get());
  auto why = last_error(db, code == SQLITE_ERROR ? sqlite3_extended_errcode(db) : code);
  reset();
  return failure(std::move(why));
}

result<void> statement::run() {
  auto row = step();
  if (!row) return failure(std::move(row.error()));
  reset();
  return {};
}

std::string_view statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(raw_.get(), column);
  return bytes ? std::string_view(reinterpret_cast<const char*>(bytes),
                                  static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column)))
               : std::string_view();
}

std::span<const std::uint8_t> statement::blob(int column) const {
  const auto* bytes = sqlite3_column_blob(raw_.get(), column);
  return {static_cast<const std::uint8_t*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(raw_.get(), column))};
}

result<connection> connection::open(const std::string& path, access how) {
  // Before the first use of SQLite. Nobody reads its memory statistics, and keeping them locks a mutex that all
  // connections share at every allocation.
  static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)configured;
  const int flags = (how == access::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;  // one thread per connection: no mutex needed
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  connection c;
  c.raw_.reset(raw);
  if (code != SQLITE_OK) {
    auto why = last_error(raw, code);
    if (why.text.find(path) == std::string::npos)
      why.text = "journal " + path + why.text.substr(std::strlen("journal"));
    return failure(std::move(why));
  }
  sqlite3_busy_timeout(raw, busy_ms);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);  // a defect of ours cannot write into the schema
  return c;
}

result<void> connection::run(const char* sql) {
  const int code = sqlite3_exec(raw_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(last_error(raw_.get(), code));
  return {};
}

result<statement> connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(raw_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &raw, nullptr);
  if (code != SQLITE_OK) return failure(last_error(raw_.get(), code));
  return statement(raw);
}

result<std::int64_t> connection::integer(std::string_view sql) {
  auto s = prepare(sql);
  if (!s) return failure(std::move(s.error()));
  auto row = s->step();
  if (!row) return failure(std::move(row.error()));
  if (!*row) return failure(error_code::internal, "journal: no row for " + std::string(sql));
  const auto value = s->integer(0);
  s->reset();
  return value;
}

}  // namespace horizons::journal::sqlite
