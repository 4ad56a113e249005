#include "gateways/bridges/dead_letters.hpp"

#include <algorithm>
#include <mutex>

#include "messages/codec/base64.hpp"
#include "messages/text.hpp"

namespace horizons::bridges {
namespace {

void put_bytes(json& to, const std::string& name, const std::optional<std::string>& bytes) {
  if (!bytes)
    to[name] = nullptr;
  else if (is_utf8(*bytes))
    to[name] = *bytes;
  else
    to[name + "_base64"] = codec::to_base64(*bytes);
}

json time_or_null(const std::optional<timestamp>& t) { return t ? json(to_string(*t)) : json(nullptr); }

class joined_box final : public dead_letter_box {
public:
  using named_boxes = std::vector<std::pair<std::string, std::shared_ptr<dead_letter_box>>>;
  explicit joined_box(named_boxes boxes) : boxes_(std::move(boxes)) {}

  void list(dead_letter_filter filter, callback<std::vector<dead_letter>> then) override {
    struct gathering {
      std::mutex mutex;
      std::vector<dead_letter> letters;
      std::optional<error> failed;
      std::size_t missing = 0;
    };
    auto asked = chosen(filter);
    if (!asked) return then(failure(asked.error()));
    auto g = std::make_shared<gathering>();
    g->missing = asked->size();
    const auto limit = filter.limit;
    for (auto* box : *asked)
      box->list(filter, [g, then, limit](result<std::vector<dead_letter>> part) {
        {
          const std::lock_guard lock(g->mutex);
          if (part)
            std::move(part->begin(), part->end(), std::back_inserter(g->letters));
          else
            g->failed = part.error();
          if (--g->missing > 0) return;
        }
        if (g->failed) return then(failure(*g->failed));
        std::ranges::stable_sort(g->letters, {}, &dead_letter::last_failed_at);
        if (g->letters.size() > limit) g->letters.resize(limit);
        then(std::move(g->letters));
      });
  }

  void replay(dead_letter_filter filter, replay_options options, callback<replay_report> then) override {
    auto asked = chosen(filter);
    if (!asked) return then(failure(asked.error()));
    next_replay(std::make_shared<std::vector<dead_letter_box*>>(std::move(*asked)), 0, std::move(filter),
                std::move(options), std::make_shared<replay_report>(), std::move(then));
  }

  void park(std::string id, std::string by, callback<bool> then) override {
    auto asked = chosen({.id = id});
    if (!asked) return then(failure(asked.error()));
    asked->front()->park(std::move(id), std::move(by), std::move(then));
  }

private:
  /// One box after the other: the rate is meant for all of them together.
  void next_replay(const std::shared_ptr<std::vector<dead_letter_box*>>& asked, std::size_t at,
                   dead_letter_filter filter, replay_options options, std::shared_ptr<replay_report> sum,
                   callback<replay_report> then) {
    if (at == asked->size()) return then(std::move(*sum));
    (*asked)[at]->replay(filter, options, [=, this](result<replay_report> part) {
      if (!part) return then(failure(part.error()));
      sum->matched += part->matched;
      sum->replayed += part->replayed;
      sum->skipped += part->skipped;
      std::ranges::move(part->ids, std::back_inserter(sum->ids));
      std::ranges::move(part->notes, std::back_inserter(sum->notes));
      next_replay(asked, at + 1, filter, options, sum, then);
    });
  }

  result<std::vector<dead_letter_box*>> chosen(const dead_letter_filter& filter) const {
    const auto wanted = !filter.bridge.empty() ? filter.bridge : filter.id.substr(0, filter.id.find(':'));
    std::vector<dead_letter_box*> found;
    std::string names;
    for (const auto& [name, box] : boxes_) {
      if (wanted.empty() || wanted == name) found.push_back(box.get());
      names += (names.empty() ? "" : ", ") + name;
    }
    if (found.empty())
      return failure(error_code::not_found,
                     filter.id.empty()
                         ? "bridge: " + quote(wanted) + " is not configured; there is: " + names
                         : "dead letter " + quote(filter.id) + " does not exist; the bridges are: " + names);
    return found;
  }

  named_boxes boxes_;
};

}  // namespace

json to_json(const dead_letter& letter, bool whole) {
  json out = {{"id", letter.id},
              {"bridge", letter.bridge},
              {"origin", letter.origin},
              {"reason", letter.reason},
              {"error", letter.error},
              {"attempts", letter.attempts},
              {"replays", letter.replays},
              {"state", letter.state},
              {"first_failed_at", time_or_null(letter.first_failed_at)},
              {"last_failed_at", time_or_null(letter.last_failed_at)},
              {"job_id", letter.job_id},
              {"type", letter.type},
              {"traceparent", letter.traceparent}};
  if (!whole) return out;
  put_bytes(out, "key", letter.key);
  put_bytes(out, "value", letter.value);
  out["headers"] = json::array();
  for (const auto& [name, value] : letter.headers) {
    json header = {{"name", name}};
    put_bytes(header, "value", value);
    out["headers"].push_back(std::move(header));
  }
  return out;
}

std::shared_ptr<dead_letter_box> all_of(std::vector<std::pair<std::string, std::shared_ptr<dead_letter_box>>> boxes) {
  return std::make_shared<joined_box>(std::move(boxes));
}

}  // namespace horizons::bridges
