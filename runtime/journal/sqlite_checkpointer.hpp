// Copies a journal's log (SQLite's WAL) back into the database beside its writer: done within a commit, as SQLite does
// by itself, it holds up everybody who waits for that commit by 10 to 30 ms for 16 MiB of log.
//
// SQLite begins the log anew only when a transaction finds all of it copied, which beside a busy writer never happens.
// So a pass takes two steps: the thread copies what is in the log when it begins, then the writer, between two commits,
// copies the little that has come since.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/journal/sqlite.hpp"

namespace horizons::journal::sqlite {

class checkpointer {
public:
  /// `writer`, the connection that writes the file at `path`, must outlive it. It is the writer's log that is minded
  /// from now on, instead of SQLite's automatic checkpoints.
  checkpointer(connection& writer, std::string path);
  ~checkpointer();
  checkpointer(const checkpointer&) = delete;

  /// By the writer's thread, outside of a transaction. A checkpoint that fails is tried again later: until it succeeds
  /// the log grows, and holds everything.
  void after_commit();

private:
  enum class step : std::uint8_t { none, asked, copied };
  static bool copy(connection& by);
  void copy_on_thread(const std::stop_token& stop);

  connection& writer_;
  const std::string path_;
  std::size_t log_pages_ = 0;  // after the last commit
  std::size_t copied_ = 0;     // of them, by the last pass; a reader may keep the log from beginning anew
  std::mutex mutex_;
  std::condition_variable_any changed_;
  step at_ = step::none;
  std::jthread thread_;  // started by the first pass: most journals of tests never need one
};

}  // namespace horizons::journal::sqlite
