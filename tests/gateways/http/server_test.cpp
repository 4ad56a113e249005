#include "gateways/http/server.hpp"

#include <algorithm>

#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "gateways/http/access.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "tests/gateways/http/fake_house.hpp"
#include "tests/gateways/http/raw_client.hpp"

namespace horizons::http {
namespace {

using std::chrono::milliseconds;

class http_test : public testing::Test {
protected:
  fake_house house;
  std::unique_ptr<http_server> server;

  void start(http_options o = {}) {
    o.listen = "127.0.0.1:0";
    o.data_dir = house.directory;
    auto started = http_server::start(o, house.doors());
    ASSERT_TRUE(started) << started.error().text;
    server = std::move(*started);
  }

  ~http_test() override {
    if (server) server->stop(milliseconds(100));
  }

  raw_answer get(const std::string& target, const std::string& headers = "") {
    return raw_client(server->url()).ask("GET", target, headers);
  }

  static json problem_of(const raw_answer& a) {
    EXPECT_EQ(a.headers.at("content-type"), "application/problem+json") << a.body;
    const auto body = json::parse(a.body, nullptr, false);
    EXPECT_TRUE(body.is_object()) << a.body;
    EXPECT_EQ(body.value("status", 0), a.status);
    EXPECT_FALSE(body.value("detail", "").empty());
    return body;
  }

  template <class F>
  static bool eventually(F condition, milliseconds deadline = milliseconds(5000)) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
};

constexpr const char* submission_text =
    R"({"job_id": "j1", "agent": "image-reconstruction", "dataset": "file:///x.uvfits"})";

TEST_F(http_test, a_job_is_submitted_once) {
  start();
  raw_client client(server->url());
  const auto first = client.post("/api/jobs", submission_text);
  EXPECT_EQ(first.status, 202) << first.body;
  EXPECT_EQ(first.headers.at("location"), "/api/jobs/j1");
  EXPECT_EQ(json::parse(first.body)["status"], "QUEUED");
  EXPECT_FALSE(json::parse(first.body)["proven_user"].get<std::string>().empty());
  EXPECT_EQ(client.post("/api/jobs", submission_text).status, 200);
  const auto other =
      client.post("/api/jobs", R"({"job_id": "j1", "agent": "image-reconstruction", "dataset": "file:///y.uvfits"})");
  EXPECT_EQ(other.status, 409);
  EXPECT_NE(problem_of(other)["detail"].get<std::string>().find("j1"), std::string::npos);
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1").status, 200);
  EXPECT_EQ(client.ask("GET", "/api/jobs/j2").status, 404);
  EXPECT_EQ(client.ask("GET", "/api/jobs/..%2Fetc").status, 404);
}

TEST_F(http_test, messagepack_is_the_same_submission) {
  start();
  command c;
  c.job_id = "packed";
  c.agent = "image-reconstruction";
  c.dataset = "file:///x.uvfits";
  raw_client client(server->url());
  EXPECT_EQ(client.post("/api/jobs", to_msgpack(c), "application/msgpack").status, 202);
  EXPECT_EQ(client.post("/api/jobs", to_json(c)).status, 200);
  EXPECT_EQ(client.post("/api/jobs", "\xc1", "application/msgpack").status, 400);
  EXPECT_GE(client.post("/api/jobs", std::string(500'000, '\x91'), "application/x-msgpack").status,
            400);  // deep nesting
}

TEST_F(http_test, what_cannot_be_meant_is_refused_with_the_field) {
  start();
  raw_client client(server->url());
  const auto body_of = [&](const std::string& text) { return client.post("/api/jobs", text); };
  EXPECT_EQ(body_of("{").status, 400);
  EXPECT_EQ(body_of("").status, 400);
  EXPECT_EQ(body_of("[]").status / 100, 4);
  const auto unknown = body_of(R"({"agnt": "x", "agent": "image-reconstruction", "dataset": "file:///x"})");
  EXPECT_EQ(unknown.status, 422);
  EXPECT_EQ(problem_of(unknown)["errors"][0]["field"], "agnt") << unknown.body;
  const auto priority = body_of(R"({"agent": "image-reconstruction", "dataset": "file:///x", "priority": 9})");
  EXPECT_EQ(priority.status, 422);
  EXPECT_EQ(problem_of(priority)["errors"][0]["field"], "priority") << priority.body;
  const auto agent = body_of(R"({"agent": "nonsense", "dataset": "file:///x"})");
  EXPECT_EQ(agent.status, 422);
  EXPECT_EQ(problem_of(agent)["errors"][0]["field"], "agent");
  EXPECT_EQ(body_of(R"({"agent": "a", "agent": "b", "dataset": "file:///x"})").status / 100, 4);
  EXPECT_GE(body_of(std::string(200'000, '[')).status, 400);
  EXPECT_EQ(house.jobs.size(), 0u);
}

TEST_F(http_test, a_full_queue_says_when_to_come_back) {
  start();
  house.queued_max = 0;
  const auto full = raw_client(server->url()).post("/api/jobs", submission_text);
  EXPECT_EQ(full.status, 429);
  EXPECT_TRUE(full.headers.contains("retry-after"));
}

TEST_F(http_test, orders) {
  start();
  raw_client client(server->url());
  client.post("/api/jobs", submission_text);
  const auto paused = client.post("/api/jobs/j1/pause", R"({"reason": "lunch"})");
  EXPECT_EQ(paused.status, 200);
  EXPECT_EQ(json::parse(paused.body)["reason"], "lunch");
  EXPECT_EQ(client.post("/api/jobs/j1/resume", "").status, 200);
  EXPECT_EQ(client.post("/api/jobs/j1/pause", R"({"because": 1})").status, 422);
  EXPECT_EQ(client.post("/api/jobs/j1/explode", "").status, 404);
  EXPECT_EQ(client.post("/api/jobs/none/cancel", "").status, 404);
  const auto cancelled = client.ask("DELETE", "/api/jobs/j1");
  EXPECT_EQ(cancelled.status, 200);
  EXPECT_EQ(json::parse(cancelled.body)["status"], "CANCELLED");
  house.jobs["j1"]["status"] = "COMPLETED";
  EXPECT_EQ(client.ask("DELETE", "/api/jobs/j1").status, 409);
  const auto wrong = client.ask("PUT", "/api/jobs/j1", "Content-Type: application/json\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "GET, HEAD, DELETE");
}

TEST_F(http_test, lists_have_pages_and_their_parameters_are_checked) {
  start();
  for (int i = 0; i < 25; ++i)
    house.jobs["job" + std::to_string(100 + i)] = {{"job_id", "job" + std::to_string(100 + i)}, {"status", "QUEUED"}};
  std::set<std::string> seen;
  std::string token;
  int pages = 0;
  do {
    const auto page = json::parse(get("/api/jobs?page_size=10" + (token.empty() ? "" : "&page_token=" + token)).body);
    for (const auto& job : page["jobs"]) seen.insert(job["job_id"]);
    token = page["next_page_token"].is_null() ? "" : page["next_page_token"].get<std::string>();
    ++pages;
  } while (!token.empty() && pages < 10);
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(pages, 3);
  for (const std::string wrong : {"page_size=0", "page_size=1001", "page_size=ten", "status=DONE", "since=yesterday",
                                  "colour=red", "status=QUEUED&status=QUEUED", "user=%zz", "user=%00"})
    EXPECT_EQ(get("/api/jobs?" + wrong).status, 400) << wrong;
  EXPECT_EQ(get("/api/jobs?since=2020-01-01&status=QUEUED").status, 200);
}

TEST_F(http_test, only_this_machine_and_its_own_page) {
  start();
  const auto with_host = [&](const std::string& host, const std::string& rest = "") {
    raw_client client(server->url());
    client.send("GET /api/jobs HTTP/1.1\r\nHost: " + host + "\r\n" + rest + "\r\n");
    return client.answer().status;
  };
  const auto own = server->url().substr(7);
  EXPECT_EQ(with_host(own), 200);
  EXPECT_EQ(with_host("localhost:1"), 200);
  EXPECT_EQ(with_host("[::1]:8080"), 200);
  for (auto host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "0.0.0.0", "", "10.1.2.3"})
    EXPECT_EQ(with_host(host), 403) << host;
  EXPECT_EQ(with_host(own, "Host: evil.example\r\n"), 400);
  EXPECT_EQ(with_host(own, "Origin: http://" + own + "\r\n"), 200);
  for (auto origin : {"http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"})
    EXPECT_EQ(with_host(own, std::string("Origin: ") + origin + "\r\n"), 403) << origin;
}

TEST_F(http_test, a_web_page_elsewhere_cannot_submit) {
  start();
  raw_client client(server->url());
  for (auto type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}) {
    EXPECT_EQ(client.post("/api/jobs", submission_text, type).status, 415) << type;
    EXPECT_EQ(client.post("/api/jobs/j1/cancel", "", type).status, 415) << type;
  }
  EXPECT_EQ(client.ask("POST", "/api/jobs", "", submission_text).status, 415);
  EXPECT_EQ(client.ask("POST", "/api/jobs/j1/cancel").status, 415);
  EXPECT_EQ(client
                .ask("POST", "/api/jobs", "Content-Type: application/json\r\nOrigin: http://evil.example\r\n",
                     submission_text)
                .status,
            403);
  EXPECT_EQ(client.ask("DELETE", "/api/jobs/j1", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(house.jobs.size(), 0u);
  EXPECT_EQ(client.post("/api/jobs", submission_text, "Application/JSON; charset=utf-8").status, 202);
}

TEST_F(http_test, other_users_need_the_token) {
  start({.node_uid = ::geteuid() + 1});
  EXPECT_EQ(get("/").status, 200);
  EXPECT_EQ(get("/healthz").status, 200);
  const auto refused = get("/api/jobs");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.headers.at("www-authenticate"), "Bearer");
  EXPECT_EQ(get("/metrics").status, 401);
  EXPECT_EQ(get("/api/jobs", "Authorization: Bearer " + std::string(64, '0') + "\r\n").status, 401);
  EXPECT_EQ(get("/api/jobs", "Authorization: Basic x\r\n").status, 401);
  std::string token;
  std::ifstream(house.directory / "token") >> token;
  ASSERT_EQ(token.size(), 64u);
  EXPECT_EQ(get("/api/jobs", "Authorization: Bearer " + token + "\r\n").status, 200);
  struct stat info {};
  ASSERT_EQ(::stat((house.directory / "token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  // A token that others could have read is not used again.
  server.reset();
  ::chmod((house.directory / "token").c_str(), 0644);
  const auto again = http_server::start({.listen = "127.0.0.1:0", .data_dir = house.directory}, house.doors());
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().text.find("others than its owner"), std::string::npos);
}

TEST_F(http_test, addresses_that_cannot_be_used) {
  EXPECT_FALSE(http_server::start({.listen = "0.0.0.0:0", .data_dir = house.directory}, house.doors()));
  EXPECT_FALSE(http_server::start({.listen = "127.0.0.1", .data_dir = house.directory}, house.doors()));
  start();
  const auto second =
      http_server::start({.listen = server->url().substr(7), .data_dir = house.directory}, house.doors());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().text.find("is in use by another program"), std::string::npos);
  auto incomplete = house.doors();
  incomplete.watch = nullptr;
  EXPECT_FALSE(http_server::start({.listen = "127.0.0.1:0", .data_dir = house.directory}, incomplete));
}

TEST_F(http_test, results_with_ranges_and_validators) {
  start();
  std::string content;
  for (int i = 0; i < 600'000; ++i) content += static_cast<char>(i * 7 + i / 256);
  std::ofstream(house.directory / "image.fits", std::ios::binary) << content;
  std::ofstream(house.directory / "preview.png", std::ios::binary) << "png";
  std::ofstream(house.directory / "empty.json");
  house.jobs["j1"] = {{"job_id", "j1"}, {"status", "COMPLETED"}, {"results", {"image.fits", "preview.png"}}};
  raw_client client(server->url());
  const std::string path = "/api/jobs/j1/results/image.fits";
  EXPECT_EQ(json::parse(client.ask("GET", "/api/jobs/j1/results").body)["results"][1]["url"],
            "/api/jobs/j1/results/preview.png");
  const auto whole = client.ask("GET", path);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.headers.at("content-type"), "application/fits");
  EXPECT_EQ(whole.headers.at("etag"), '"' + std::string(64, 'a') + '"');
  EXPECT_TRUE(whole.body == content);
  const auto part = client.ask("GET", path, "Range: bytes=1000-1999\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.headers.at("content-range"), "bytes 1000-1999/600000");
  EXPECT_TRUE(part.body == content.substr(1000, 1000));
  EXPECT_TRUE(client.ask("GET", path, "Range: bytes=-5\r\n").body == content.substr(599'995));
  EXPECT_TRUE(client.ask("GET", path, "Range: bytes=599999-\r\n").body == content.substr(599'999));
  EXPECT_EQ(client.ask("GET", path, "Range: bytes=599990-700000\r\n").body.size(), 10u);
  EXPECT_EQ(client.ask("GET", path, "Range: bytes=600000-\r\n").status, 416);
  for (auto whole_anyway : {"bytes=5-2", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6", "bytes=", "bytes=-"})
    EXPECT_EQ(client.ask("GET", path, std::string("Range: ") + whole_anyway + "\r\n").status, 200) << whole_anyway;
  EXPECT_EQ(client.ask("GET", path, "Range: bytes=0-9\r\nIf-Range: \"other\"\r\n").status, 200);
  EXPECT_EQ(client.ask("GET", path, "If-None-Match: " + whole.headers.at("etag") + "\r\n").status, 304);
  const auto head = client.ask("HEAD", path);
  EXPECT_EQ(head.headers.at("content-length"), "600000");
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1/results/preview.png").headers.at("content-type"), "image/png");
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1/results/empty.json").body, "");
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1/results/none.fits").status, 404);
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1/results/..%2Ftoken").status, 404);
  EXPECT_EQ(client.ask("GET", "/api/jobs/j1/results/..").status, 404);
}

TEST_F(http_test, replay_gives_every_event_in_order) {
  start();
  house.happen("a", job_submitted{.agent = "x", .dataset = "file:///x"});
  for (int i = 0; i < 1800; ++i) house.happen(i % 2 ? "a" : "b", job_metrics{.interval_s = 1});
  raw_client client(server->url());
  const auto all = client.ask("GET", "/api/events/replay");
  EXPECT_EQ(all.headers.at("content-type"), "application/x-ndjson");
  std::istringstream lines(all.body);
  std::uint64_t expected = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto e = event_from_json(line);
    ASSERT_TRUE(e) << e.error().text;
    EXPECT_EQ(e->position, ++expected);
  }
  EXPECT_EQ(expected, 1801u);
  EXPECT_EQ(std::ranges::count(client.ask("GET", "/api/events/replay?job_id=a&type=job.metrics").body, '\n'), 900);
  EXPECT_EQ(client.ask("GET", "/api/events/replay?end=2001-01-01").body, "");
  EXPECT_EQ(client.ask("GET", "/api/events/replay?start=2001-01-01&end=2000-01-01").status, 400);
  EXPECT_EQ(client.ask("GET", "/api/events/replay?type=job.exploded").status, 400);
  // HTTP/1.0 knows no chunks
  raw_client old(server->url());
  old.send("GET /api/events/replay?job_id=a HTTP/1.0\r\nHost: localhost\r\n\r\n");
  const auto plain = old.answer();
  EXPECT_FALSE(plain.headers.contains("transfer-encoding"));
  EXPECT_EQ(std::ranges::count(plain.body, '\n'), 901);
  // A job's own events have pages
  house.jobs["a"] = {{"job_id", "a"}};
  const auto page = json::parse(client.ask("GET", "/api/jobs/a/events?page_size=3").body);
  EXPECT_EQ(page["events"].size(), 3u);
  const auto next = json::parse(
      client.ask("GET", "/api/jobs/a/events?page_size=3&page_token=" + page["next_page_token"].get<std::string>())
          .body);
  EXPECT_GT(next["events"][0]["position"], page["events"][2]["position"]);
  EXPECT_TRUE(json::parse(client.ask("GET", "/api/jobs/a/events").body)["next_page_token"].is_null());
}

TEST_F(http_test, a_slow_replay_reader_slows_the_reading_down) {
  start();
  for (int i = 0; i < 40'000; ++i) house.happen("a", job_metrics{.interval_s = 1});
  raw_client client(server->url());
  client.send("GET /api/events/replay HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_EQ(client.head().status, 200);
  int before = -1;  // the reading stops by itself once the socket's buffers are full
  for (int quiet = 0; quiet < 20; quiet = house.reads == before ? quiet + 1 : 0) {
    before = house.reads;
    EXPECT_EQ(get("/healthz").status, 200);  // others are served meanwhile; this also gives the server time
    ::poll(nullptr, 0, 5);
  }
  EXPECT_LT(house.reads, 80);
}

TEST_F(http_test, the_live_stream_resumes_without_gap_or_repetition) {
  start({.heartbeat = milliseconds(50)});
  for (int i = 0; i < 1200; ++i) house.happen("a", job_metrics{.interval_s = 1});
  std::atomic<bool> go{true};
  std::thread writer([&] {  // events keep coming while the reader catches up
    for (int i = 0; i < 3000 && go; ++i) house.happen("a", job_metrics{.interval_s = 2});
  });
  raw_client client(server->url());
  client.send("GET /api/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 7\r\n\r\n");
  const auto head = client.head();
  EXPECT_EQ(head.headers.at("content-type"), "text/event-stream");
  std::uint64_t expected = 7;
  while (expected < 4200) {
    if (!client.await("id: ")) break;
    while (client.input.find('\n') == std::string::npos && client.more()) {
    }
    ASSERT_EQ(std::stoull(client.input), ++expected);
  }
  EXPECT_EQ(expected, 4200u);
  writer.join();
  EXPECT_TRUE(client.await(": still here"));
  EXPECT_TRUE(client.await(": still here"));
  client.close();
  EXPECT_TRUE(eventually([&] { return house.watching() == 0; })) << "a reader that left is still watched for";
}

TEST_F(http_test, a_live_reader_that_does_not_read_is_cut_off) {
  start({.write_max = milliseconds(20'000)});
  raw_client client(server->url());
  client.send("GET /api/stream?type=job.metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(client.await("events follow"));
  ASSERT_TRUE(eventually([&] { return house.watching() == 1; }));
  const auto cut = [&] { return get("/metrics").body.find("horizons_http_streams_cut_total 1") != std::string::npos; };
  for (int i = 0; i < 400 && !cut(); ++i)
    for (int j = 0; j < 200; ++j) house.happen("a", job_metrics{.interval_s = 1});
  EXPECT_TRUE(cut());
}

TEST_F(http_test, malformed_and_oversize_requests) {
  start();
  const auto status = [&](const std::string& bytes) {
    raw_client client(server->url());
    client.send(bytes);
    const auto a = client.answer();
    EXPECT_TRUE(client.closed_within(5000)) << bytes.substr(0, 60);
    return a.status;
  };
  EXPECT_EQ(status("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n"), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n"), 431);
  std::string many = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 150; ++i) many += "X" + std::to_string(i) + ": 1\r\n";
  EXPECT_EQ(status(many + "\r\n"), 431);
  EXPECT_EQ(status("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
                   "1048577\r\n\r\n"),
            413);
  EXPECT_EQ(status("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
            400);
  EXPECT_EQ(status("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(status("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: "
                   "chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(status("POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 400);
  EXPECT_EQ(status("\x16\x03\x01\x02\x01 a TLS greeting\r\n\r\n"), 400);
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), 400);  // no Host
  std::string chunked =
      "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunked += "10000\r\n" + std::string(65'536, ' ') + "\r\n";
  EXPECT_EQ(status(chunked + "0\r\n\r\n"), 413);
  EXPECT_EQ(get("/nothing/here").status, 404);
  EXPECT_EQ(problem_of(get("/api/dlq"))["instance"], "/api/dlq");
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(http_test, the_largest_body_that_is_allowed) {
  start();
  raw_client client(server->url());
  std::string body = submission_text;
  body.insert(1, std::string((1 << 20) - body.size(), ' '));
  client.send(
      "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: "
      "100-continue\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n");
  ASSERT_TRUE(client.await("100 Continue\r\n\r\n"));
  client.send(body);
  EXPECT_EQ(client.answer().status, 202);
}

TEST_F(http_test, slow_senders_are_dropped_and_others_are_served_meanwhile) {
  start({.idle_max = milliseconds(300), .header_max = milliseconds(300), .body_max = milliseconds(300)});
  raw_client idle(server->url()), header(server->url()), body(server->url());
  header.send("GET / HT");
  body.send(
      "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(idle.closed_within(5000));
  EXPECT_TRUE(body.closed_within(5000));
  // One byte now and then does not buy more time.
  bool open = true;
  while (open && std::chrono::steady_clock::now() - began < std::chrono::seconds(5))
    open = header.send("X") && (header.more(20) || header.timed_out) && !header.closed_within(20);
  EXPECT_FALSE(open);
}

TEST_F(http_test, pipelined_requests_are_answered_in_order) {
  start();
  house.jobs["j1"] = {{"job_id", "j1"}};
  raw_client client(server->url());
  std::string many;
  for (int i = 0; i < 200; ++i)
    many += "GET /api/jobs/" + std::string(i % 2 ? "j1" : "j2") + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send(many);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(client.answer().status, i % 2 ? 200 : 404) << i;
}

TEST_F(http_test, a_house_that_does_not_answer) {
  start({.answer_max = milliseconds(100)});
  raw_client client(server->url());
  EXPECT_EQ(client.ask("GET", "/api/jobs/mute1").status, 504);
  ASSERT_EQ(house.unanswered.size(), 1u);
  house.unanswered[0](json::object());  // too late: nobody is hurt
  raw_client waiting(server->url());
  waiting.send("GET /api/jobs/mute2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    const std::scoped_lock lock(house.mutex);
    return house.unanswered.size() == 2;
  }));
  server->stop(milliseconds(0));
  server.reset();
  house.unanswered[1](json::object());  // after the server is gone
}

TEST_F(http_test, connections_are_limited) {
  start({.connections_max = 50});
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<raw_client>(server->url()));
    ASSERT_EQ(clients.back()->ask("GET", "/healthz").status, 200);
  }
  raw_client one_more(server->url());
  EXPECT_EQ(one_more.answer().status, 503);
  EXPECT_TRUE(one_more.closed_within(5000));
  for (auto& client : clients) EXPECT_EQ(client->ask("GET", "/healthz").status, 200);
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    try {
      return get("/healthz").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  }));
}

TEST_F(http_test, stopping_lets_answers_finish_and_ends_streams) {
  start();
  raw_client stream(server->url()), waiting(server->url()), idle(server->url());
  stream.send("GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(stream.await("events follow"));
  waiting.send("GET /api/jobs/mute HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    const std::scoped_lock lock(house.mutex);
    return house.unanswered.size() == 1;
  }));
  std::thread stopper([&] { server->stop(milliseconds(5000)); });
  EXPECT_TRUE(stream.closed_within(5000));
  EXPECT_TRUE(idle.closed_within(5000));
  EXPECT_THROW(
      {
        while (true) raw_client(server->url()).ask("GET", "/healthz");
      },
      std::exception);
  house.unanswered[0](json{{"job_id", "mute"}});
  EXPECT_EQ(waiting.answer().status, 200);
  stopper.join();
  EXPECT_EQ(house.watching(), 0u);
}

TEST_F(http_test, health_metrics_description_and_page) {
  start();
  EXPECT_EQ(get("/readyz").status, 200);
  house.is_ready = false;
  const auto down = get("/readyz");
  EXPECT_EQ(down.status, 503);
  EXPECT_EQ(problem_of(down)["checks"]["journal"], "down: disk full");
  const auto metrics = get("/metrics").body;
  EXPECT_NE(metrics.find("house_up 1"), std::string::npos);
  EXPECT_NE(metrics.find("horizons_http_requests_total{route=\"GET /readyz\",status=\"503\"} 1"), std::string::npos)
      << metrics;
  EXPECT_NE(metrics.find("horizons_http_request_seconds_bucket{le=\"+Inf\"} 2"), std::string::npos) << metrics;
  const auto description = json::parse(get("/openapi.json").body);
  EXPECT_EQ(description["openapi"], "3.1.0");
  EXPECT_TRUE(description["paths"]["/api/jobs"].contains("post"));
  EXPECT_TRUE(description["paths"]["/api/jobs/{id}/results/{name}"].contains("get"));
  EXPECT_EQ(description["components"]["schemas"]["submission"]["properties"]["priority"]["default"], 3);
  EXPECT_EQ(json::parse(get("/api/tree").body)["name"], "horizons");
  EXPECT_EQ(get("/api/agents").status, 200);
  EXPECT_EQ(get("/api/cluster").status, 200);
  const auto page = get("/");
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_NE(page.headers.at("content-security-policy").find("script-src 'self'"), std::string::npos);
  EXPECT_EQ(page.headers.at("x-content-type-options"), "nosniff");
  EXPECT_NE(page.body.find("<!doctype html>"), std::string::npos);
  EXPECT_EQ(page.body.find("<script>"), std::string::npos) << "the policy forbids scripts inside the page";
  int files = 0;
  for (const std::string start : {"href=\"/", "src=\"/"}) {  // every file that it names is served
    for (std::size_t at = page.body.find(start); at != std::string::npos; at = page.body.find(start, at + 1)) {
      const auto from = at + start.size() - 1;
      const auto path = page.body.substr(from, page.body.find('"', from) - from);
      EXPECT_EQ(get(path).status, 200) << path;
      ++files;
    }
  }
  EXPECT_EQ(files, 2);
}

TEST_F(http_test, random_bytes_never_stop_the_server) {
  start({.header_max = milliseconds(200), .body_max = milliseconds(200)});
  std::mt19937 random(3);
  const std::string seeds[] = {
      "GET /api/jobs?status=QUEUED HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-5\r\n\r\n",
      "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
      "GET /api/jobs/%41%zz/results/x?y=%00 HTTP/1.0\r\nHost: [::1]\r\nLast-Event-ID: 3\r\n\r\n"};
  for (int i = 0; i < 600; ++i) {
    std::string bytes = seeds[random() % 3];
    for (auto n = random() % 12; n > 0; --n) {
      const auto at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, random() % 5);
          break;
        default:
          bytes.insert(at, std::string(random() % 4, static_cast<char>(random())));
      }
      if (bytes.empty()) bytes = "\r";
    }
    raw_client client(server->url());
    client.send(bytes);
    if (i % 3 == 0) client.more(5);
  }
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST(socket_owner_test, the_kernel_knows_whose_socket_it_is) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  socklen_t size = sizeof at;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  sockaddr_in own{};
  size = sizeof own;
  ::getsockname(client, reinterpret_cast<sockaddr*>(&own), &size);
  const endpoint peer{"127.0.0.1", ntohs(own.sin_port)}, server{"127.0.0.1", ntohs(at.sin_port)};
  EXPECT_EQ(socket_owner(peer, server), ::geteuid());
  EXPECT_EQ(socket_owner(server, {"127.0.0.1", 1}), std::nullopt);
  ::close(client);
  ::close(listener);
}

}  // namespace
}  // namespace horizons::http
