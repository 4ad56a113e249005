// What the source publishes and must know the fate of: dead letters, each until a queue has it, and answers, whose fate
// does not matter. On a channel with publisher confirms.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "gateways/rabbitmq/confirm_ledger.hpp"
#include "gateways/rabbitmq/letter.hpp"
#include "gateways/rabbitmq/link.hpp"

namespace horizons::rabbitmq {

class outbox {
public:
  /// A letter's text and what is done when a queue has it.
  struct letter {
    message text;
    std::function<void()> stored;
    bool returned = false;
  };
  using letter_ptr = std::shared_ptr<letter>;

  outbox(link& l, std::uint16_t channel, link_metrics& m) : link_(l), channel_(channel), metrics_(m) {}

  void send(const letter_ptr& l) {
    l->returned = false;
    if (publish(l->text, true, l)) open_[id_of(l->text)] = l;
  }
  /// False: there is no connection.
  bool answer(const message& m) { return publish(m, false, nullptr); }

  /// A letter that no queue takes; its confirmation comes next.
  void mark_returned(const returned& r) {
    ++metrics_.returned;
    const auto at = open_.find(id_of(r.what));
    if (at != open_.end()) at->second->returned = true;
  }

  /// Calls `again` for each letter that was refused or that no queue took (`returned`).
  void settle(const confirmed& c, const std::function<void(const letter_ptr&)>& again) {
    std::vector<letter_ptr> settled;
    if (!ledger_.settle(c.tag, c.multiple, [&](letter_ptr&& l) { settled.push_back(std::move(l)); }))
      return link_.lost({error_code::unavailable, "the broker confirmed what was never published"});
    metrics_.unconfirmed = ledger_.outstanding();
    (c.stored ? metrics_.confirmed : metrics_.nacked) += settled.size();
    for (const auto& l : settled) {
      if (!l) continue;
      open_.erase(id_of(l->text));
      if (c.stored && !l->returned) {
        proven_ = true;
        l->stored();
      } else {
        again(l);
      }
    }
  }

  /// Before what was refused is sent again: a channel that has stored no letter yet may never do so, see
  /// confirm_patience.hpp.
  void renew_unless_proven() {
    auto* c = link_.up();
    if (!c || proven_ || ledger_.outstanding() > 0) return;
    ledger_.reset();
    if (auto fresh = c->reopen_confirming(channel_); !fresh) link_.lost(fresh.error());
  }

  /// The connection is gone, and with it what the letters are about: it is delivered again.
  void clear() {
    ledger_.reset();
    open_.clear();
    proven_ = false;
    metrics_.unconfirmed = 0;
  }

private:
  static std::string id_of(const message& m) { return text_of(m.properties.headers, letter_header::id); }

  bool publish(const message& m, bool mandatory, const letter_ptr& l) {
    auto* c = link_.up();
    if (!c) return false;
    ledger_.publish(l);
    ++metrics_.published;
    if (auto done = c->publish(channel_, m, mandatory); !done) {
      link_.lost(done.error());
      return false;
    }
    metrics_.unconfirmed = ledger_.outstanding();
    return true;
  }

  link& link_;
  const std::uint16_t channel_;
  link_metrics& metrics_;
  confirm_ledger<letter_ptr> ledger_;
  std::map<std::string, letter_ptr> open_;  // by letter id
  bool proven_ = false;                     // a queue has taken a letter of this channel
};

}  // namespace horizons::rabbitmq
