// What is done with the records of one topic: a new input topic is one row of the catalogue and one of these. The
// source keeps order, retries and progress; a handler reads one record and does what it asks for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateways/bridges/services.hpp"
#include "gateways/kafka/dead_letter_sink.hpp"
#include "runtime/kit/kit.hpp"

namespace horizons::kafka {

/// A record as it was received. The views are good while the handler is called; a handler that needs bytes later takes
/// a copy.
struct received {
  std::string_view cluster, topic;  // cluster: its id
  std::int32_t partition = 0;
  std::uint64_t offset = 0;
  timestamp time{};
  kafka::time_kind time_kind = time_kind::none;
  std::optional<std::string_view> key, value;
  std::vector<std::pair<std::string_view, std::optional<std::string_view>>> headers;

  /// The first header of that name, in any case; null when there is none or it has no value.
  const std::string_view* header(std::string_view name) const;
};

/// Where a handler says what became of a record: once, on any thread. Small, and without memory of its own: there is
/// one for every record.
class completion {
public:
  struct receiver {
    virtual ~receiver() = default;
    virtual void completed(std::uint64_t generation, std::uint64_t offset, result<bool> outcome) = 0;
    /// All of them its own.
    virtual void completed(std::span<const completion> all, bool stored) = 0;
  };
  completion(std::shared_ptr<receiver> to, std::uint64_t generation, std::uint64_t offset)
      : to_(std::move(to)), generation_(generation), offset_(offset) {}
  void operator()(result<bool> outcome) const { to_->completed(generation_, offset_, std::move(outcome)); }
  /// The same for many that have ended well, at the cost of one.
  static void tell(std::span<const completion> all, bool stored) {
    while (!all.empty()) {
      std::size_t alike = 1;
      while (alike < all.size() && all[alike].to_ == all[0].to_) ++alike;
      all[0].to_->completed(all.first(alike), stored);
      all = all.subspan(alike);
    }
  }
  std::uint64_t generation() const { return generation_; }
  std::uint64_t offset() const { return offset_; }

private:
  std::shared_ptr<receiver> to_;
  std::uint64_t generation_, offset_;
};

/// How the journal is told that a record is finished. Good while the task's call lasts.
struct record_mark {
  const std::string& source;  // the partition's name in the journal
  std::uint64_t epoch = 0;
  journal::source_mark place;  // without them

  /// To be stored with the effects.
  journal::source_mark whole() && {
    place.source = source;
    place.epoch = epoch;
    return std::move(place);
  }
};

/// One record, read.
struct task {
  std::string lane;                 // records of one lane are worked on one after the other; empty: no order
  std::string job_id, traceparent;  // for the dead letter, should it come to that
  /// Does it, at most once per task. The mark is to be stored in the same transaction as the effects; true: it was,
  /// false: there was nothing to store, the source stores it. Answers once, on any thread.
  std::function<void(record_mark, completion)> run;
};

class record_handler {
public:
  virtual ~record_handler() = default;
  /// Reads a record; quick, on the source's thread. Errors: unavailable, it cannot be read yet (a schema is being
  /// fetched): it is read again later and waits as long as it takes, with its lane; every other one: to the dead
  /// letters.
  virtual result<task> read(const received& r) = 0;
};

/// Makes the handler anew at every start of the source; `self` is the source, for children of the handler's own. A
/// handler that gathers records into batches posts itself what passes them on (self.mailbox_executor()) with the first
/// of them: it runs behind the source's turn of up to 250 records.
using handler_factory = std::function<std::shared_ptr<record_handler>(kit::context& self)>;

}  // namespace horizons::kafka
