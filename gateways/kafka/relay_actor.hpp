// The shell of relay.hpp: turns commits, deliveries and timers into records, and acknowledgements into marks. Its
// parts: relay_journal.cpp (what it reads and stores), relay.cpp (what it sends).
#pragma once

#include <array>
#include <bitset>
#include <deque>
#include <map>

#include "gateways/kafka/relay.hpp"
#include "gateways/kafka/relay_window.hpp"
#include "messages/topics.hpp"

namespace horizons::kafka {

/// Which partitions a burst touched: each is a request.
class touched_partitions {
public:
  void note(std::string_view topic, const std::optional<std::string>& key);
  /// How many since the last call.
  std::size_t take_count();

private:
  static constexpr std::size_t partitions_max = 256;
  std::array<std::bitset<partitions_max>, kafka_topics.size()> bits_;
};

class relay_actor : public std::enable_shared_from_this<relay_actor> {
public:
  relay_actor(kit::context& self, kafka_relay_options options, bridges::services services);
  result<void> start();
  void committed(const journal::committed& c);

private:
  struct page {
    std::shared_ptr<const journal::event_list> events;
    std::size_t at = 0;
  };

  // Closures that do nothing when the actor has ended.
  std::function<void()> guarded(std::function<void()> f) {
    return [weak = weak_from_this(), f = std::move(f)] {
      if (auto r = weak.lock()) f();
    };
  }
  void later(milliseconds delay, std::function<void()> f) { self_.after(delay, guarded(std::move(f))); }

  template <class Api, class M>
  void ask(const kit::handle<Api>& to, M m, std::function<void(result<typename M::reply>)> then) {
    self_.request(to, std::move(m), milliseconds{5'000},
                  std::function<void(result<typename M::reply>)>(
                      [weak = weak_from_this(), then = std::move(then)](result<typename M::reply> r) {
                        if (auto alive = weak.lock()) then(std::move(r));
                      }));
  }

  // -- the journal: relay_journal.cpp ---------------------------------------------------------------------------------

  /// Claims the source and subscribes; again after every restart of the writer.
  void begin();
  void claimed(const journal::store::claimed_source& source);
  void subscribe();
  void journal_away(const error& why);
  bool behind() const { return cursor_ < metrics_.last_position; }
  void read();
  /// Every second: what nudges may have missed, and how things are.
  void look();
  void send_head();
  void mark();
  void marked(std::uint64_t done, std::uint64_t epoch, const result<journal::append_outcome>& r);

  // -- towards the brokers: relay.cpp ---------------------------------------------------------------------------------

  /// Sends what is there, in one burst, when it is time and as far as there is room.
  void pump();
  bool gather();                              // the next events become records; false: none
  bool add(const event& e);                   // false: not now
  bool send_gathered();                       // in one batch; false: there was no room for all
  bool has_schema_id(std::string_view type);  // false: the registry is away; pumps again by itself
  void take_deliveries();
  void progressed();
  /// The record is published nowhere; the audit says so, then the relay goes on.
  void refused(std::uint64_t token, const error& why);
  void audited(std::uint64_t token, const error& why, bool ok);
  void give_up(std::uint64_t token, const error& why);
  std::string offset_of(std::uint64_t position) const { return services_.journal_id + "." + std::to_string(position); }
  result<event_record> record_for(const event& e, const cloudevents_origin& origin) const;
  void tell_health();
  void stop();
  /// Waits for what is under way and for the mark of it, within the limit.
  void finish();

  kit::context& self_;
  const kafka_relay_options options_;
  const bridges::services services_;
  relay_metrics& metrics_;
  message_format format_ = message_format::json;
  std::unique_ptr<producer> producer_;

  // The journal.
  bool started_ = false, claimed_ = false, beginning_ = false, reading_ = false;
  std::uint64_t epoch_ = 0;
  std::uint64_t cursor_ = 0;  // everything up to here is in queue_, in window_ or done
  std::deque<page> queue_;
  std::size_t queued_ = 0;  // events in queue_
  milliseconds retry_ = options_.retry_first;
  kit::instant next_look_{};
  std::string journal_trouble_;

  // The stored position.
  std::uint64_t marked_ = 0, completed_at_mark_ = 0;
  bool marking_ = false, mark_waits_ = false;
  kit::instant next_mark_{};

  // Towards the brokers.
  relay_window window_;
  std::vector<producer::outgoing> gathered_;  // of events in window_, not sent yet
  std::vector<delivery> delivered_;           // of one call; kept for its memory
  touched_partitions touched_;                // by gathered_, and by what was sent since pacing_ was told
  request_pacing pacing_;
  job_origins origins_;
  bool paced_ = false;  // a timer will pump
  std::map<std::string, std::uint32_t, std::less<>> ids_;
  bool waiting_for_ids_ = false;
  milliseconds registry_retry_ = options_.retry_first;
  std::string registry_trouble_;

  bool stopping_ = false;
};

/// Makes missing topics if the configuration says so; `topic` is named in the log when it does not. Blocks for seconds.
void restore_topics(const kafka_options& kafka, const std::string& topic);

}  // namespace horizons::kafka
