#include "runtime/journal/sqlite_checkpointer.hpp"

#include <utility>

namespace horizons::journal::sqlite {

namespace {
// Pages of 4 KiB. A pass every 16 MiB instead of SQLite's 4: hot pages are written back a quarter as often.
constexpr std::size_t pass_pages = 4'096;
// The thread does not keep up: the writer waits for a checkpoint of its own.
constexpr std::size_t behind_pages = 4 * pass_pages;
}  // namespace

checkpointer::checkpointer(connection& writer, std::string path) : writer_(writer), path_(std::move(path)) {
  sqlite3_wal_hook(
      writer_.raw(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<checkpointer*>(self)->log_pages_ = static_cast<std::size_t>(pages);
        return SQLITE_OK;
      },
      this);
}

checkpointer::~checkpointer() { sqlite3_wal_hook(writer_.raw(), nullptr, nullptr); }

void checkpointer::after_commit() {
  if (log_pages_ < copied_) copied_ = 0;  // begun anew
  const auto grown = log_pages_ - copied_;
  if (grown < pass_pages) return;
  std::unique_lock lock(mutex_);
  if (at_ == step::copied || grown >= behind_pages) {
    if (at_ == step::copied) at_ = step::none;
    lock.unlock();
    if (copy(writer_)) copied_ = log_pages_;
  } else if (std::exchange(at_, step::asked) == step::none) {
    changed_.notify_one();
    if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { copy_on_thread(stop); });
  }
}

bool checkpointer::copy(connection& by) {
  return sqlite3_wal_checkpoint_v2(by.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr) == SQLITE_OK;
}

void checkpointer::copy_on_thread(const std::stop_token& stop) {
  auto own = connection::open(path_, access::write);
  if (own) (void)own->integer("pragma schema_version");  // a connection that has read nothing knows of no log
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return at_ == step::asked; })) {
    lock.unlock();
    if (own) copy(*own);
    lock.lock();
    at_ = step::copied;
  }
}

}  // namespace horizons::journal::sqlite
