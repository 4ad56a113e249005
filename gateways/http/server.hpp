// The HTTP door: listens, keeps connections within limits, and stops in order. What is answered is door.hpp's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "gateways/http/services.hpp"
#include "messages/result.hpp"

namespace horizons::http {

struct http_options {
  std::string listen = "127.0.0.1:8080";             // loopback only (open mode); port 0: any free one
  std::filesystem::path data_dir = "horizons-data";  // where the token lies
  unsigned threads = 2;                              // for sockets only: the house works elsewhere
  std::size_t connections_max = 1024;                // more are answered 503; 9 KiB each when idle
  std::uint32_t header_bytes_max = 16 * 1024;
  std::uint64_t body_bytes_max = 1 << 20;        // as one message on the brokers
  std::chrono::milliseconds idle_max{60'000};    // between two requests
  std::chrono::milliseconds header_max{10'000};  // from the first byte to the last of the header
  std::chrono::milliseconds body_max{30'000};    // the same for the body
  std::chrono::milliseconds write_max{30'000};   // one piece of an answer (256 KiB at most, but for lists)
  std::chrono::milliseconds answer_max{30'000};  // until the house answers
  std::chrono::milliseconds heartbeat{15'000};   // of streams that wait
  std::optional<uid_t> node_uid;                 // whose sockets are trusted; default: this process's user
};

class http_server {
public:
  /// Serves when it returns. Errors: the address is no loopback address, is in use, or the token cannot be made.
  static result<std::unique_ptr<http_server>> start(http_options options, services s);

  virtual ~http_server() = default;  // stops without grace when stop() was not called

  /// "http://127.0.0.1:8080": with the port that was chosen.
  virtual std::string url() const = 0;
  /// No new connections; requests in progress go on.
  virtual void stop_accepting() = 0;
  /// Lets answers finish for at most `grace`, then closes what is left. Returns when all threads have ended.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace horizons::http
