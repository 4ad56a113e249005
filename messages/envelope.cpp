#include "messages/envelope.hpp"

#include "messages/commands.hpp"
#include "messages/make_event.hpp"

namespace horizons {

namespace {

constexpr std::size_t envelope_bytes_max = limits::message_bytes_max + 64 * 1024;

/// An event of extreme but valid values through an envelope and back.
result<void> event_round_trip() {
  const auto broken = [](const std::string& how) {
    return failure(error_code::internal, "self-test of remote type event: " + how);
  };
  event_context context;
  context.job_id = "j";
  job_progress progress{-0.0, {}, {}};
  detail::fill(progress.stage, detail::extreme::high);
  detail::fill(progress.eta_s.emplace(), detail::extreme::high);
  auto e = make_event(context, std::move(progress));
  if (!e) return broken(e.error().text);
  e->position = std::numeric_limits<std::uint64_t>::max();
  auto sealed = seal(*e);
  if (!sealed) return broken(sealed.error().text);
  auto received = envelope_from_bytes(to_bytes(*sealed));
  if (!received) return broken(received.error().text);
  auto opened = open_event(*received);
  if (!opened) return broken(opened.error().text);
  if (to_msgpack(*opened) != sealed->bytes) return broken("the value changed on the way");
  std::get<job_progress>(e->data).eta_s = std::numeric_limits<double>::infinity();
  if (seal(*e)) return broken("an infinity was not refused");
  return {};
}

}  // namespace

std::string to_bytes(const remote_envelope& envelope) {
  auto& buffer = codec::byte_buffer::of_thread();
  msgpack::packer<codec::byte_buffer> pack{buffer};
  pack.pack_array(5);
  codec::msgpack_writer writer{buffer};
  writer.text(envelope.type);
  writer.integer(envelope.version);
  pack.pack_bin(static_cast<std::uint32_t>(envelope.bytes.size()));  // seal() holds it below 1 MiB
  pack.pack_bin_body(envelope.bytes.data(), static_cast<std::uint32_t>(envelope.bytes.size()));
  writer.text(envelope.traceparent);
  writer.natural(envelope.epoch);
  return buffer.text();
}

result<remote_envelope> envelope_from_bytes(std::string_view bytes) {
  if (bytes.size() > envelope_bytes_max)
    return failure(error_code::limit_exceeded, "the envelope has " + std::to_string(bytes.size()) + " bytes; at most " +
                                                   std::to_string(envelope_bytes_max));
  codec::read_fault site;
  codec::msgpack_source source{bytes, site};
  remote_envelope out;
  const codec::read_options plain;
  codec::token list;
  const auto entry = [&](std::size_t index, codec::msgpack_source& s) {
    switch (index) {
      case 0:
        return codec::read(s, out.type, plain) || site.within("type");
      case 1:
        return codec::read(s, out.version, plain) || site.within("version");
      case 2: {
        codec::token t;
        if (!s.next(t) || !(t.is_binary || site.wrong(t, "binary data"))) return site.within("bytes");
        out.bytes.assign(t.bytes);
        return true;
      }
      case 3:
        return codec::read(s, out.traceparent, plain) || site.within("traceparent");
      case 4:
        return codec::read(s, out.epoch, plain) || site.within("epoch");
      default:
        return codec::skip(s);  // a newer node may say more
    }
  };
  if (!source.next(list)) return site.failure();
  if (list.what != codec::kind::array || list.count < 5) {
    site.wrong(list, "an envelope of five entries");
    return site.failure();
  }
  if (!source.elements(list, entry)) return site.failure();
  if (!source.finished()) return failure(error_code::unreadable, "something follows the envelope");
  if (out.version < 1)
    return failure(error_code::unreadable,
                   "version: " + std::to_string(out.version) + " is out of range; expected 1 or more");
  if (out.type.empty() || out.type.size() > limits::label_bytes_max)
    return failure(error_code::unreadable, "type: " + quote(out.type) + " is not a message type");
  return out;
}

namespace detail {
tl::unexpected<error> not_of_type(const remote_envelope& envelope, std::string_view wanted) {
  return failure(error_code::invalid_argument,
                 "the envelope holds " + quote(envelope.type) + "; expected " + std::string(wanted));
}
}  // namespace detail

result<remote_envelope> seal(const event& e, std::string traceparent, std::uint64_t epoch) {
  if (auto valid = validate(e); !valid) return failure(std::move(valid.error()));
  return remote_envelope{"event", 1, to_msgpack(e), std::move(traceparent), epoch};
}

result<event> open_event(const remote_envelope& envelope) {
  if (envelope.type != "event") return detail::not_of_type(envelope, "event");
  return event_from_msgpack(envelope.bytes);
}

result<void> remote_types::self_test() const {
  if (auto outcome = event_round_trip(); !outcome) return outcome;
  for (const auto& [name, test] : tests_)
    if (auto outcome = test(); !outcome) return outcome;
  return {};
}

remote_types message_types() {
  remote_types types;
  // The names differ: they are the contract's, and a test holds that all of them are there.
  for_each_event_type([&]<class T>() { (void)types.add<T>(); });
  (void)types.add<command>();
  (void)types.add<resources>();
  (void)types.add<problem>();
  (void)types.add<result_file>();
  return types;
}

}  // namespace horizons
