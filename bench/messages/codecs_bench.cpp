// Encoding and decoding one `job.progress` in every encoding, beside the library one would otherwise use, on the same
// data in the same run: nanoseconds and allocations per message. Every side starts from the struct `event` and ends
// with one; ours also checks every text and range, the peers do not.
//
//     bench-codecs [--json FILE] [--ms 40] [--rounds 15]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <msgpack.hpp>
#include <nlohmann/json.hpp>

#include "bench/messages/avro_c.hpp"
#include "bench/report.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/make_event.hpp"

// Counted in malloc and not in operator new, which msgpack-c and avro-c do not use.
namespace {
thread_local std::size_t allocations = 0;
}
extern "C" {
void* __libc_malloc(std::size_t size);  // glibc's own
void* __libc_realloc(void* memory, std::size_t size);
[[gnu::noinline]] void* malloc(std::size_t size) noexcept { return ++allocations, __libc_malloc(size); }
[[gnu::noinline]] void* realloc(void* memory, std::size_t size) noexcept {
  allocations += size > 0;
  return __libc_realloc(memory, size);
}
}

namespace {

using namespace horizons;

// -- ours -----------------------------------------------------------------------------------------------------------

struct our_json {
  std::string encode(const event& e) { return to_json(e); }
  event decode(std::string_view text) { return event_from_json(text).value(); }
};

struct our_msgpack {
  std::string encode(const event& e) { return to_msgpack(e); }
  event decode(std::string_view bytes) { return event_from_msgpack(bytes).value(); }
};

/// Keeps its buffer, as avro-c does.
struct our_avro {
  std::string buffer;
  std::string_view encode(const event& e) {
    buffer.clear();
    (void)append_avro(e, buffer);  // nothing written would not be understood: compare()
    return buffer;
  }
  event decode(std::string_view bytes) { return event_from_avro(bytes, "job.progress").value(); }
};

// -- the peers: what one writes with the library alone; avro-c's is avro_c.hpp ---------------------------------------

nlohmann::json tree_of(const event& e) {
  const auto& data = std::get<job_progress>(e.data);
  nlohmann::json tree{{"event_id", e.event_id},
                      {"event_type", "job.progress"},
                      {"schema_version", 1},
                      {"timestamp", to_string(e.time)},
                      {"position", e.position},
                      {"sequence", e.sequence},
                      {"correlation_id", e.correlation_id},
                      {"user_id", e.user_id},
                      {"tenant", e.tenant},
                      {"job_id", e.job_id},
                      {"traceparent", e.traceparent},
                      {"data", {{"progress", data.progress}, {"stage", data.stage}}}};
  if (data.eta_s) tree["data"]["eta_s"] = *data.eta_s;
  return tree;
}

event from_tree(const nlohmann::json& tree) {
  event e;
  e.event_id = tree.at("event_id").get<std::string>();
  e.time = *parse_timestamp(tree.at("timestamp").get_ref<const std::string&>());
  e.position = tree.value("position", std::uint64_t{0});
  e.sequence = tree.value("sequence", std::uint64_t{0});
  e.correlation_id = tree.value("correlation_id", "");
  e.causation_id = tree.value("causation_id", "");
  e.user_id = tree.value("user_id", "");
  e.tenant = tree.value("tenant", "default");
  e.job_id = tree.value("job_id", "");
  e.traceparent = tree.value("traceparent", "");
  const auto& data = tree.at("data");
  job_progress progress{data.at("progress").get<double>(), data.at("stage").get<std::string>(), {}};
  if (const auto eta = data.find("eta_s"); eta != data.end()) progress.eta_s = eta->get<double>();
  e.data = std::move(progress);
  return e;
}

struct nlohmann_json {
  std::string encode(const event& e) { return tree_of(e).dump(); }
  event decode(std::string_view text) { return from_tree(nlohmann::json::parse(text)); }
};

// Texts are views, so that nothing is copied on the way to msgpack-c.
struct plain_progress {
  double progress = 0;
  std::string_view stage;
  double eta_s = 0;
  MSGPACK_DEFINE_MAP(progress, stage, eta_s);
};

struct plain_event {
  std::string_view event_id, event_type;
  int schema_version = 1;
  std::string_view timestamp;
  std::uint64_t position = 0, sequence = 0;
  std::string_view correlation_id, user_id, tenant, job_id, traceparent;
  plain_progress data;
  MSGPACK_DEFINE_MAP(event_id, event_type, schema_version, timestamp, position, sequence, correlation_id, user_id,
                     tenant, job_id, traceparent, data);
};

plain_event plain_of(const event& e, std::string_view time) {
  const auto& data = std::get<job_progress>(e.data);
  return {
      e.event_id,       "job.progress", 1,        time,     e.position,    e.sequence,
      e.correlation_id, e.user_id,      e.tenant, e.job_id, e.traceparent, {data.progress, data.stage, *data.eta_s}};
}

event from_plain(const plain_event& p) {
  event e;
  e.event_id = p.event_id;
  e.time = *parse_timestamp(p.timestamp);
  e.position = p.position;
  e.sequence = p.sequence;
  e.correlation_id = p.correlation_id;
  e.user_id = p.user_id;
  e.tenant = p.tenant;
  e.job_id = p.job_id;
  e.traceparent = p.traceparent;
  e.data = job_progress{p.data.progress, std::string(p.data.stage), p.data.eta_s};
  return e;
}

struct msgpack_c {
  msgpack::sbuffer encode(const event& e) {
    msgpack::sbuffer buffer;
    msgpack::pack(buffer, plain_of(e, to_string(e.time)));
    return buffer;
  }
  event decode(std::string_view bytes) {
    const auto handle = msgpack::unpack(bytes.data(), bytes.size());
    return from_plain(handle.get().as<plain_event>());
  }
};

// -- measuring ------------------------------------------------------------------------------------------------------

std::size_t used = 0;  // what is computed must be used

struct effort {
  double slice_ms = 40;
  int rounds = 15;
};

struct figure {
  double ns = 0, spread = 0, allocations = 0;  // per message; the median of the rounds
};

template <class Call>
double ns_each(std::size_t count, Call& call) {
  return 1e9 / static_cast<double>(count) * bench::seconds_of([&] {
           for (std::size_t i = 0; i < count; ++i) used += call();
         });
}

/// Ours and theirs in turns, in short slices: what else runs on the machine meets both.
template <class Ours, class Theirs>
std::pair<figure, figure> in_turns(const effort& how, Ours ours, Theirs theirs) {
  const auto count = [&](auto& call) {
    return static_cast<std::size_t>(std::max(1.0, how.slice_ms * 1e6 / ns_each(2000, call)));
  };
  const auto summary = [](const std::vector<double>& ns, auto& call) {
    const auto [median, spread] = bench::median_of(ns);
    const std::size_t before = allocations;
    for (int i = 0; i < 100; ++i) used += call();
    return figure{median, spread, static_cast<double>(allocations - before) / 100};
  };
  const std::size_t our_count = count(ours), their_count = count(theirs);
  std::vector<double> our_ns, their_ns;
  for (int i = 0; i < how.rounds; ++i) {
    our_ns.push_back(ns_each(our_count, ours));
    their_ns.push_back(ns_each(their_count, theirs));
  }
  return {summary(our_ns, ours), summary(their_ns, theirs)};
}

/// Six rows: time and allocations of encode, decode and both. Ends the program when the two do not understand each
/// other: then they would not measure the same.
template <class Ours, class Theirs>
void compare(std::vector<bench::row>& rows, const effort& how, const event& e, const std::string& encoding, Ours ours,
             const std::string& peer, Theirs&& theirs, double goal) {
  const auto view = [](const auto& bytes) { return std::string_view(bytes.data(), bytes.size()); };
  const std::string bytes(view(ours.encode(e))), their_bytes(view(theirs.encode(e)));
  if (theirs.decode(bytes) != e || ours.decode(their_bytes) != e) {
    std::fprintf(stderr, "%s: %s and we do not read the same event\n", encoding.c_str(), peer.c_str());
    std::exit(1);
  }
  const auto out = [&](auto& side) { return [&] { return side.encode(e).size(); }; };
  const auto in = [&](auto& side) { return [&] { return side.decode(bytes).job_id.size(); }; };
  const auto both = [&](auto& side) {
    return [&] { return side.encode(e).size() + side.decode(bytes).job_id.size(); };
  };
  const auto add = [&](const std::string& direction, const std::pair<figure, figure>& measured) {
    const auto& [we, they] = measured;
    const std::string what = encoding + " " + direction;
    rows.push_back(
        bench::compare(what, "ns", bench::better::lower, we.ns, peer, they.ns, goal, std::max(we.spread, they.spread)));
    rows.push_back(bench::compare(what + ", allocations", "count", bench::better::lower, we.allocations, peer,
                                  they.allocations, nullptr));
  };
  add("encode", in_turns(how, out(ours), out(theirs)));
  add("decode", in_turns(how, in(ours), in(theirs)));
  add("encode + decode", in_turns(how, both(ours), both(theirs)));
  std::printf("%s: %zu bytes, %s %zu\n", encoding.c_str(), bytes.size(), peer.c_str(), their_bytes.size());
}

event subject() {
  event_context context;
  context.now = timestamp{std::chrono::milliseconds{1'795'248'930'123}};
  context.job_id = "01JD3Z7Q8R9S0T1V2W3X4Y5Z6A";
  context.user_id = "ann.smith";
  context.correlation_id = "01JD3Z7Q8R9S0T1V2W3X4Y5Z6B";
  context.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  context.sequence = 17;
  event e = *make_event(context, job_progress{0.4375, "gridding channel 12 of 64", 8.25});
  e.position = 123'456;
  return e;
}

}  // namespace

int main(int argc, char** argv) {
  std::string file;
  effort how;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--json")) file = argv[i + 1];
    if (!std::strcmp(argv[i], "--ms")) how.slice_ms = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--rounds")) how.rounds = std::max(1, std::atoi(argv[i + 1]));
  }

  const event e = subject();
  std::vector<bench::row> rows;
  compare(rows, how, e, "json", our_json{}, "nlohmann/json", nlohmann_json{}, 3);
  compare(rows, how, e, "msgpack", our_msgpack{}, "msgpack-c", msgpack_c{}, 1);
  compare(rows, how, e, "avro", our_avro{}, "avro-c", bench::avro_c(avro::schema_of("job.progress")->text), 1);

  bench::print(rows);
  const bool reached = std::all_of(rows.begin(), rows.end(), [](const bench::row& r) {
    return !r.goal.is_number() || r.ratio.value_or(0) >= r.goal.get<double>();
  });
  std::printf("\n%s\n", reached ? "every goal is reached" : "a goal is missed");
  const nlohmann::json conditions{{"message", "job.progress"},
                                  {"slice_ms", how.slice_ms},
                                  {"rounds", how.rounds},
                                  {"cores", std::thread::hardware_concurrency()},
                                  {"compiler", __VERSION__}};
  return bench::write_json(file, conditions, rows) && used > 0 ? 0 : 1;
}
