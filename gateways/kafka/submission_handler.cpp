#include "gateways/kafka/submission_handler.hpp"

#include <algorithm>
#include <array>
#include <map>

#include <openssl/evp.h>

#include "gateways/registry/registry_client.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/codec/cloudevents.hpp"
#include "messages/codec/unchecked.hpp"
#include "messages/ulid.hpp"

namespace horizons::kafka {
namespace {

constexpr std::size_t schemas_max = 1'024;

struct fetch_schema {
  using reply = std::shared_ptr<const avro_reader>;
  std::uint32_t id = 0;
};
using schema_api = kit::accepts<fetch_schema>;

kit::actor_body schema_asker(std::string url) {
  return [url = std::move(url)](kit::context&) {
    auto registry = std::make_shared<registry::registry_client>(registry::registry_options{.url = url});
    return kit::behavior{}.on<fetch_schema>([registry](const fetch_schema& f) -> result<fetch_schema::reply> {
      auto schema = registry->schema_by_id(f.id);
      if (!schema) return failure(schema.error());
      auto reader = avro_reader::create(**schema);
      if (!reader) return failure(reader.error());
      return std::make_shared<const avro_reader>(std::move(*reader));
    });
  };
}

/// A record without its CloudEvents clothes.
struct body {
  std::string content_type, traceparent;
  std::string_view text;
  std::optional<cloud_event> event;  // owns text when it is there
};

result<body> undress(const received& r) {
  body b;
  const auto of = [&r](std::string_view name) {
    const auto* value = r.header(name);
    return value ? std::string(*value) : std::string();
  };
  b.content_type = of("content-type");
  b.traceparent = of("traceparent");
  if (!r.value) return failure(error_code::unreadable, "the record has no value; expected a command");
  b.text = *r.value;
  header_list headers;
  for (const auto& [name, value] : r.headers) headers.emplace_back(name, value.value_or(""));
  if (headers.empty() || !is_cloudevents(b.content_type, headers)) return b;
  auto event = read_cloudevents(b.content_type, headers, *r.value);
  if (!event) return failure(event.error());
  if (!event->data) return failure(error_code::unreadable, "the CloudEvent has no data; expected a command");
  if (const auto* trace = event->extension("traceparent"); trace && b.traceparent.empty()) b.traceparent = *trace;
  b.event = std::move(*event);
  b.content_type = b.event->data_content_type;
  b.text = *b.event->data;
  return b;
}

class handler_of_submissions : public record_handler, public std::enable_shared_from_this<handler_of_submissions> {
public:
  handler_of_submissions(bridges::services services, schema_source schemas, kit::context& self)
      : services_(std::move(services)), schemas_(std::move(schemas)), in_source_(self.mailbox_executor()) {}

  result<task> read(const received& r) override {
    auto dressed = undress(r);
    if (!dressed) return failure(dressed.error());
    // A CloudEvent was moved into place, so its text is looked up again.
    const std::string_view text = dressed->event ? std::string_view(*dressed->event->data) : dressed->text;
    avro_command_decoder avro;
    if (schemas_) avro = [this](std::string_view bytes) { return read_avro(bytes); };
    auto command = decode_unchecked_command(dressed->content_type, text, avro);  // the house checks it
    if (!command) return failure(command.error());
    return task_of(std::move(*command), std::move(dressed->traceparent), r);
  }

private:
  task task_of(command what, std::string traceparent, const received& r) {
    task t;
    t.lane = what.job_id.empty() || what.tenant == "default" ? what.job_id : what.tenant + "/" + what.job_id;
    t.traceparent = traceparent;
    bridges::incoming in{.what = std::move(what), .traceparent = std::move(traceparent)};
    if (in.what.job_id.empty()) in.fallback_job_id = derived_job_id(r.cluster, r.topic, r.partition, r.offset, r.time);
    t.job_id = in.what.job_id.empty() ? in.fallback_job_id : in.what.job_id;
    t.run = [handle = &services_.handle, keep = shared_from_this(), in = std::move(in)](record_mark mark,
                                                                                        completion then) mutable {
      in.mark = std::move(mark).whole();
      (*handle)(std::move(in), [then = std::move(then)](result<bridges::handled> h) {
        if (h)
          then(h->marked);
        else
          then(failure(std::move(h.error())));
      });
    };
    return t;
  }

  result<command> read_avro(std::string_view bytes) {
    if (!avro::is_framed(bytes))
      return failure(error_code::unreadable, "too short for Avro: a zero byte and a schema id of 4 bytes come first");
    std::uint32_t id = 0;
    for (const char c : bytes.substr(1, 4)) id = id << 8 | static_cast<unsigned char>(c);
    const auto datum = bytes.substr(avro::frame_bytes);
    if (const auto known = readers_.find(id); known != readers_.end()) {
      if (known->second) return (*known->second)->read_command(datum);
      auto why = known->second.error();
      readers_.erase(known);  // believed for one record: the next one asks again
      return failure(std::move(why));
    }
    fetch(id);
    return failure(error_code::unavailable, "schema " + std::to_string(id) + " is being fetched");
  }

  void fetch(std::uint32_t id) {
    if (std::find(fetching_.begin(), fetching_.end(), id) != fetching_.end()) return;
    fetching_.push_back(id);
    schemas_(id, [weak = weak_from_this(), id, run = in_source_](result<std::shared_ptr<const avro_reader>> r) {
      run([weak, id, r = std::move(r)] {
        if (const auto me = weak.lock()) me->fetched(id, r);
      });
    });
  }

  void fetched(std::uint32_t id, const result<std::shared_ptr<const avro_reader>>& r) {
    std::erase(fetching_, id);
    if (!r && bridges::may_pass(r.error().code)) return;  // the next try asks again
    if (readers_.size() >= schemas_max) readers_.clear();
    if (r)
      readers_.insert_or_assign(id, r);
    else  // reason "schema", see source.cpp
      readers_.insert_or_assign(id,
                                failure(error_code::not_found, "schema " + std::to_string(id) + ": " + r.error().text));
  }

  bridges::services services_;
  schema_source schemas_;
  std::function<bool(std::function<void()>)> in_source_;
  std::map<std::uint32_t, result<std::shared_ptr<const avro_reader>>> readers_;
  std::vector<std::uint32_t> fetching_;
};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

const std::string_view* received::header(std::string_view name) const {
  for (const auto& [n, value] : headers)
    if (same_letters(n, name)) return value ? &*value : nullptr;
  return nullptr;
}

std::string derived_job_id(std::string_view cluster, std::string_view topic, std::int32_t partition,
                           std::uint64_t offset, timestamp time) {
  std::string place;
  place.append(cluster).append(1, '\0').append(topic).append(1, '\0');
  place += std::to_string(partition) + "/" + std::to_string(offset);
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(place.data(), place.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::array<std::uint8_t, 10> random{};
  std::copy_n(digest.begin(), random.size(), random.begin());
  return make_ulid(std::max(time, timestamp{}), random);
}

std::shared_ptr<record_handler> submission_handler(bridges::services services, schema_source schemas,
                                                   kit::context& self) {
  return std::make_shared<handler_of_submissions>(std::move(services), std::move(schemas), self);
}

schema_source avro_schemas(kit::context& self, const std::string& url) {
  if (url.empty()) return {};
  auto asker = self.spawn_blocking<schema_api>({.name = "schemas", .type = "schema_asker"}, schema_asker(url));
  return [&self, asker](std::uint32_t id, bridges::callback<std::shared_ptr<const avro_reader>> then) {
    self.request(asker, fetch_schema{id}, kit::milliseconds{30'000}, std::move(then));
  };
}

handler_factory submissions(bridges::services services, std::string registry_url) {
  return [services = std::move(services), url = std::move(registry_url)](kit::context& self) {
    return submission_handler(services, avro_schemas(self, url), self);
  };
}

}  // namespace horizons::kafka
