// Encoding and decoding one `job.progress` in every encoding, beside the libraries one would otherwise use, on the same
// data in the same run: nanoseconds and allocations per message.
//
//     bench-codecs [--json FILE] [--ms 200] [--rounds 7]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <msgpack.hpp>
#include <nlohmann/json.hpp>

#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/make_event.hpp"

namespace {
thread_local std::size_t allocations = 0;
}

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace horizons;

// -- the peers: what one writes with the library alone --------------------------------------------------------------

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

struct plain_progress {
  double progress = 0;
  std::string stage;
  double eta_s = 0;
  MSGPACK_DEFINE_MAP(progress, stage, eta_s);
};

struct plain_event {
  std::string event_id, event_type;
  int schema_version = 1;
  std::string timestamp;
  std::uint64_t position = 0, sequence = 0;
  std::string correlation_id, user_id, tenant, job_id, traceparent;
  plain_progress data;
  MSGPACK_DEFINE_MAP(event_id, event_type, schema_version, timestamp, position, sequence, correlation_id, user_id,
                     tenant, job_id, traceparent, data);
};

plain_event plain_of(const event& e) {
  const auto& data = std::get<job_progress>(e.data);
  return {e.event_id,        "job.progress", 1,
          to_string(e.time), e.position,     e.sequence,
          e.correlation_id,  e.user_id,      e.tenant,
          e.job_id,          e.traceparent,  {data.progress, data.stage, *data.eta_s}};
}

event from_plain(plain_event p) {
  event e;
  e.event_id = std::move(p.event_id);
  e.time = *parse_timestamp(p.timestamp);
  e.position = p.position;
  e.sequence = p.sequence;
  e.correlation_id = std::move(p.correlation_id);
  e.user_id = std::move(p.user_id);
  e.tenant = std::move(p.tenant);
  e.job_id = std::move(p.job_id);
  e.traceparent = std::move(p.traceparent);
  e.data = job_progress{p.data.progress, std::move(p.data.stage), p.data.eta_s};
  return e;
}

// -- the table: one line per encoding and direction; `theirs` may be left out
// ------------------------------------------

std::size_t sink = 0;  // what is computed must be used

struct comparison {
  std::string what;
  std::string peer;
  double goal;
  std::function<void()> ours;
  std::function<void()> theirs;
};

std::vector<comparison> comparisons(const event& e) {
  static const event subject = e;
  static const std::string text = to_json(subject), bytes = to_msgpack(subject);
  const auto ours_json_out = [] { sink += to_json(subject).size(); };
  const auto ours_json_in = [] { sink += event_from_json(text)->job_id.size(); };
  const auto their_json_out = [] { sink += tree_of(subject).dump().size(); };
  const auto their_json_in = [] { sink += from_tree(nlohmann::json::parse(text)).job_id.size(); };
  const auto ours_pack_out = [] { sink += to_msgpack(subject).size(); };
  const auto ours_pack_in = [] { sink += event_from_msgpack(bytes)->job_id.size(); };
  const auto their_pack_out = [] {
    msgpack::sbuffer buffer;
    msgpack::pack(buffer, plain_of(subject));
    sink += buffer.size();
  };
  const auto their_pack_in = [] {
    const auto handle = msgpack::unpack(bytes.data(), bytes.size());
    sink += from_plain(handle.get().as<plain_event>()).job_id.size();
  };
  return {
      {"json encode", "nlohmann/json", 3, ours_json_out, their_json_out},
      {"json decode", "nlohmann/json", 3, ours_json_in, their_json_in},
      {"json encode + decode", "nlohmann/json", 3,
       [=] {
         ours_json_out();
         ours_json_in();
       },
       [=] {
         their_json_out();
         their_json_in();
       }},
      {"msgpack encode", "msgpack-c", 1, ours_pack_out, their_pack_out},
      {"msgpack decode", "msgpack-c", 1, ours_pack_in, their_pack_in},
      {"msgpack encode + decode", "msgpack-c", 1,
       [=] {
         ours_pack_out();
         ours_pack_in();
       },
       [=] {
         their_pack_out();
         their_pack_in();
       }},
  };
}

// -- measuring ------------------------------------------------------------------------------------------------------

struct figure {
  double ns = 0;      // median of the rounds
  double spread = 0;  // (largest - smallest) / median
  double allocations = 0;
};

double one_round(const std::function<void()>& work, std::size_t repetitions) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < repetitions; ++i) work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() /
         static_cast<double>(repetitions);
}

figure summary(std::vector<double> rounds, double allocations_each) {
  std::sort(rounds.begin(), rounds.end());
  const double median = rounds[rounds.size() / 2];
  return {median, (rounds.back() - rounds.front()) / median, allocations_each};
}

double allocations_of(const std::function<void()>& work) {
  const std::size_t before = allocations;
  for (int i = 0; i < 100; ++i) work();
  return static_cast<double>(allocations - before) / 100;
}

/// Ours and theirs in turns, so that a change of the machine's speed meets both.
std::pair<figure, figure> measure(const comparison& c, double round_ms, int rounds) {
  const auto repetitions = [&](const std::function<void()>& work) {
    return static_cast<std::size_t>(std::max(1.0, round_ms * 1e6 / one_round(work, 2000)));
  };
  std::vector<double> ours, theirs;
  const std::size_t our_count = repetitions(c.ours), their_count = c.theirs ? repetitions(c.theirs) : 0;
  for (int i = 0; i < rounds; ++i) {
    ours.push_back(one_round(c.ours, our_count));
    if (c.theirs) theirs.push_back(one_round(c.theirs, their_count));
  }
  return {summary(ours, allocations_of(c.ours)), c.theirs ? summary(theirs, allocations_of(c.theirs)) : figure{}};
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
  double round_ms = 200;
  int rounds = 7;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--json")) file = argv[i + 1];
    if (!std::strcmp(argv[i], "--ms")) round_ms = std::atof(argv[i + 1]);
    if (!std::strcmp(argv[i], "--rounds")) rounds = std::max(1, std::atoi(argv[i + 1]));
  }

  const event e = subject();
  nlohmann::json rows = nlohmann::json::array();
  std::printf("job.progress: %zu bytes of JSON, %zu of MessagePack\n\n", to_json(e).size(), to_msgpack(e).size());
  std::printf("%-24s %10s %7s   %-14s %10s %7s %7s %5s %7s\n", "what", "ours ns", "allocs", "peer", "theirs ns",
              "allocs", "ratio", "goal", "spread");
  bool reached = true;
  for (const comparison& c : comparisons(e)) {
    const auto [ours, theirs] = measure(c, round_ms, rounds);
    const double ratio = c.theirs ? theirs.ns / ours.ns : 0;
    const double spread = std::max(ours.spread, theirs.spread);
    std::printf("%-24s %10.0f %7.1f   %-14s %10.0f %7.1f %7.2f %5.1f %6.0f%%\n", c.what.c_str(), ours.ns,
                ours.allocations, c.peer.c_str(), theirs.ns, theirs.allocations, ratio, c.goal, 100 * spread);
    reached = reached && ratio >= c.goal;
    rows.push_back({{"what", c.what},
                    {"unit", "ns"},
                    {"ours", ours.ns},
                    {"peer", c.peer},
                    {"theirs", theirs.ns},
                    {"ratio", ratio},
                    {"goal", c.goal},
                    {"spread", spread}});
    rows.push_back({{"what", c.what + " allocations"},
                    {"unit", "count"},
                    {"ours", ours.allocations},
                    {"peer", c.peer},
                    {"theirs", theirs.allocations},
                    {"ratio", ours.allocations > 0 ? theirs.allocations / ours.allocations : theirs.allocations + 1},
                    {"goal", 1},
                    {"spread", 0}});
  }
  if (sink == 0) return 1;
  std::printf("\n%s\n", reached ? "every goal is reached" : "a goal is missed");

  if (!file.empty()) {
    const nlohmann::json conditions{{"message", "job.progress"},
                                    {"json_bytes", to_json(e).size()},
                                    {"msgpack_bytes", to_msgpack(e).size()},
                                    {"round_ms", round_ms},
                                    {"rounds", rounds},
                                    {"cores", std::thread::hardware_concurrency()},
                                    {"compiler", __VERSION__}};
    std::ofstream out(file);
    out << nlohmann::json{{"conditions", conditions}, {"rows", rows}}.dump(2) << "\n";
    if (!out) {
      std::fprintf(stderr, "cannot write %s\n", file.c_str());
      return 1;
    }
  }
  return 0;
}
