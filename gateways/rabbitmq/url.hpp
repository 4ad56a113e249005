// One address of a broker: "amqp://user:password@host:5672/vhost", "amqps://…?cacertfile=/etc/ca.pem". The query
// parameters are those of RabbitMQ's own URIs (cacertfile, certfile, keyfile, verify), and password_file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::rabbitmq {

struct endpoint {
  std::string host;
  std::uint16_t port = 5672;
  std::string vhost = "/";
  std::string user = "guest", password = "guest";
  bool tls = false;
  std::string cacertfile;         // PEM; empty: the system's
  std::string certfile, keyfile;  // both or none
  bool verify = true;             // the server's certificate and its name; false with verify=verify_none

  /// "amqps://host:5671/vhost": for logs and error texts; never user or password.
  std::string name() const;
};

/// User, password and vhost are percent-decoded; without a path, or with "/" alone, the vhost is "/". `password_file`
/// is read here: its first line is the password. Errors name the part that is wrong, never user or password.
result<endpoint> parse_url(std::string_view url);

}  // namespace horizons::rabbitmq
