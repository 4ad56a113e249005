#include "gateways/kafka/dead_letter_record.hpp"

#include <algorithm>
#include <charconv>

#include "gateways/bridges/letter_headers.hpp"
#include "messages/codec/format.hpp"
#include "messages/text.hpp"
#include "messages/trace.hpp"

namespace horizons::kafka {
namespace {

namespace names = bridges::letter_header;

constexpr std::size_t text_bytes_max = 4'096;  // of an error in a header: the record must stay within the topic's limit
constexpr int replays_seen_max = 1'000'000;

std::string connect(std::string_view name) {
  return std::string(dead_letter_headers::connect_prefix) + std::string(name);
}

const std::string* find(const record_headers& headers, std::string_view name) {
  for (auto at = headers.rbegin(); at != headers.rend(); ++at)  // ours are the last ones
    if (at->first == name && at->second) return &*at->second;
  return nullptr;
}

template <class T>
T number(const std::string* text, T otherwise) {
  T value{};
  if (!text) return otherwise;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size() ? value : otherwise;
}

std::optional<timestamp> time(const std::string* text) {
  if (!text) return std::nullopt;
  auto t = parse_timestamp(*text);
  return t ? std::optional(*t) : std::nullopt;
}

/// What was added begins with the last "__connect.errors.topic".
std::size_t added_from(const record_headers& headers) {
  const auto first = connect("topic");
  for (std::size_t i = headers.size(); i > 0; --i)
    if (headers[i - 1].first == first) return i - 1;
  return headers.size();
}

int replays_of(const record_headers& original) {
  return std::clamp(number<int>(find(original, replays_header), 0), 0, replays_seen_max);
}

}  // namespace

record to_dead_letter(const failed_record& f, std::string_view node) {
  record r = f.original;
  const auto add = [&](std::string name, std::string value) {
    if (value.size() > text_bytes_max) value.resize(text_bytes_max);
    r.headers.emplace_back(std::move(name), std::move(value));
  };
  const bool unreadable = f.reason == "poison" || f.reason == "schema";
  add(connect("topic"), f.topic);
  add(connect("partition"), std::to_string(f.partition));
  add(connect("offset"), std::to_string(f.offset));
  add(connect("connector.name"), std::string(node));
  add(connect("task.id"), "0");
  add(connect("stage"), unreadable ? "VALUE_CONVERTER" : "TASK_PUT");
  add(connect("class.name"), "horizons.kafka.source");
  add(connect("exception.class.name"), "horizons." + f.reason);
  add(connect("exception.message"), f.error);
  add(std::string(names::reason), f.reason);
  add(std::string(names::attempts), std::to_string(f.attempts));
  add(std::string(names::first_failed_at), to_string(f.first_failed_at));
  add(std::string(names::last_failed_at), to_string(f.last_failed_at));
  if (!f.job_id.empty()) add(std::string(names::job_id), f.job_id);
  if (is_traceparent(f.traceparent)) add(std::string(dead_letter_headers::trace_id), f.traceparent.substr(3, 32));
  return r;
}

record original_of(const record& dead) {
  record r = dead;
  r.headers.resize(added_from(dead.headers));
  return r;
}

record to_send_back(const record& dead) {
  record r = original_of(dead);
  const int replays = replays_of(r.headers) + 1;
  std::erase_if(r.headers, [](const auto& h) { return h.first == replays_header; });
  r.headers.emplace_back(replays_header, std::to_string(replays));
  r.time.reset();
  return r;
}

origin_place origin_of(const stored_record& dead) {
  origin_place o;
  const auto& h = dead.what.headers;
  if (const auto* topic = find(h, connect("topic"))) {
    o.topic = *topic;
    o.partition = number<std::int32_t>(find(h, connect("partition")), -1);
    o.offset = number<std::int64_t>(find(h, connect("offset")), -1);
  } else if (dead.topic.ends_with(".dlq")) {
    o.topic = dead.topic.substr(0, dead.topic.size() - 4);
  }
  return o;
}

bridges::dead_letter to_letter(const stored_record& dead) {
  const auto& h = dead.what.headers;
  const auto text = [&](std::string_view name) {
    const auto* value = find(h, name);
    return value ? *value : std::string();
  };
  bridges::dead_letter l;
  l.id = letter_id(dead.topic, dead.partition, dead.offset);
  l.bridge = "kafka";
  const auto o = origin_of(dead);
  l.origin = o.topic;
  if (o.partition >= 0) l.origin += "[" + std::to_string(o.partition) + "]@" + std::to_string(o.offset);
  l.reason = text(names::reason);
  if (l.reason.empty()) l.reason = text(connect("exception.class.name"));
  l.error = text(connect("exception.message"));
  l.attempts = number<int>(find(h, names::attempts), 1);
  l.first_failed_at = time(find(h, names::first_failed_at));
  l.last_failed_at = time(find(h, names::last_failed_at));
  if (!l.last_failed_at) l.last_failed_at = dead.what.time;
  l.state = "open";

  auto original = original_of(dead.what);
  l.replays = replays_of(original.headers);
  l.job_id = text(names::job_id);
  if (l.job_id.empty() && original.key && is_name(*original.key)) l.job_id = *original.key;
  l.type = text("ce_type");
  if (l.type.empty() && original.value)
    if (const auto c = decode_command(text("content-type"), *original.value); c) l.type = c->command_name;
  l.traceparent = text("traceparent");
  l.key = std::move(original.key);
  l.value = std::move(original.value);
  for (auto& [name, value] : original.headers) l.headers.emplace_back(std::move(name), value.value_or(""));
  return l;
}

std::string letter_id(std::string_view topic, std::int32_t partition, std::int64_t offset) {
  return "kafka:" + std::string(topic) + ":" + std::to_string(partition) + ":" + std::to_string(offset);
}

result<partition_range> parse_letter_id(std::string_view id) {
  const auto wrong = [&] {
    return failure(error_code::invalid_argument,
                   "dead letter " + quote(id) + " is not known; expected kafka:<topic>.dlq:<partition>:<offset>");
  };
  if (!id.starts_with("kafka:")) return wrong();
  const auto rest = id.substr(6);
  const auto last = rest.rfind(':');
  const auto middle = last == std::string_view::npos || last == 0 ? std::string_view::npos : rest.rfind(':', last - 1);
  if (middle == std::string_view::npos || middle == 0) return wrong();
  const std::string partition(rest.substr(middle + 1, last - middle - 1)), offset(rest.substr(last + 1));
  partition_range r{std::string(rest.substr(0, middle)), number<std::int32_t>(&partition, -1),
                    number<std::int64_t>(&offset, -1)};
  if (r.partition < 0 || r.first < 0) return wrong();
  r.end = r.first + 1;
  return r;
}

bool matches(const bridges::dead_letter_filter& f, const bridges::dead_letter& l) {
  const auto same = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  return same(f.id, l.id) && same(f.bridge, l.bridge) && same(f.job_id, l.job_id) && same(f.type, l.type) &&
         same(f.reason, l.reason) && (!f.start || (l.last_failed_at && *l.last_failed_at >= *f.start)) &&
         (!f.end || (l.last_failed_at && *l.last_failed_at < *f.end));
}

}  // namespace horizons::kafka
