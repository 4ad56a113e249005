// What crosses between nodes: one versioned envelope around MessagePack, never the messages themselves. It survives
// rolling upgrades and keeps every floating-point number away from the transport's own serializer, which an infinity
// hangs. Nothing here sends anything.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "messages/check.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/codec/msgpack_value.hpp"
#include "messages/description.hpp"
#include "messages/result.hpp"

namespace horizons {

struct remote_envelope {
  std::string type;         // the description's name
  int version = 1;          // of the writer's description
  std::string bytes;        // MessagePack
  std::string traceparent;  // empty: not traced
  std::uint64_t epoch = 0;  // of the owner that sent it; 0: unowned

  friend bool operator==(const remote_envelope&, const remote_envelope&) = default;
};

/// The envelope as one run of bytes: a MessagePack list [type, version, bytes, traceparent, epoch].
std::string to_bytes(const remote_envelope& envelope);

/// At most 1 MiB and 64 KiB of envelope; entries after the five known ones are skipped. Error: unreadable,
/// limit_exceeded.
result<remote_envelope> envelope_from_bytes(std::string_view bytes);

/// Seals a message; refuses non-finite numbers, invalid UTF-8 and more than 1 MiB, so that nothing leaves that the
/// other side would refuse.
template <described T>
result<remote_envelope> seal(const T& message, std::string traceparent = {}, std::uint64_t epoch = 0) {
  fault site;
  if (!value_check{site}(message)) return site.failure();
  static constexpr auto description = T::description();
  std::string bytes = codec::described_to_msgpack(message);
  if (bytes.size() > limits::message_bytes_max)
    return failure(error_code::limit_exceeded, std::string(description.name) + " has " + std::to_string(bytes.size()) +
                                                   " bytes; at most " + std::to_string(limits::message_bytes_max));
  return remote_envelope{std::string(description.name), description.version, std::move(bytes), std::move(traceparent),
                         epoch};
}

/// Events travel whole, as type "event".
result<remote_envelope> seal(const event& e, std::string traceparent = {}, std::uint64_t epoch = 0);

namespace detail {
tl::unexpected<error> not_of_type(const remote_envelope& envelope, std::string_view wanted);
}

/// Opens an envelope as a `T`. Fields that the writer did not know keep their defaults, unknown ones are ignored.
template <described T>
result<T> open(const remote_envelope& envelope) {
  if (envelope.type != name_of<T>()) return detail::not_of_type(envelope, name_of<T>());
  auto message = codec::described_from_msgpack<T>(envelope.bytes, envelope.version);
  if (!message) return message;
  fault site;
  if (!value_check{site}(*message)) return site.failure();
  return message;
}

result<event> open_event(const remote_envelope& envelope);

/// Every type that may cross between nodes. A room adds its own to what this one makes.
class remote_types {
public:
  /// Error: conflict when another type has the name.
  template <described T>
  result<void> add();

  bool knows(std::string_view name) const { return tests_.contains(name); }
  std::size_t size() const { return tests_.size(); }

  /// Sends extreme values of every type through an envelope and back: -0.0, the largest and smallest numbers, empty
  /// and longest texts, absent fields; and holds that an infinity is refused. Meant for start-up (milliseconds):
  /// a type that would not survive the wire stops the node before it talks to others.
  result<void> self_test() const;

private:
  std::map<std::string, std::function<result<void>()>, std::less<>> tests_;
};

/// The types of this room: events, each event's data, commands and their parts.
remote_types message_types();

}  // namespace horizons

#include "messages/envelope_test_values.hpp"
