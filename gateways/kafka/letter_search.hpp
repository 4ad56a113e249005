// Finds dead letters: on their topics, with what was done with them as the journal's audit has it. Used by the desk.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "gateways/kafka/dead_letter_queue.hpp"
#include "gateways/kafka/dead_letter_record.hpp"
#include "gateways/kafka/letter_states.hpp"

namespace horizons::kafka {

struct found_letter {
  bridges::dead_letter letter;
  stored_record stored;
};

class letter_search : public std::enable_shared_from_this<letter_search> {
public:
  template <class T>
  using then = std::function<void(result<T>)>;

  letter_search(kit::context& self, dead_letter_options options, bridges::services services);

  /// Oldest failure first. Blocks while the brokers are asked. Errors: invalid_argument (the filter's limit), not_found
  /// (an id that does not exist), those of the brokers and the journal.
  void find(const bridges::dead_letter_filter& filter, then<std::vector<found_letter>> done);

private:
  static constexpr milliseconds answer_limit{20'000};  // of the journal

  template <class Api, class M>
  void ask(const kit::handle<Api>& to, M m, then<typename M::reply> done) {
    self_.request(
        to, std::move(m), answer_limit,
        then<typename M::reply>([weak = weak_from_this(), done = std::move(done)](result<typename M::reply> r) {
          if (const auto alive = weak.lock()) done(std::move(r));
        }));
  }

  void read_states(then<void> done);
  void read_states_to(std::uint64_t end, then<void> done);
  result<std::vector<partition_range>> ranges_for(const bridges::dead_letter_filter& filter,
                                                  const topic_reader& reader) const;
  result<std::vector<found_letter>> scan(const bridges::dead_letter_filter& filter) const;

  kit::context& self_;
  const dead_letter_options options_;
  const bridges::services services_;
  letter_states states_;
  std::uint64_t states_read_to_ = 0;  // a position of the journal
};

}  // namespace horizons::kafka
