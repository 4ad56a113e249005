// One connection: reads requests within limits and deadlines, one after the other, and writes their answers. The only
// place that knows HTTP's wire form (Boost.Beast parses it). Everything of a connection runs on its own strand.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "gateways/http/door.hpp"
#include "gateways/http/server.hpp"

namespace horizons::http {

class connection;

/// What the connections share. It lives until the last answer of the house has come back, even after the server.
struct shared_state {
  shared_state(http_options o, services s, access_rules rules)
      : options(std::move(o)), front(std::move(s), std::move(rules)) {}

  const http_options options;
  boost::asio::io_context io;
  door front;

  std::mutex mutex;
  std::condition_variable all_closed;
  std::unordered_map<connection*, std::weak_ptr<connection>> connections;
  bool stopping = false;
};

/// Takes the socket over; a connection above the limit is told so and closed.
void serve(std::shared_ptr<shared_state> state, boost::asio::ip::tcp::socket socket);

/// Ends every connection: idle ones and endless streams at once, others after their answer, or now.
void end_connections(shared_state& state, bool now);

}  // namespace horizons::http
