// The owner's half of a PostgreSQL journal over one connection: the session's lock, appends, the chain's head and the
// epochs. It connects once: postgres_store.cpp makes another one when this is lost.
#pragma once

#include "runtime/journal/postgres_append.hpp"
#include "runtime/journal/postgres_view.hpp"

namespace horizons::journal {

class postgres_writer {
public:
  /// Connects, takes the owner's lock or says who has it, brings the tables up and reads where the journal stands.
  static result<std::unique_ptr<postgres_writer>> open(const postgres::address& at, const owner_info& me);

  postgres_view& view() { return view_; }
  const chain_state& head() const { return head_; }
  bool lost() const { return db_->lost(); }

  /// One transaction, and mostly one round trip: what is brought is taken for new, which the database checks. Only
  /// where it is not, what stands is read under the head's lock and the append is decided again.
  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches);
  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards);
  result<store::claimed_source> claim_source(const std::string& source);
  result<archived> archive(timestamp before, std::uint64_t up_to);  // postgres_archive.cpp

private:
  explicit postgres_writer(std::unique_ptr<postgres::connection> db) : db_(std::move(db)), view_(*db_) {}
  result<void> take_lock(const postgres::address& at);
  result<void> load();  // the head and the epochs

  result<std::vector<result<append_outcome>>> append_decided_again(std::span<const batch_ptr> batches);
  result<stored_facts> facts_of(std::span<const batch_ptr> batches);
  result<void> fetch_sources(std::span<const batch_ptr> batches);
  std::vector<result<append_outcome>> kept(append_plan p, const source_changes& moved,
                                           const postgres::append_base& next);
  source_changes changes();  // over what fetch_sources fetched
  error unknown_if_lost(error why) const;

  std::unique_ptr<postgres::connection> db_;
  postgres_view view_;
  chain_hasher hasher_;
  chain_state head_;
  postgres::append_base base_;
  shard_epochs epochs_{};
  // As stored: only we move them, and whoever else claims one changes its epoch, which refuses our append.
  std::map<std::string, source_progress> sources_;
};

}  // namespace horizons::journal
