// The writing half of a SQLite journal over one connection: appends in one transaction each, the chain's head and the
// epochs. It holds no lock and opens nothing again: sqlite_store.cpp does.
#pragma once

#include <map>

#include "runtime/journal/source_changes.hpp"
#include "runtime/journal/sqlite_checkpointer.hpp"
#include "runtime/journal/sqlite_view.hpp"

namespace horizons::journal {

/// The writing half: prepared statements, the chain's head and the epochs, all of one connection.
class sqlite_writer {
public:
  static result<std::unique_ptr<sqlite_writer>> open(const std::string& path);

  sqlite_view& view() { return view_; }
  const chain_state& head() const { return head_; }
  std::uint64_t epoch_of(std::uint32_t shard) const { return epochs_[shard]; }
  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches, bool& outcome_unknown);
  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards);
  result<store::claimed_source> claim_source(const std::string& source);
  result<archived> archive(timestamp before, std::uint64_t up_to);  // sqlite_archive.cpp

private:
  sqlite_writer(sqlite::connection db, const std::string& path)
      : db_(std::move(db)), view_(db_), checkpoints_(db_, path) {}
  result<void> prepare();
  result<void> load_epochs();

  /// The inner result is the batch's; the outer one ends the whole append.
  result<result<append_outcome>> append_one(const batch& b, source_changes& moved);
  result<std::uint64_t> position_of(const ulid_bytes& id);  // 0: not stored
  result<std::optional<claimed_by>> claim(const identity_claim& c, bool& made);
  result<std::optional<claimed_by>> standing_claim(const identity_claim& c, bool& same);
  result<void> take_back(std::uint64_t from, std::span<const identity_claim* const> claims);
  result<void> write_head();
  result<void> write(const source_changes& moved);
  /// Runs `change` in a transaction of its own.
  result<void> in_transaction(const std::function<result<void>()>& change);

  sqlite::connection db_;
  sqlite_view view_;
  sqlite::statement insert_event_, find_event_, delete_events_, insert_claim_, find_by_job_, find_by_key_,
      delete_claim_, put_source_, put_head_, put_block_, put_epoch_, begin_, commit_;
  sqlite::checkpointer checkpoints_;
  chain_hasher hasher_;
  chain_state head_;                                                       // committed
  chain_state pending_;                                                    // of the transaction under way
  std::map<std::uint64_t, std::pair<std::int64_t, std::int64_t>> blocks_;  // time ranges of that transaction
  std::array<std::uint64_t, shard_count> epochs_{};
};

}  // namespace horizons::journal
