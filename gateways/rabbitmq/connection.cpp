#include "gateways/rabbitmq/connection.hpp"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

#include "messages/text.hpp"

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds goodbye_max = 1s;  // a node that stops does not wait for a frozen broker
constexpr std::size_t spare_max = 64, spare_body_max = 16 * 1024;  // deliveries that are kept for reuse: 1 MiB
constexpr int frame_bytes_max = AMQP_DEFAULT_FRAME_SIZE;

timeval to_timeval(std::chrono::milliseconds t) {
  return {static_cast<time_t>(t.count() / 1000), static_cast<suseconds_t>(t.count() % 1000 * 1000)};
}

/// Sockets are the library's; what it leaves at the kernel's defaults is set here (R1).
void set_socket_options(int fd, const connection_options& o) {
  const auto set = [fd](int level, int name, const auto& value) {
    ::setsockopt(fd, level, name, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(SOL_SOCKET, SO_SNDTIMEO, to_timeval(o.answer_max));
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<unsigned>(std::max<std::int64_t>(2'000L * o.heartbeat_s, 1'000)));
}

result<amqp_socket_t*> make_socket(amqp_connection_state_t state, const endpoint& where) {
  const auto wrong = [&](const std::string& what) {
    return failure(error_code::invalid_argument, "rabbitmq " + where.name() + ": " + what);
  };
  if (!where.tls) return amqp_tcp_socket_new(state);
  amqp_socket_t* socket = amqp_ssl_socket_new(state);
  if (!socket) return wrong("no TLS context");
  auto* context = static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket));
  if (where.cacertfile.empty())
    SSL_CTX_set_default_verify_paths(context);
  else if (amqp_ssl_socket_set_cacert(socket, where.cacertfile.c_str()) != AMQP_STATUS_OK)
    return wrong("cacertfile " + quote(where.cacertfile, 256) + " is not a readable PEM file");
  if (!where.certfile.empty() &&
      amqp_ssl_socket_set_key(socket, where.certfile.c_str(), where.keyfile.c_str()) != AMQP_STATUS_OK)
    return wrong("certfile " + quote(where.certfile, 256) + " and keyfile " + quote(where.keyfile, 256) +
                 " are not a PEM certificate and its key");
  amqp_ssl_socket_set_verify_peer(socket, where.verify);
  amqp_ssl_socket_set_verify_hostname(socket, where.verify);
  amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
  return socket;
}

}  // namespace

connection::connection(amqp_connection_state_t state, socket_watch& watch, const connection_options& options,
                       std::string peer)
    : state_(state), watch_(watch), options_(options), peer_(std::move(peer)), drained_at_(clock::now()) {}

connection::~connection() {
  {
    socket_watch::limit limit(watch_, std::min(options_.answer_max, goodbye_max));
    if (broken_.empty()) amqp_connection_close(state_, AMQP_REPLY_SUCCESS);
  }
  watch_.watch(-1);
  amqp_destroy_connection(state_);
}

result<std::unique_ptr<connection>> connection::open(const endpoint& where, const connection_options& options,
                                                     socket_watch& watch) {
  const auto state = amqp_new_connection();
  if (!state) return failure(error_code::internal, "rabbitmq: no memory for a connection");
  std::unique_ptr<connection> c(new connection(state, watch, options, where.name()));
  c->broken_ = "not connected yet";
  auto socket = make_socket(state, where);
  if (!socket) return failure(std::move(socket.error()));
  const timeval limit = to_timeval(options.connect_max), answer = to_timeval(options.answer_max);
  amqp_set_handshake_timeout(state, &limit);
  amqp_set_rpc_timeout(state, &answer);
  if (const int status = amqp_socket_open_noblock(*socket, where.host.c_str(), where.port, &limit);
      status != AMQP_STATUS_OK)
    return failure(c->lost_status(status));
  set_socket_options(amqp_get_sockfd(state), options);
  watch.watch(amqp_get_sockfd(state));
  c->broken_.clear();
  if (auto in = c->login(where); !in) return failure(std::move(in.error()));
  return c;
}

result<void> connection::login(const endpoint& where) {
  field_table capabilities{{"consumer_cancel_notify", field::truth(true)},
                           {"connection.blocked", field::truth(true)},
                           {"basic.nack", field::truth(true)},
                           {"publisher_confirms", field::truth(true)},
                           {"authentication_failure_close", field::truth(true)}};
  const field_table about{{"capabilities", {'F', std::move(capabilities)}},
                          {"connection_name", field::text(options_.name)},
                          {"product", field::text("Cosmic Horizons Runtime")}};
  table_builder tables;
  const amqp_table_t table = tables.build(about);
  socket_watch::limit limit(watch_, options_.connect_max + 1s);
  const auto reply =
      amqp_login_with_properties(state_, where.vhost.c_str(), 0, frame_bytes_max, options_.heartbeat_s, &table,
                                 AMQP_SASL_METHOD_PLAIN, where.user.c_str(), where.password.c_str());
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    const auto* close = static_cast<amqp_connection_close_t*>(reply.reply.decoded);
    const int code = close->reply_code;
    auto why = lost("login refused: " + std::string(to_view(close->reply_text)));
    why.code = code == 403 || code == 530 ? error_code::forbidden : error_code::unavailable;
    return failure(std::move(why));
  }
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) return failure(lost_status(reply.library_error));
  heartbeat_ = std::chrono::seconds(amqp_get_heartbeat(state_));
  if (const auto* properties = amqp_get_server_properties(state_))
    if (auto known = read_table(*properties)) cluster_name_ = text_of(*known, "cluster_name");
  return {};
}

// -- reading ----------------------------------------------------------------------------------------------------------

result<std::optional<broker_event>> connection::next(milliseconds wait) {
  const auto now = [&] { return wait > 0ms ? clock::now() : clock::time_point{}; };  // not for each message
  const auto end = now() + wait;
  const socket_watch::limit limit(watch_, wait + options_.answer_max);
  while (waiting_.empty()) {
    const auto left = std::chrono::ceil<milliseconds>(end - now());
    auto more = read_frame(std::max(left, 0ms));
    if (!more) return failure(std::move(more.error()));
    if (!*more) return std::nullopt;
  }
  auto event = std::move(waiting_.front());
  waiting_.pop_front();
  return event;
}

bool connection::has_more() const {
  return !waiting_.empty() || amqp_frames_enqueued(state_) || amqp_data_in_buffer(state_);
}

nap::ended connection::wait(nap& in, std::chrono::microseconds at_most) const {
  return in.wait(amqp_get_sockfd(state_), at_most);
}

result<bool> connection::read_frame(milliseconds wait) {
  if (!broken_.empty()) return failure(lost(broken_));
  amqp_frame_t frame;
  const timeval time = to_timeval(wait);
  const int status = amqp_simple_wait_frame_noblock(state_, &frame, &time);
  if (status == AMQP_STATUS_TIMEOUT) {
    drained_at_ = clock::now();
    return false;
  }
  if (status != AMQP_STATUS_OK) return failure(lost_status(status));
  if (auto taken = take(frame); !taken) return failure(std::move(taken.error()));
  // R7: else the pools only grow. Of a message once, with its body.
  if (frame.frame_type == AMQP_FRAME_BODY || !assemblies_[frame.channel].into)
    amqp_maybe_release_buffers_on_channel(state_, frame.channel);
  return true;
}

result<void> connection::take(const amqp_frame_t& frame) {
  if (frame.channel >= channels_max) return failure(lost("a frame on a channel that was never opened"));
  assembly& a = assemblies_[frame.channel];
  if (frame.frame_type == AMQP_FRAME_METHOD) return take_method(frame);
  if (frame.frame_type == AMQP_FRAME_HEARTBEAT) return {};
  if (!a.into) return {};  // the rest of a message whose channel was closed
  if (frame.frame_type == AMQP_FRAME_HEADER && !a.has_header) {
    take_header(a, frame);
  } else if (frame.frame_type == AMQP_FRAME_BODY && a.has_header) {
    const auto part = to_view(frame.payload.body_fragment);
    if (part.size() > a.missing) return failure(lost("a body is longer than its header says"));
    message& m = *a.into;
    if (m.fault.empty()) m.body.append(part);
    a.missing -= part.size();
  } else {
    return failure(lost("a frame out of order"));
  }
  if (a.missing == 0) finish(a);
  return {};
}

void connection::take_header(assembly& a, const amqp_frame_t& frame) {
  const auto& decoded = *static_cast<amqp_basic_properties_t*>(frame.payload.properties.decoded);
  message& m = *a.into;
  from_wire(decoded, m.properties);
  if (decoded._flags & AMQP_BASIC_HEADERS_FLAG) {
    auto headers = read_table(decoded.headers);
    if (headers)
      m.properties.headers = std::move(*headers);
    else
      m.fault = std::move(headers.error().text);
  }
  a.has_header = true;
  a.missing = frame.payload.properties.body_size;
  if (a.missing > body_bytes_max)
    m.fault = "the body has " + std::to_string(a.missing) + " bytes; at most " + std::to_string(body_bytes_max);
  else
    m.body.reserve(a.missing);
}

void connection::reuse(delivery_ptr d) {
  if (!d || spare_.size() == spare_max || d->what.body.capacity() > spare_body_max) return;
  d->what.body.clear();
  d->what.fault.clear();
  spare_.push_back(std::move(d));
}

delivery_ptr connection::fresh_delivery() {
  if (spare_.empty()) return std::make_unique<delivery>();
  auto d = std::move(spare_.back());  // the last one is in the processor's cache still
  spare_.pop_back();
  return d;
}

void connection::finish(assembly& a) {
  a.into = nullptr;
  if (a.asked_for)
    got_ = std::move(std::get<delivery_ptr>(a.event));
  else
    waiting_.push_back(std::move(a.event));
}

result<void> connection::take_method(const amqp_frame_t& frame) {
  assembly& a = assemblies_[frame.channel];
  const void* decoded = frame.payload.method.decoded;
  switch (frame.payload.method.id) {
    case AMQP_BASIC_DELIVER_METHOD: {
      const auto& m = *static_cast<const amqp_basic_deliver_t*>(decoded);
      auto& d = a.begin(fresh_delivery());
      d.channel = frame.channel;
      d.tag = m.delivery_tag;
      d.redelivered = m.redelivered != 0;
      d.what.exchange = to_view(m.exchange);
      d.what.routing_key = to_view(m.routing_key);
      return {};
    }
    case AMQP_BASIC_RETURN_METHOD: {
      const auto& m = *static_cast<const amqp_basic_return_t*>(decoded);
      auto& r = a.begin<returned>();
      r.channel = frame.channel;
      r.code = m.reply_code;
      r.text = to_view(m.reply_text);
      r.what.exchange = to_view(m.exchange);
      r.what.routing_key = to_view(m.routing_key);
      return {};
    }
    case AMQP_BASIC_ACK_METHOD: {
      const auto& m = *static_cast<const amqp_basic_ack_t*>(decoded);
      waiting_.push_back(confirmed{frame.channel, m.delivery_tag, m.multiple != 0, true});
      return {};
    }
    case AMQP_BASIC_NACK_METHOD: {
      const auto& m = *static_cast<const amqp_basic_nack_t*>(decoded);
      waiting_.push_back(confirmed{frame.channel, m.delivery_tag, m.multiple != 0, false});
      return {};
    }
    case AMQP_BASIC_CANCEL_METHOD: {
      const auto& m = *static_cast<const amqp_basic_cancel_t*>(decoded);
      waiting_.push_back(cancelled{frame.channel, std::string(to_view(m.consumer_tag))});
      return {};
    }
    case AMQP_CHANNEL_CLOSE_METHOD: {
      const auto& m = *static_cast<const amqp_channel_close_t*>(decoded);
      waiting_.push_back(channel_closed{frame.channel, m.reply_code, std::string(to_view(m.reply_text))});
      amqp_channel_close_ok_t ok{};
      amqp_send_method(state_, frame.channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
      a = {};
      return {};
    }
    case AMQP_CONNECTION_CLOSE_METHOD: {
      const auto& m = *static_cast<const amqp_connection_close_t*>(decoded);
      auto why = lost("closed by the broker: " + std::string(to_view(m.reply_text)));
      amqp_connection_close_ok_t ok{};
      amqp_send_method(state_, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
      return failure(std::move(why));
    }
    case AMQP_CONNECTION_BLOCKED_METHOD: {
      const auto& m = *static_cast<const amqp_connection_blocked_t*>(decoded);
      waiting_.push_back(blocked{std::string(to_view(m.reason))});
      return {};
    }
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
      waiting_.push_back(unblocked{});
      return {};
    default:
      return {};  // late answers to what was given up
  }
}

// -- the end ----------------------------------------------------------------------------------------------------------

error connection::lost(const std::string& why) {
  if (broken_.empty()) broken_ = why;
  return {error_code::unavailable, "rabbitmq " + peer_ + ": " + broken_};
}

error connection::lost_status(int status) {
  std::string why = amqp_error_string2(status);
  if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
    why = "no heartbeat for " + std::to_string(2 * options_.heartbeat_s) + " s";
  if (broken_ == "not connected yet") broken_.clear();
  return lost(why);
}

}  // namespace horizons::rabbitmq
