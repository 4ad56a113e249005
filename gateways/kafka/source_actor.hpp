// The source's inside: its state and what it does, over four files. source_events.cpp: start, the group, health, end.
// source_partitions.cpp: how a partition comes to be read. source_records.cpp: from a record to the house.
// source_answers.cpp: from the house's answer to the mark. Used by them only.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateways/kafka/consumer.hpp"
#include "gateways/kafka/held_record.hpp"
#include "gateways/kafka/offset_window.hpp"
#include "gateways/kafka/source.hpp"
#include "gateways/kafka/start_offset.hpp"
#include "runtime/kit/credit.hpp"

namespace horizons::kafka {

/// A partition that the group gave us.
struct source_partition {
  enum class phase { claiming, asking, storing, reading, foreign, fenced };

  partition_id id;
  std::string source;            // its name in the journal
  std::uint64_t generation = 0;  // tells answers to former lives apart
  phase now = phase::claiming;
  record_handler* handler = nullptr;
  journal::store::claimed_source claimed;
  std::string trouble;  // why it is not read; for people
  milliseconds backoff{0};

  std::optional<partition_tracker> tracker;  // while it is read
  offset_window<held_record> held;
  std::vector<std::pair<journal::source_mark, bool>> marks;  // to be stored by themselves; true: of a gap
  bool marking = false;

  std::optional<std::uint64_t> committed;  // to Kafka, by us
  std::int64_t end = 0;                    // as statistics have it
  std::uint64_t finished = 0;
};

class source_actor : public std::enable_shared_from_this<source_actor> {
public:
  source_actor(kit::context& self, kafka_source_options options, bridges::services services,
               dead_letter_sink dead_letters);
  ~source_actor();

  /// False: it has failed and says so to its supervisor.
  bool start();
  bridges::bridge_health health() const;
  void adopt(const adopt_partitions& how, const kit::promise<adopt_partitions::reply>& promise,
             milliseconds patience = milliseconds{15'000});
  void close();

private:
  using part = source_partition;
  using phase = source_partition::phase;
  struct answer {
    std::uint64_t generation = 0, offset = 0;  // of the partition's; which tells the partition
    result<bool> outcome{false};
    bool buried = false;
  };
  /// Of a whole turn.
  struct moment {
    instant steady;
    timestamp utc;
  };
  /// What other threads reach: they leave answers and wake the actor, as long as there is one.
  struct outside : completion::receiver, std::enable_shared_from_this<outside> {
    std::function<bool(std::function<void()>)> in_actor;
    std::weak_ptr<source_actor> actor;
    std::atomic<bool> woken{false};
    std::mutex mutex;
    std::vector<answer> answers;
    void wake();
    void put(answer a);
    void completed(std::uint64_t generation, std::uint64_t offset, result<bool> outcome) override {
      put({generation, offset, std::move(outcome)});
    }
    void completed(std::span<const completion> all, bool stored) override;
  };

  // source_events.cpp
  void pump();
  void tick();
  void find_cluster();
  void make_topics();
  void subscribe();
  consumer_events reactions();
  void on_assigned(const std::vector<partition_id>& ids);
  void on_revoked(const std::vector<partition_id>& ids);
  void on_failed(const error& e, rd_kafka_resp_err_t code, const std::optional<partition_id>& where);
  void on_statistics(std::string_view json);
  void commit();
  void publish_metrics();
  void again(milliseconds delay, void (source_actor::*what)());

  // source_partitions.cpp
  void claim(part& p);
  void ask(part& p);
  void store_start(part& p, std::uint64_t offset, const std::function<void(result<void>)>& then);
  void read(part& p, std::uint64_t from);
  void stop_reading(part& p);
  void give_up(part& p, const std::string& why);
  void retry(part& p, const error& e, void (source_actor::*what)(part&));
  void seek_all();
  part* find(std::uint64_t generation);
  void renew(part& p);

  // source_records.cpp
  std::size_t runnable() const;
  bool take_records(int most);
  bool take(consumer::fetched& f);
  void blocked();
  void read_record(part& p, std::uint64_t offset, held_record& h);
  void hand_out();
  void work(part& p, std::uint64_t offset);
  void take_answers();
  void answered(part& p, std::uint64_t offset, const result<bool>& outcome, const moment& now);
  void failed(part& p, std::uint64_t offset, const error& e, bool may_be_charged);
  void queue_full(part& p, std::uint64_t offset);
  void bury(part& p, std::uint64_t offset);
  void buried(part& p, std::uint64_t offset, const result<bool>& outcome);
  void mark(part& p, journal::source_mark m, bool of_gap = false);
  void flush_marks(part& p);
  void done(part& p, std::uint64_t offset, const journal::source_mark& m, timestamp now);
  void mind_flow(part& p);
  void probe_house();

  kit::context& self_;
  kafka_source_options options_;
  bridges::services services_;
  dead_letter_sink bury_;
  std::shared_ptr<source_metrics> metrics_;
  std::shared_ptr<outside> outside_;
  std::unique_ptr<consumer> consumer_;
  kit::handle<questions_api> questions_;
  std::map<std::string, std::shared_ptr<record_handler>, std::less<>> handlers_;  // by topic
  kit::local_flow flow_;  // what the house has been given and has not answered; outlives the tickets in parts_
  std::map<partition_id, part> parts_;
  std::unordered_map<std::uint64_t, part*> by_generation_;
  part* last_ = nullptr;       // of the record before: the next one is mostly of the same
  consumer::fetched in_hand_;  // a record that there was no room for
  std::uint64_t generations_ = 0;

  std::string cluster_, trouble_ = "connecting";  // trouble_ empty: nothing wrong beside partitions
  std::string refused_;  // by a broker that was not satisfied with who we are, before the first answer
  bool brokers_down_ = false, making_topics_ = false, closing_ = false;
  std::uint64_t answers_ = 0;
  std::vector<answer> answers_now_;  // of this turn; kept for its memory
  progress_watch watch_;
  bool stalled_ = false;
  std::optional<instant> blocked_since_;  // no record was taken for want of room
  bool stuck_ = false;                    // … for so long that partitions are paused
  instant house_ok_{}, last_probe_{}, hold_until_{}, last_commit_{}, close_by_{};
  std::string waits_;  // why some record cannot be read yet, and since when it was last so
  instant waits_at_{};
  bool probing_ = false;  // the queue of jobs was full: one record at a time until one gets through
  int full_in_a_row_ = 0;
};

}  // namespace horizons::kafka
