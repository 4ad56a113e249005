#include "actors/jobs/content_digest.hpp"

#include "actors/agents/sha256.hpp"
#include "messages/codec/json_writer.hpp"
#include "messages/codec/write.hpp"

namespace horizons::jobs {

namespace {

/// Writes as nlohmann::json::dump() does, without its tree. Only real numbers differ from our own JSON: 100000.0 here
/// is 1e+05 there.
class dump_writer : public codec::json_writer {
public:
  explicit dump_writer(codec::byte_buffer& out) : json_writer(out), out_(out) {}
  void real(double value) { out_.put(json(value).dump()); }

private:
  codec::byte_buffer& out_;
};

}  // namespace

std::string content_digest(const command& c) {
  auto& buffer = codec::byte_buffer::of_thread();
  dump_writer w{buffer};
  const auto put = [&](const char* key, const auto& value) {
    w.key(key);
    codec::write(w, value);
  };
  w.begin_map(0);
  put("agent", c.agent);
  put("cpus", c.wants.cpus);
  put("dataset", c.dataset);
  put("gpus", c.wants.gpus);
  put("memory_gb", c.wants.memory_gb);
  put("params", c.params);
  put("priority", c.priority);
  put("tenant", c.tenant);
  put("user_id", c.user_id);
  put("walltime_s", c.wants.walltime_s);
  w.end_map();
  return agents::sha256_of_text(buffer.text());
}

}  // namespace horizons::jobs
