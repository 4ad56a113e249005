// A client of bare sockets: sends any bytes, reads answers, with a deadline on everything.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>

namespace horizons::http {

struct raw_answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class raw_client {
public:
  explicit raw_client(const std::string& url) {
    port_ = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port_), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("cannot connect");
  }
  ~raw_client() { close(); }
  raw_client(const raw_client&) = delete;

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }

  /// False when the server has closed.
  bool send(const std::string& bytes) {
    std::size_t at = 0;
    while (at < bytes.size()) {
      const auto sent = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<std::size_t>(sent);
    }
    return true;
  }

  /// Reads more into `input`; false at the end or after the deadline.
  bool more(int timeout_ms = 5000) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, timeout_ms) <= 0) {
      timed_out = true;
      return false;
    }
    char buffer[65536];
    const auto got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) return false;
    input.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  /// Whether the server closes within the time.
  bool closed_within(int timeout_ms) {
    while (more(timeout_ms)) {
    }
    return !timed_out;
  }

  /// Reads until `text` is in the input (and drops everything up to and with it); false when it does not come.
  bool await(const std::string& text, int timeout_ms = 5000) {
    for (;;) {
      if (const auto at = input.find(text); at != std::string::npos) {
        input.erase(0, at + text.size());
        return true;
      }
      if (!more(timeout_ms)) return false;
    }
  }

  /// The head of the next answer; the body stays in the input. Status 0: none came.
  raw_answer head() {
    raw_answer a;
    while (input.find("\r\n\r\n") == std::string::npos)
      if (!more()) return a;
    const auto end = input.find("\r\n\r\n");
    const auto text = input.substr(0, end + 2);
    input.erase(0, end + 4);
    a.status = std::stoi(text.substr(9, 3));
    for (auto from = text.find("\r\n") + 2; from < text.size();) {
      const auto line_end = text.find("\r\n", from);
      const auto colon = text.find(": ", from);
      auto name = text.substr(from, colon - from);
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      a.headers[name] = text.substr(colon + 2, line_end - colon - 2);
      from = line_end + 2;
    }
    return a;
  }

  raw_answer answer(bool is_head = false) {
    auto a = head();
    if (is_head || a.status == 304 || a.status == 0) return a;
    if (a.headers.contains("content-length")) {
      const auto length = std::stoul(a.headers["content-length"]);
      while (input.size() < length && more()) {
      }
      a.body = input.substr(0, length);
      input.erase(0, length);
    } else if (a.headers.contains("transfer-encoding")) {
      for (;;) {
        while (input.find("\r\n") == std::string::npos)
          if (!more()) return a;
        const auto length = std::stoul(input, nullptr, 16);
        input.erase(0, input.find("\r\n") + 2);
        while (input.size() < length + 2)
          if (!more()) return a;
        a.body += input.substr(0, length);
        input.erase(0, length + 2);
        if (length == 0) break;
      }
    } else {
      while (more()) {
      }
      a.body = std::exchange(input, {});
    }
    return a;
  }

  raw_answer ask(const std::string& method, const std::string& target, const std::string& headers = "",
                 const std::string& body = "") {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: " + host() + "\r\n" + headers;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(text + "\r\n" + body);
    return answer(method == "HEAD");
  }

  raw_answer post(const std::string& target, const std::string& body, const std::string& type = "application/json") {
    return ask("POST", target, "Content-Type: " + type + "\r\n", body);
  }

  std::string input;
  bool timed_out = false;

private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace horizons::http
