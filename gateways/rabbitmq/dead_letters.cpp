#include "gateways/rabbitmq/dead_letters.hpp"

#include <algorithm>
#include <deque>
#include <set>

#include "gateways/rabbitmq/guarded.hpp"
#include "gateways/rabbitmq/letter.hpp"
#include "gateways/rabbitmq/link.hpp"
#include "gateways/rabbitmq/topology_keeper.hpp"
#include "messages/text.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;
using kit::milliseconds;

constexpr std::uint16_t reading = 1, publishing = 2, declaring = 3;  // channels
constexpr std::size_t acts_max = 16;                                 // waiting for their turn
constexpr std::size_t ids_max = 1'000, notes_max = 100;
constexpr milliseconds journal_max = 10s, confirm_max = 10s, look_max = 30s, look_every = 10s;

/// A replay while it runs.
struct replay_run {
  bridges::replay_options options;
  bridges::replay_report report;
  struct item {
    std::uint64_t tag;
    std::string id;
    message original;
  };
  std::deque<item> todo;
  kit::promise<bridges::replay_report> answer;
  bool returned = false;
  std::uint64_t step = 0;  // a confirmation that comes too late belongs to an earlier one

  void note(std::string text) {
    if (report.notes.size() < notes_max) report.notes.push_back(std::move(text));
  }
};

class letters_actor : public guarded_state<letters_actor> {
public:
  letters_actor(kit::context& self, bridges::services s, options o, std::shared_ptr<metrics> m)
      : self_(self), services_(std::move(s)), options_(std::move(o)), metrics_(std::move(m)) {}

  void start() {
    link_ = std::make_shared<link>(self_, options_, "dead-letters", metrics_->dead_letters,
                                   link::hooks{guarded([](letters_actor& me, connection& c) { return me.up(c); }),
                                               guarded([](letters_actor& me, broker_event& e) { me.take(e); }),
                                               guarded([](letters_actor& me, const error& why) { me.down(why); })});
    link_->start();
    look_at_queues();
    self_.on_stop([this] {
      link_->close();
      self_.quit();
    });
  }

  bridges::bridge_health how() const { return {link_->up() != nullptr, link_->state()}; }

  void list(const list_letters& m, const kit::promise<list_letters::reply>& answer) {
    act(answer, [this, filter = m.filter, answer] {
      auto seen = look();
      if (!seen) return done(answer, failure(std::move(seen.error())));
      std::vector<bridges::dead_letter> out;
      for (auto& [tag, original, letter] : *seen)
        if (out.size() < filter.limit && matches(letter, filter)) out.push_back(std::move(letter));
      give_back();
      done(answer, std::move(out));
    });
  }

  void park(const park_letter& m, const kit::promise<bool>& answer) {
    act(answer, [this, m, answer] {
      auto seen = look();
      if (!seen) return done(answer, failure(std::move(seen.error())));
      const bool here = std::ranges::any_of(*seen, [&](const letter_here& l) { return l.letter.id == m.id; });
      give_back();
      if (!here) return done(answer, false);
      audit(parked_action, m.by, m.id, [this, id = m.id, answer](result<std::uint64_t> r) {
        if (!r) return done(answer, failure(std::move(r.error())));
        parked_.insert(id);
        done(answer, true);
      });
    });
  }

  void replay(const replay_letters& m, const kit::promise<bridges::replay_report>& answer) {
    act(answer, [this, m, answer] {
      auto seen = look();
      if (!seen) return done(answer, failure(std::move(seen.error())));
      // On a channel of its own: one that met a queue without a leader refuses for ever (confirm_patience.hpp).
      if (auto fresh = link_->up()->reopen_confirming(publishing); !fresh) {
        link_->lost(fresh.error());
        return done(answer, failure(std::move(fresh.error())));
      }
      published_ = 0;
      run_ = std::make_unique<replay_run>(replay_run{m.options, {}, {}, answer});
      for (auto& l : *seen)
        if (run_->report.matched < m.filter.limit && matches(l.letter, m.filter)) choose(l);
      if (m.options.dry_run) {
        for (const auto& item : run_->todo) remember(item.id);
        run_->todo.clear();
      }
      step();
    });
  }

private:
  struct letter_here {
    std::uint64_t tag;
    message original;
    bridges::dead_letter letter;
  };

  // -- one act after the other ----------------------------------------------------------------------------------------

  /// Runs `f` when the acts before it are done and what is parked is known.
  template <class Reply>
  void act(const kit::promise<Reply>& answer, std::function<void()> f) {
    if (acts_.size() >= acts_max)
      return answer.fail({error_code::limit_exceeded, "the dead letters are being worked on; ask again later"});
    acts_.push_back([this, answer, f = std::move(f)] {
      read_parked([this, answer, f](const result<void>& known) {
        if (!known) return done(answer, failure(known.error()));
        f();
      });
    });
    if (acts_.size() == 1) acts_.front()();
  }

  template <class Reply>
  void done(const kit::promise<Reply>& answer, std::type_identity_t<result<Reply>> r) {
    answer.set(std::move(r));
    acts_.pop_front();
    if (acts_.empty()) return;
    self_.mailbox_executor()(guarded([](letters_actor& me) {
      if (!me.acts_.empty()) me.acts_.front()();
    }));
  }

  /// The journal's audit records since the last time: another node may have parked something.
  void read_parked(std::function<void(const result<void>&)> then) {
    self_.request(services_.reader,
                  journal::read_events{{.after_position = audited_to_, .type = "audit.recorded"}, 1'000}, journal_max,
                  [this, then = std::move(then)](result<journal::read_events::reply> r) {
                    if (!r) return then(failure(std::move(r.error())));
                    for (const event& e : r->events) {
                      audited_to_ = e.position;
                      const auto* a = std::get_if<audit_recorded>(&e.data);
                      if (a && a->action == parked_action && a->outcome == "done") parked_.insert(a->resource_id);
                    }
                    if (r->events.empty()) return then({});
                    read_parked(then);
                  });
  }

  void audit(std::string_view action, const std::string& by, const std::string& id,
             std::function<void(result<std::uint64_t>)> then) {
    services_.audit(std::string(action), by, std::string(letter_resource), id, "done",
                    [run = self_.mailbox_executor(), weak = weak_from_this(), then](result<std::uint64_t> r) {
                      run([weak, then, r = std::move(r)] {
                        if (weak.lock()) then(r);
                      });
                    });
  }

  // -- the queue ------------------------------------------------------------------------------------------------------

  result<void> up(connection& c) {
    if (auto open = c.open_confirming(publishing); !open) return open;
    return topology_.up(c);
  }

  /// The other actors must not stand still for this.
  void look_at_queues() {
    self_.after(look_every, guarded([](letters_actor& me) { me.look_at_queues(); }));
    auto* c = link_->up();
    if (!c || run_) return;
    if (auto seen = topology_.look(*c); !seen) return link_->lost(seen.error());
    link_->drain();
  }

  void down(const error& why) {
    published_ = 0;
    if (run_) end(failure(why));
  }

  /// Everything in the queue, in order, up to the limits; it stays checked out until give_back().
  result<std::vector<letter_here>> look() {
    auto* c = link_->up();
    if (!c) return failure(error_code::unavailable, "rabbitmq: " + link_->state());
    if (!options_.dlq_enabled)
      return failure(error_code::not_found, "rabbitmq.dlq_enabled is false: there are no dead letters");
    const auto began = self_.now();
    std::vector<letter_here> seen;
    std::size_t bytes = 0;
    auto open = c->open_channel(reading);
    while (open && seen.size() < letters_max && bytes < letters_bytes_max && self_.now() - began < look_max) {
      auto got = c->get(reading, std::string(dead_letter_queue));
      if (!got) {
        open = failure(std::move(got.error()));
        break;
      }
      if (!*got) break;
      auto& d = **got;
      auto letter = read_letter(d.what);
      if (parked_.contains(letter.id)) letter.state = "parked";
      bytes += 2 * d.what.body.size();
      seen.push_back({d.tag, std::move(d.what), std::move(letter)});
    }
    metrics_->set_depth(std::string(dead_letter_queue), seen.size());
    if (open) return seen;
    if (open.error().code == error_code::unavailable) link_->lost(open.error());
    return failure(open.error());
  }

  /// With one frame, so that the broker puts them back in their order; then the channel is not needed any more.
  void give_back() {
    auto* c = link_->up();
    if (!c) return;
    if (auto sent = c->nack(reading, 0, true, true); !sent) return link_->lost(sent.error());
    c->close_channel(reading);
    link_->drain();
  }

  // -- a replay -------------------------------------------------------------------------------------------------------

  void choose(letter_here& l) {
    auto& report = run_->report;
    ++report.matched;
    const auto skip = [&](const std::string& why) {
      ++report.skipped;
      run_->note(l.letter.id + ": " + why);
    };
    if (l.letter.state == "parked") return skip("parked");
    if (l.letter.replays >= run_->options.replays_max)
      return skip("came back " + std::to_string(l.letter.replays) + " times already");
    auto original = original_of(l.original, options_.hosts.front().user);
    if (!original) return skip(original.error().text);
    run_->todo.push_back({l.tag, l.letter.id, std::move(*original)});
  }

  void remember(const std::string& id) {
    if (run_->report.ids.size() < ids_max) run_->report.ids.push_back(id);
  }

  /// The next one: audited, published, and when a queue has it, taken from the dead letters.
  void step() {
    if (!run_) return;
    if (run_->todo.empty()) return end(std::move(run_->report));
    const auto number = ++run_->step;
    audit(replayed_action, run_->options.by, run_->todo.front().id, [this, number](const result<std::uint64_t>& r) {
      if (!run_ || run_->step != number) return;
      if (!r) return end(failure(r.error()));
      auto* c = link_->up();
      if (!c) return;  // down() has ended it
      run_->returned = false;
      ++published_;
      ++metrics_->dead_letters.published;
      if (auto sent = c->publish(publishing, run_->todo.front().original, true); !sent)
        return link_->lost(sent.error());
      self_.after(confirm_max, guarded([number](letters_actor& me) {
                    if (me.run_ && me.run_->step == number)
                      me.link_->lost({error_code::unavailable, "the broker did not confirm a replay"});
                  }));
      link_->drain();
    });
  }

  void take(broker_event& e) {
    if (std::holds_alternative<returned_ptr>(e) && run_) {
      ++metrics_->dead_letters.returned;
      run_->returned = true;
    } else if (const auto* c = std::get_if<confirmed>(&e); c && run_ && c->tag == published_) {
      settle(c->stored);
    } else if (const auto* closed = std::get_if<channel_closed>(&e)) {
      link_->lost(to_error(*closed));
    }
  }

  void settle(bool stored) {
    auto item = std::move(run_->todo.front());
    run_->todo.pop_front();
    ++run_->step;
    if (stored && !run_->returned) {
      ++metrics_->dead_letters.confirmed;
      ++run_->report.replayed;
      remember(item.id);
      if (auto sent = link_->up()->ack(reading, item.tag); !sent) return link_->lost(sent.error());
    } else {
      ++metrics_->dead_letters.nacked;
      ++run_->report.skipped;
      run_->note(item.id + (run_->returned ? ": no queue takes it at " + item.original.exchange
                                           : ": the broker refused it, try again later"));
    }
    const double rate = std::clamp(run_->options.rate_per_s, 0.1, 10'000.0);
    self_.after(milliseconds{static_cast<long>(1'000 / rate)}, guarded([](letters_actor& me) { me.step(); }));
  }

  void end(result<bridges::replay_report> r) {
    auto run = std::move(run_);
    if (!r && run->report.replayed > 0) {  // what was done is said rather than what was not
      run->note("ended early: " + r.error().text);
      r = std::move(run->report);
    }
    give_back();
    done(run->answer, std::move(r));
  }

  kit::context& self_;
  bridges::services services_;
  const options options_;
  std::shared_ptr<metrics> metrics_;
  topology_keeper topology_{options_, *metrics_, declaring};
  std::shared_ptr<link> link_;
  std::deque<std::function<void()>> acts_;  // the front one is being done
  std::set<std::string, std::less<>> parked_;
  std::uint64_t audited_to_ = 0;
  std::unique_ptr<replay_run> run_;
  std::uint64_t published_ = 0;  // on this channel
};

}  // namespace

kit::actor_body dead_letters(bridges::services services, options o, std::shared_ptr<metrics> m) {
  return [=](kit::context& self) -> kit::behavior {
    auto actor = std::make_shared<letters_actor>(self, services, o, m);
    actor->start();
    return kit::behavior{}
        .on<health>([actor](const health&) -> result<bridges::bridge_health> { return actor->how(); })
        .on<list_letters>([actor](const list_letters& m, kit::promise<list_letters::reply> p) { actor->list(m, p); })
        .on<replay_letters>(
            [actor](const replay_letters& m, kit::promise<bridges::replay_report> p) { actor->replay(m, p); })
        .on<park_letter>([actor](const park_letter& m, kit::promise<bool> p) { actor->park(m, p); });
  };
}

}  // namespace horizons::rabbitmq
