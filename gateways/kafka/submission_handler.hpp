// Records of job-submissions: commands in JSON, MessagePack or Avro (Confluent wire format), plain or as CloudEvents.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateways/kafka/record_handler.hpp"
#include "messages/avro/event_codec.hpp"

namespace horizons::kafka {

/// The id of a job whose record names none: a ULID of the record's time and of SHA-256 over where it lies, so that the
/// same record is the same job whenever and by whomever it is read.
std::string derived_job_id(std::string_view cluster, std::string_view topic, std::int32_t partition,
                           std::uint64_t offset, timestamp time);

/// Called on the source's thread, answers on any with the reader of a schema id; see avro_schemas().
using schema_source = std::function<void(std::uint32_t id, bridges::callback<std::shared_ptr<const avro_reader>>)>;

/// Hands commands to `services.handle`. The lane is the job. Without `schemas` Avro is refused. `self` runs what
/// `schemas` answers.
std::shared_ptr<record_handler> submission_handler(bridges::services services, schema_source schemas,
                                                   kit::context& self);

/// Schemas of the registry at `url`, asked by a child of `self` on a thread of its own; empty for an empty url.
schema_source avro_schemas(kit::context& self, const std::string& url);

/// The factory for a node: both of the above.
handler_factory submissions(bridges::services services, std::string registry_url);

}  // namespace horizons::kafka
