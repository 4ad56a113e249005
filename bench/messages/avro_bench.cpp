// Encoding and decoding one `job.progress` as Avro, beside avro-c (libavro) on the same schema and the same data in
// the same run: nanoseconds and allocations per message. Both sides start from the struct `event` and end with one;
// ours also checks every text and range, avro-c does not.
//
//     bench-avro [--json FILE] [--ms 200] [--rounds 7]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <avro.h>
#include <nlohmann/json.hpp>

#include "messages/avro/codec.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/make_event.hpp"

namespace {

using namespace horizons;

std::size_t used = 0;                // what is computed must be used
std::size_t avro_c_allocations = 0;  // avro-c lets its allocator be replaced; ours are counted by operator new
std::size_t our_allocations = 0;

void* counting_allocator(void*, void* memory, std::size_t, std::size_t size) {
  if (size == 0) {
    std::free(memory);
    return nullptr;
  }
  if (memory == nullptr) ++avro_c_allocations;
  return std::realloc(memory, size);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
  ++our_allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

/// What one writes with avro-c: a value of the schema's class, made once and filled again and again.
class avro_c {
public:
  explicit avro_c(const std::string& schema_text) {
    require(avro_schema_from_json_length(schema_text.data(), schema_text.size(), &schema_));
    class_ = avro_generic_class_from_schema(schema_);
    require(avro_generic_value_new(class_, &value_));
    writer_ = avro_writer_memory(buffer_, sizeof buffer_);
    reader_ = avro_reader_memory(buffer_, sizeof buffer_);
  }
  ~avro_c() {
    avro_value_decref(&value_);
    avro_value_iface_decref(class_);
    avro_writer_free(writer_);
    avro_reader_free(reader_);
    avro_schema_decref(schema_);
  }
  avro_c(const avro_c&) = delete;
  avro_c& operator=(const avro_c&) = delete;

  std::string encode(const event& e) {
    const auto& data = std::get<job_progress>(e.data);
    avro_value_reset(&value_);
    std::size_t i = 0;
    text(i++, e.event_id);
    text(i++, "job.progress");
    avro_value_t f = at(value_, i++);
    avro_value_set_int(&f, 1);
    number(i++, e.time.time_since_epoch().count());
    number(i++, static_cast<std::int64_t>(e.position));
    number(i++, static_cast<std::int64_t>(e.sequence));
    for (const auto* s : {&e.correlation_id, &e.causation_id, &e.user_id, &e.tenant, &e.job_id, &e.traceparent})
      text(i++, *s);
    avro_value_t inner = at(value_, i);
    f = at(inner, 0);
    avro_value_set_double(&f, data.progress);
    f = at(inner, 1);
    avro_value_set_string_len(&f, data.stage.c_str(), data.stage.size() + 1);
    f = at(inner, 2);
    avro_value_t branch;
    avro_value_set_branch(&f, data.eta_s ? 1 : 0, &branch);
    if (data.eta_s)
      avro_value_set_double(&branch, *data.eta_s);
    else
      avro_value_set_null(&branch);
    avro_writer_reset(writer_);
    require(avro_value_write(writer_, &value_));
    return {buffer_, static_cast<std::size_t>(avro_writer_tell(writer_))};
  }

  event decode(const std::string& octets) {
    avro_reader_memory_set_source(reader_, octets.data(), static_cast<std::int64_t>(octets.size()));
    require(avro_value_read(reader_, &value_));
    event e;
    std::size_t i = 0;
    e.event_id = text_at(i++);
    i += 2;  // event_type, schema_version
    e.time = timestamp{std::chrono::milliseconds{number_at(i++)}};
    e.position = static_cast<std::uint64_t>(number_at(i++));
    e.sequence = static_cast<std::uint64_t>(number_at(i++));
    for (auto* s : {&e.correlation_id, &e.causation_id, &e.user_id, &e.tenant, &e.job_id, &e.traceparent})
      *s = text_at(i++);
    avro_value_t inner = at(value_, i);
    job_progress data;
    avro_value_t f = at(inner, 0);
    avro_value_get_double(&f, &data.progress);
    f = at(inner, 1);
    const char* s = nullptr;
    std::size_t size = 0;
    avro_value_get_string(&f, &s, &size);
    data.stage.assign(s, size - 1);
    f = at(inner, 2);
    int which = 0;
    avro_value_get_discriminant(&f, &which);
    if (which == 1) {
      avro_value_t branch;
      avro_value_get_current_branch(&f, &branch);
      avro_value_get_double(&branch, &data.eta_s.emplace());
    }
    e.data = std::move(data);
    return e;
  }

private:
  static void require(int fault) {
    if (fault != 0) {
      std::fprintf(stderr, "avro-c: %s\n", avro_strerror());
      std::exit(1);
    }
  }
  static avro_value_t at(avro_value_t& record, std::size_t i) {
    avro_value_t f;
    avro_value_get_by_index(&record, i, &f, nullptr);
    return f;
  }
  void text(std::size_t i, const std::string& s) {
    avro_value_t f = at(value_, i);
    avro_value_set_string_len(&f, s.c_str(), s.size() + 1);
  }
  void number(std::size_t i, std::int64_t n) {
    avro_value_t f = at(value_, i);
    avro_value_set_long(&f, n);
  }
  std::string text_at(std::size_t i) {
    avro_value_t f = at(value_, i);
    const char* s = nullptr;
    std::size_t size = 0;
    avro_value_get_string(&f, &s, &size);
    return {s, size - 1};
  }
  std::int64_t number_at(std::size_t i) {
    avro_value_t f = at(value_, i);
    std::int64_t n = 0;
    avro_value_get_long(&f, &n);
    return n;
  }

  avro_schema_t schema_{};
  avro_value_iface_t* class_{};
  avro_value_t value_{};
  avro_writer_t writer_{};
  avro_reader_t reader_{};
  char buffer_[4096];
};

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

figure summary(std::vector<double> rounds, const std::function<void()>& work) {
  std::sort(rounds.begin(), rounds.end());
  const double median = rounds[rounds.size() / 2];
  const std::size_t before = our_allocations + avro_c_allocations;
  for (int i = 0; i < 100; ++i) work();
  return {median, (rounds.back() - rounds.front()) / median,
          static_cast<double>(our_allocations + avro_c_allocations - before) / 100};
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

struct comparison {
  std::string what;
  double goal;  // 0: told, not asked for
  std::function<void()> ours;
  std::function<void()> theirs;
};

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
  avro_set_allocator(counting_allocator, nullptr);
  const event e = subject();
  const auto& own = *avro::schema_of("job.progress");
  avro_c peer(own.text);
  std::string octets;
  if (!append_avro(e, octets) || octets != peer.encode(e) ||
      event_from_avro(octets, "job.progress") != peer.decode(octets)) {
    std::fprintf(stderr, "avro-c and we do not agree on the bytes\n");
    return 1;
  }
  const auto evolved = [&] {
    auto document = nlohmann::json::parse(own.text);
    document["fields"].push_back({{"name", "more"}, {"type", "null"}, {"default", nullptr}});
    return avro_reader::create(avro::schema::parse(document.dump()).value()).value();
  }();
  const avro::resolution tree(own.schema, own.schema);

  std::string out;
  const auto ours_out = [&] { out.clear(), (void)append_avro(e, out), used += out.size(); };
  const auto ours_in = [&] { used += event_from_avro(octets, "job.progress")->job_id.size(); };
  const auto theirs_out = [&] { used += peer.encode(e).size(); };
  const auto theirs_in = [&] { used += peer.decode(octets).job_id.size(); };
  const std::vector<comparison> comparisons = {
      {"avro encode", 1, ours_out, theirs_out},
      {"avro decode", 1, ours_in, theirs_in},
      {"avro encode + decode", 1, [&] { ours_out(), ours_in(); }, [&] { theirs_out(), theirs_in(); }},
      {"avro decode, another writer's schema", 0, [&] { used += evolved.read_event(octets)->job_id.size(); }, {}},
      {"avro decode to a value tree", 0, [&] { used += tree.decode(octets).has_value(); }, {}},
  };

  nlohmann::json rows = nlohmann::json::array();
  std::printf("job.progress: %zu bytes of Avro\n\n%-38s %9s %7s   %9s %7s %7s %5s %7s\n", octets.size(), "what",
              "ours ns", "allocs", "avro-c ns", "allocs", "ratio", "goal", "spread");
  bool reached = true;
  for (const auto& c : comparisons) {
    const auto repetitions = [&](const std::function<void()>& work) {
      return static_cast<std::size_t>(std::max(1.0, round_ms * 1e6 / one_round(work, 2000)));
    };
    const auto our_count = repetitions(c.ours), their_count = c.theirs ? repetitions(c.theirs) : 0;
    std::vector<double> our_rounds, their_rounds;
    for (int i = 0; i < rounds; ++i) {  // in turns: a change of the machine's speed meets both
      our_rounds.push_back(one_round(c.ours, our_count));
      if (c.theirs) their_rounds.push_back(one_round(c.theirs, their_count));
    }
    const auto ours = summary(our_rounds, c.ours);
    if (!c.theirs) {
      std::printf("%-38s %9.0f %7.1f\n", c.what.c_str(), ours.ns, ours.allocations);
      rows.push_back({{"what", c.what},
                      {"unit", "ns"},
                      {"ours", ours.ns},
                      {"peer", nullptr},
                      {"theirs", nullptr},
                      {"ratio", nullptr},
                      {"goal", nullptr},
                      {"spread", ours.spread}});
      continue;
    }
    const auto theirs = summary(their_rounds, c.theirs);
    const double ratio = theirs.ns / ours.ns, spread = std::max(ours.spread, theirs.spread);
    std::printf("%-38s %9.0f %7.1f   %9.0f %7.1f %7.2f %5.1f %6.0f%%\n", c.what.c_str(), ours.ns, ours.allocations,
                theirs.ns, theirs.allocations, ratio, c.goal, 100 * spread);
    reached = reached && ratio >= c.goal;
    rows.push_back({{"what", c.what},
                    {"unit", "ns"},
                    {"ours", ours.ns},
                    {"peer", "avro-c"},
                    {"theirs", theirs.ns},
                    {"ratio", ratio},
                    {"goal", c.goal},
                    {"spread", spread}});
    rows.push_back({{"what", c.what + " allocations"},
                    {"unit", "count"},
                    {"ours", ours.allocations},
                    {"peer", "avro-c"},
                    {"theirs", theirs.allocations},
                    {"ratio", ours.allocations > 0 ? theirs.allocations / ours.allocations : theirs.allocations + 1},
                    {"goal", nullptr},
                    {"spread", 0}});
  }
  std::printf("\n%s\n", reached ? "every goal is reached" : "a goal is missed");
  if (file.empty()) return used == 0;
  const nlohmann::json conditions{
      {"message", "job.progress"}, {"avro_bytes", octets.size()},     {"round_ms", round_ms},
      {"rounds", rounds},          {"avro_c", "Debian libavro 1.11"}, {"cores", std::thread::hardware_concurrency()},
      {"compiler", __VERSION__}};
  std::ofstream report(file);
  report << nlohmann::json{{"conditions", conditions}, {"rows", rows}}.dump(2) << "\n";
  if (!report.flush()) {
    std::fprintf(stderr, "cannot write %s\n", file.c_str());
    return 1;
  }
  return used == 0;
}
