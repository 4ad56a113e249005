// A small HTTP server on loopback whose answers a test writes: one thread, one connection at a time, every answer
// closes it. It can be silent, send garbage, or send without end.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

namespace horizons::test {

struct http_request {
  std::string method;
  std::string path;
  std::string head;
  std::string body;
};

class http_stub {
public:
  /// What goes over the wire, as it is; nothing: be silent until the client gives up.
  using handler = std::function<std::string(const http_request&)>;

  explicit http_stub(handler answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no loopback socket");
    port_ = ntohs(address.sin_port);
    server_ = std::jthread([this](std::stop_token stop) { serve(stop); });
  }
  ~http_stub() {
    server_.request_stop();
    server_ = {};
    close(listener_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int requests() const { return requests_; }

  static std::string reply(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }

private:
  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waiting{listener_, POLLIN, 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) continue;
      http_request request;
      if (receive(client, request)) {
        ++requests_;
        const auto text = answer_(request);
        for (std::size_t sent = 0; sent < text.size();) {
          const auto n = send(client, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
          if (n <= 0) break;
          sent += static_cast<std::size_t>(n);
        }
        if (text.empty()) wait_for_close(client, stop);
      }
      shutdown(client, SHUT_RDWR);
      close(client);
    }
  }

  static bool receive(int client, http_request& request) {
    std::string all;
    char part[4096];
    std::size_t body_at = std::string::npos, body_bytes = 0;
    while (body_at == std::string::npos || all.size() < body_at + body_bytes) {
      const auto n = recv(client, part, sizeof part, 0);
      if (n <= 0) return false;
      all.append(part, static_cast<std::size_t>(n));
      if (body_at == std::string::npos && (body_at = all.find("\r\n\r\n")) != std::string::npos) {
        body_at += 4;
        if (const auto at = all.find("Content-Length: "); at < body_at) body_bytes = std::stoul(all.substr(at + 16));
      }
    }
    request.head = all.substr(0, body_at);
    request.body = all.substr(body_at);
    request.method = all.substr(0, all.find(' '));
    const auto path = all.find(' ') + 1;
    request.path = all.substr(path, all.find(' ', path) - path);
    return true;
  }

  static void wait_for_close(int client, const std::stop_token& stop) {
    pollfd closed{client, POLLIN, 0};
    while (!stop.stop_requested() && poll(&closed, 1, 20) == 0) continue;
  }

  handler answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> requests_ = 0;
  std::jthread server_;
};

}  // namespace horizons::test
