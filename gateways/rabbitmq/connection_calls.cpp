// What a connection asks the broker and writes to it; opening and reading are in connection.cpp.
#include "gateways/rabbitmq/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace horizons::rabbitmq {

namespace {

using namespace std::chrono_literals;

constexpr auto drain_every = 100ms;

void cork(amqp_connection_state_t state, int on) {
  ::setsockopt(amqp_get_sockfd(state), IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

error_code code_of(int amqp_code) {
  switch (amqp_code) {
    case 403:
      return error_code::forbidden;
    case 404:
      return error_code::not_found;
    case 405:  // resource locked: somebody's exclusive queue
    case 406:
      return error_code::conflict;
    default:
      return error_code::internal;
  }
}

}  // namespace

// -- questions --------------------------------------------------------------------------------------------------------

/// What the last question came to. `what` says what was wanted, so that a refusal shows both sides.
result<void> connection::answer_of(std::uint16_t channel, const std::string& what) {
  const auto reply = amqp_get_rpc_reply(state_);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
    amqp_maybe_release_buffers_on_channel(state_, channel);
    return {};
  }
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) {
    if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
      const auto& close = *static_cast<amqp_channel_close_t*>(reply.reply.decoded);
      error refused{code_of(close.reply_code),
                    what + " was refused by " + peer_ + ": " + std::string(to_view(close.reply_text))};
      amqp_channel_close_ok_t ok{};
      amqp_send_method(state_, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
      amqp_maybe_release_buffers_on_channel(state_, channel);
      assemblies_[channel] = {};
      return failure(std::move(refused));
    }
    if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
      const auto& close = *static_cast<amqp_connection_close_t*>(reply.reply.decoded);
      return failure(lost(what + " was refused: " + std::string(to_view(close.reply_text))));
    }
  }
  return failure(lost(what + ": " + amqp_error_string2(reply.library_error)));
}

connection::call::~call() {
  if (of_.broken_.empty() && of_.has_more()) of_.watch_.announce();
}

result<void> connection::open_channel(std::uint16_t channel) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  assemblies_[channel] = {};
  amqp_channel_open(state_, channel);
  return answer_of(channel, "opening channel " + std::to_string(channel));
}

void connection::close_channel(std::uint16_t channel) {
  if (!broken_.empty()) return;
  const call running(*this);
  const auto reply = amqp_channel_close(state_, channel, AMQP_REPLY_SUCCESS);
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) lost("closing channel " + std::to_string(channel));
  // The library has put aside what came before the answer. Numbers begin anew on this channel: a confirm of then would
  // be taken for one of a later publish.
  while (broken_.empty() && amqp_frames_enqueued(state_) && read_frame(0ms)) {
  }
  assemblies_[channel] = {};
  std::erase_if(waiting_, [channel](const broker_event& e) {  // what it said before it was closed is of no use
    return std::visit(
        [channel](const auto& each) {
          if constexpr (requires { each->channel; })
            return each->channel == channel;
          else if constexpr (requires { each.channel; })
            return each.channel == channel;
          else
            return false;
        },
        e);
  });
}

result<void> connection::confirm_select(std::uint16_t channel) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_confirm_select(state_, channel);
  return answer_of(channel, "publisher confirms");
}

result<void> connection::open_confirming(std::uint16_t channel) {
  auto open = open_channel(channel);
  return open ? confirm_select(channel) : open;
}

result<void> connection::reopen_confirming(std::uint16_t channel) {
  close_channel(channel);
  return open_confirming(channel);
}

result<void> connection::prefetch(std::uint16_t channel, std::uint16_t messages) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_basic_qos(state_, channel, 0, messages, 0);  // per consumer: quorum queues know no other
  return answer_of(channel, "prefetch " + std::to_string(messages));
}

result<void> connection::declare_exchange(std::uint16_t channel, const std::string& name, const std::string& type,
                                          bool durable) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_exchange_declare(state_, channel, to_bytes(name), to_bytes(type), 0, durable, 0, 0, amqp_empty_table);
  return answer_of(channel, "exchange " + name + " (" + type + (durable ? ", durable" : ", transient") + ")");
}

result<queue_state> connection::declare_queue(std::uint16_t channel, const std::string& name, bool durable,
                                              const field_table& arguments) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  table_builder tables;
  const auto* ok = amqp_queue_declare(state_, channel, to_bytes(name), 0, durable, 0, 0, tables.build(arguments));
  queue_state state;
  if (ok) state = {ok->message_count, ok->consumer_count};
  auto answer = answer_of(
      channel, "queue " + name + " (" + (durable ? "durable, " : "transient, ") + to_text({'F', arguments}) + ")");
  if (!answer) return failure(std::move(answer.error()));
  return state;
}

result<queue_state> connection::queue_depth(std::uint16_t channel, const std::string& name) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  const auto* ok = amqp_queue_declare(state_, channel, to_bytes(name), 1, 0, 0, 0, amqp_empty_table);
  queue_state state;
  if (ok) state = {ok->message_count, ok->consumer_count};
  auto answer = answer_of(channel, "looking at queue " + name);
  if (!answer) return failure(std::move(answer.error()));
  return state;
}

result<void> connection::bind(std::uint16_t channel, const std::string& queue, const std::string& exchange,
                              const std::string& routing_key) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_queue_bind(state_, channel, to_bytes(queue), to_bytes(exchange), to_bytes(routing_key), amqp_empty_table);
  return answer_of(channel, "binding queue " + queue + " to " + exchange);
}

result<void> connection::consume(std::uint16_t channel, const std::string& queue, const std::string& consumer) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_basic_consume(state_, channel, to_bytes(queue), to_bytes(consumer), 0, 0, 0, amqp_empty_table);
  return answer_of(channel, "consuming " + queue);
}

result<void> connection::cancel(std::uint16_t channel, const std::string& consumer) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  amqp_basic_cancel(state_, channel, to_bytes(consumer));
  return answer_of(channel, "ending consumer " + consumer);
}

result<delivery_ptr> connection::get(std::uint16_t channel, const std::string& queue) {
  if (!broken_.empty()) return failure(lost(broken_));
  const auto end = std::chrono::steady_clock::now() + options_.answer_max;
  const call running(*this);
  const amqp_rpc_reply_t reply = amqp_basic_get(state_, channel, to_bytes(queue), 0);
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
    auto answer = answer_of(channel, "reading queue " + queue);
    return failure(answer ? lost("reading queue " + queue) : std::move(answer.error()));
  }
  if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
    amqp_maybe_release_buffers_on_channel(state_, channel);
    return nullptr;
  }
  const auto& ok = *static_cast<amqp_basic_get_ok_t*>(reply.reply.decoded);
  auto& coming = assemblies_[channel].begin<delivery>();
  coming.channel = channel;
  coming.tag = ok.delivery_tag;
  coming.redelivered = ok.redelivered != 0;
  coming.what.exchange = to_view(ok.exchange);
  coming.what.routing_key = to_view(ok.routing_key);
  assemblies_[channel].asked_for = true;
  got_.reset();
  while (!got_) {
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    auto more = left > 0ms ? read_frame(left) : result<bool>(false);
    if (!more) return failure(std::move(more.error()));
    if (!*more) return failure(lost("the message of queue " + queue + " did not come"));
  }
  return std::move(got_);
}

// -- writing ----------------------------------------------------------------------------------------------------------

result<void> connection::ack(std::uint16_t channel, std::uint64_t tag, bool multiple) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  if (const int status = amqp_basic_ack(state_, channel, tag, multiple); status != AMQP_STATUS_OK)
    return failure(lost_status(status));
  return {};
}

result<void> connection::nack(std::uint16_t channel, std::uint64_t tag, bool multiple, bool requeue) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  if (const int status = amqp_basic_nack(state_, channel, tag, multiple, requeue); status != AMQP_STATUS_OK)
    return failure(lost_status(status));
  return {};
}

connection::burst::burst(connection& c) : connection_(c) { cork(c.state_, 1); }
connection::burst::~burst() { cork(connection_.state_, 0); }

result<void> connection::publish(std::uint16_t channel, const message& m, bool mandatory) {
  if (!broken_.empty()) return failure(lost(broken_));
  const call running(*this);
  if (std::chrono::steady_clock::now() - drained_at_ > drain_every) {
    while (true) {
      auto more = read_frame(0ms);
      if (!more) return failure(std::move(more.error()));
      if (!*more) break;
    }
  }
  tables_.clear();
  const auto properties = to_wire(m.properties, tables_);
  if (const int status = amqp_basic_publish(state_, channel, to_bytes(m.exchange), to_bytes(m.routing_key), mandatory,
                                            0, &properties, to_bytes(m.body));
      status != AMQP_STATUS_OK)
    return failure(lost_status(status));
  return {};
}

}  // namespace horizons::rabbitmq
