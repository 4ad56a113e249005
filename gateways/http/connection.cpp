#include "gateways/http/connection.hpp"

#include <sys/socket.h>

#include <array>
#include <ctime>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "gateways/http/problem.hpp"

namespace horizons::http {
namespace net = boost::asio;
namespace beast = boost::beast;
using std::chrono::steady_clock;
using error_status = boost::system::error_code;

namespace {

constexpr std::size_t read_bytes = 16 * 1024;
constexpr std::size_t headers_max = 100;
constexpr std::size_t discarded_bytes_max = 4 << 20;  // read and thrown away after a refusal, so that it is seen
constexpr auto discard_max = std::chrono::milliseconds(2000);

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

std::string hexadecimal(std::size_t n) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "%zx", n);
  return text.data();
}

}  // namespace

class connection : public std::enable_shared_from_this<connection> {
public:
  connection(std::shared_ptr<shared_state> state, net::ip::tcp::socket socket)
      : state_(std::move(state)),
        stream_(std::move(socket)),
        answer_timer_(stream_.get_executor()),
        heartbeat_timer_(stream_.get_executor()) {
    error_status ignored;
    stream_.socket().set_option(net::ip::tcp::no_delay(true), ignored);
    const auto peer = stream_.socket().remote_endpoint(ignored), own = stream_.socket().local_endpoint(ignored);
    peer_ = {peer.address().to_string(), peer.port()};
    own_ = {own.address().to_string(), own.port()};
    ++metrics().connections_open;
  }

  ~connection() {
    if (source_) source_->cancel();
    leave();
  }

  void start() {
    net::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->read_request(); });
  }

  void refuse_and_close(response refusal) {
    net::dispatch(stream_.get_executor(), [self = shared_from_this(), refusal = std::move(refusal)]() mutable {
      self->keep_alive_ = false;
      self->send(std::move(refusal));
    });
  }

  void end(bool now) {
    net::post(stream_.get_executor(), [self = shared_from_this(), now] {
      self->keep_alive_ = false;
      self->ending_ = true;
      const bool endless = self->source_ && !self->source_->heartbeat().empty();
      if (now || self->phase_ == phase::idle || endless) self->close();
    });
  }

private:
  enum class phase { idle, header, body, answering };

  http_metrics& metrics() { return state_->front.metrics(); }
  const http_options& options() const { return state_->options; }

  // -- reading ----------------------------------------------------------------------------------------------------

  void read_request() {
    if (ending_) return close();
    ++request_number_;
    phase_ = phase::idle;
    answered_ = continue_sent_ = false;
    head_only_ = false;
    source_ = nullptr;
    parser_.emplace();
    parser_->header_limit(options().header_bytes_max);
    parser_->body_limit(options().body_bytes_max);
    parser_->eager(true);
    deadline_ = steady_clock::now() + options().idle_max;
    parse();
  }

  void parse() {
    while (buffer_.size() > 0 && !parser_->is_done()) {
      if (phase_ == phase::idle) {
        phase_ = phase::header;
        deadline_ = steady_clock::now() + options().header_max;
      }
      error_status code;
      const auto used = parser_->put(buffer_.data(), code);
      buffer_.consume(used);
      if (phase_ == phase::header && parser_->is_header_done()) {
        phase_ = phase::body;
        deadline_ = steady_clock::now() + options().body_max;
      }
      if (code == beast::http::error::need_more) break;
      if (code) return refuse_wire(code);
      if (used == 0) break;
    }
    if (parser_->is_done()) return dispatch();
    if (phase_ == phase::body && !continue_sent_ &&
        beast::iequals(parser_->get()[beast::http::field::expect], "100-continue")) {
      continue_sent_ = true;
      static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      stream_.expires_after(options().write_max);
      return net::async_write(stream_, net::buffer(go_on), [self = shared_from_this()](error_status code, std::size_t) {
        if (code) return self->close();
        self->read_more();
      });
    }
    read_more();
  }

  void read_more() {
    stream_.expires_at(deadline_);
    stream_.async_read_some(buffer_.prepare(read_bytes),
                            [self = shared_from_this()](error_status code, std::size_t count) {
                              // tcp_stream closes the socket at its deadline: a slow sender gets no answer, it is
                              // counted.
                              if (code == beast::error::timeout && self->phase_ != phase::idle)
                                self->metrics().request_done("none", 408, std::chrono::seconds(0));
                              if (code) return self->close();
                              self->buffer_.commit(count);
                              self->parse();
                            });
  }

  void refuse_wire(error_status code) {
    keep_alive_ = false;
    int status = 400;
    std::string detail = "the request cannot be read: " + code.message();
    if (code == beast::http::error::header_limit) {
      status = 431;
      detail = "the header has more than " + std::to_string(options().header_bytes_max) + " bytes";
    } else if (code == beast::http::error::body_limit) {
      status = 413;
      detail = "the body has more than " + std::to_string(options().body_bytes_max) + " bytes";
    }
    metrics().request_done("none", status, std::chrono::seconds(0));
    send(problem(status, status == 400 ? "Unreadable" : "Too large", std::move(detail)));
  }

  void dispatch() {
    phase_ = phase::answering;
    auto message = parser_->release();
    version_ = message.version();
    keep_alive_ = message.keep_alive() && !ending_;
    request r;
    r.method = std::string(message.method_string());
    r.target = std::string(message.target());
    r.body = std::move(message.body());
    head_only_ = r.method == "HEAD";
    std::size_t hosts = 0;
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
      hosts += name == "host";
      r.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    const auto refuse = [&](int status, std::string title, std::string detail) {
      keep_alive_ = false;
      metrics().request_done("none", status, std::chrono::seconds(0));
      send(problem(status, std::move(title), std::move(detail)));
    };
    if (r.headers.size() > headers_max)
      return refuse(431, "Too large", "the header has more than " + std::to_string(headers_max) + " fields");
    if (hosts > 1 || (hosts == 0 && version_ >= 11))
      return refuse(400, "Unreadable", "expected exactly one Host header");
    if (r.has_header("transfer-encoding") && r.has_header("content-length"))  // two lengths: request smuggling
      return refuse(400, "Unreadable", "Content-Length and Transfer-Encoding exclude each other");

    const auto number = request_number_;
    answer_timer_.expires_after(options().answer_max);
    answer_timer_.async_wait([self = shared_from_this(), number](error_status code) {
      if (code || self->request_number_ != number || self->answered_) return;
      self->answered_ = true;
      self->keep_alive_ = false;
      self->send(problem(504, "No answer in time",
                         "the node did not answer in time; whether the request took effect is not known"));
    });
    state_->front.handle(
        std::move(r), [this] { return peer_uid(); },
        [self = shared_from_this(), number](response answer) {
          net::post(self->stream_.get_executor(), [self, number, answer = std::move(answer)]() mutable {
            if (self->request_number_ != number || self->answered_) {
              if (answer.stream) answer.stream->cancel();
              return;
            }
            self->answered_ = true;
            self->answer_timer_.cancel();
            self->send(std::move(answer));
          });
        });
  }

  /// Asked from the kernel once; a connection does not change hands.
  std::optional<uid_t> peer_uid() {
    if (!peer_asked_) peer_uid_ = socket_owner(peer_, own_);
    peer_asked_ = true;
    return peer_uid_;
  }

  // -- writing ----------------------------------------------------------------------------------------------------

  void send(response answer) {
    phase_ = phase::answering;
    source_ = std::move(answer.stream);
    chunked_ = source_ && !source_->size();
    if (chunked_ && version_ < 11)
      keep_alive_ = false;  // HTTP/1.0 knows no chunks: the end of the connection is the end
    if (!chunked_ || head_only_) return send_head(std::move(answer), {});
    // The first piece before the head: what cannot be read at all is answered with a status.
    watch_peer();
    take_next([self = shared_from_this(), answer = std::move(answer)](result<std::string> first) mutable {
      if (!first) {
        self->drop_source();
        return self->send(problem(first.error()));
      }
      self->send_head(std::move(answer), std::move(*first));
    });
  }

  void send_head(response answer, std::string first_piece) {
    std::string& head = out_head_;
    head = "HTTP/1.1 " + std::to_string(answer.status) + " " + std::string(reason_phrase(answer.status)) +
           "\r\nDate: " + http_date() + "\r\n";
    bool has_cache = false, has_policy = false;
    for (const auto& [name, value] : answer.headers) {
      has_cache |= name == "Cache-Control";
      has_policy |= name == "Content-Security-Policy";
      head += name + ": " + value + "\r\n";
    }
    if (!has_cache) head += "Cache-Control: no-store\r\n";
    if (!has_policy) head += "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";
    head +=
        "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: "
        "same-origin\r\n";
    if (answer.status != 304) {
      head += "Content-Type: " + answer.content_type + "\r\n";
      if (chunked_ && version_ >= 11)
        head += "Transfer-Encoding: chunked\r\n";
      else if (!chunked_)
        head += "Content-Length: " + std::to_string(source_ ? *source_->size() : answer.body.size()) + "\r\n";
    }
    head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    const bool has_body = !head_only_ && answer.status != 304;
    if (!has_body) drop_source();
    out_body_ = has_body && !source_ ? std::move(answer.body) : std::string();
    if (chunked_ && has_body) out_body_ = framed(first_piece);
    const bool ended = !source_ || (chunked_ && first_piece.empty());
    write([self = shared_from_this(), ended] { ended ? self->finish() : self->pump(); });
  }

  /// Piece by piece until the source ends; a piece is asked for when the one before is written.
  void pump() {
    if (!source_) return;  // the reader left while the piece before was written: closed already
    take_next([self = shared_from_this()](result<std::string> piece) {
      if (!piece) return self->close();  // the reader sees that the body is incomplete
      const bool ended = piece->empty();
      self->out_head_.clear();
      self->out_body_ = self->chunked_ ? self->framed(*piece) : std::move(*piece);
      self->write([self, ended] { ended ? self->finish() : self->pump(); });
    });
  }

  std::string framed(const std::string& piece) const {
    if (version_ < 11) return piece;
    return hexadecimal(piece.size()) + "\r\n" + piece + "\r\n";
  }

  template <class F>
  void take_next(F then) {
    const auto number = request_number_;
    const auto beat = ++beat_number_;
    if (!source_->heartbeat().empty()) wait_heartbeat(beat);
    source_->next([self = shared_from_this(), number, beat, then = std::move(then)](result<std::string> piece) mutable {
      net::post(self->stream_.get_executor(), [self, number, beat, then = std::move(then),
                                               piece = std::move(piece)]() mutable {
        if (self->request_number_ != number || !self->source_ || self->beat_number_ != beat) return;
        ++self->beat_number_;  // no heartbeat begins from here on
        self->heartbeat_timer_.cancel();
        if (!self->beating_) return then(std::move(piece));
        self->after_beat_ = [then = std::move(then), piece = std::move(piece)]() mutable { then(std::move(piece)); };
      });
    });
  }

  void wait_heartbeat(std::uint64_t beat) {
    heartbeat_timer_.expires_after(options().heartbeat);
    heartbeat_timer_.async_wait([self = shared_from_this(), beat](error_status code) {
      if (code || self->beat_number_ != beat || !self->source_) return;
      self->beating_ = true;
      self->out_head_.clear();
      self->out_body_ = self->framed(std::string(self->source_->heartbeat()));
      self->write([self, beat] {
        self->beating_ = false;
        if (auto after = std::exchange(self->after_beat_, nullptr)) return after();
        if (self->source_ && self->beat_number_ == beat) self->wait_heartbeat(beat);
      });
    });
  }

  template <class F>
  void write(F then) {
    stream_.expires_after(options().write_max);
    const std::array<net::const_buffer, 2> parts{net::buffer(out_head_), net::buffer(out_body_)};
    net::async_write(stream_, parts,
                     [self = shared_from_this(), then = std::move(then)](error_status code, std::size_t count) mutable {
                       self->metrics().bytes_sent += count;
                       if (code) return self->close();
                       then();
                     });
  }

  /// A stream that waits notices that its reader has gone.
  void watch_peer() {
    stream_.socket().async_wait(
        net::ip::tcp::socket::wait_read, [self = shared_from_this(), number = request_number_](error_status code) {
          if (code || self->request_number_ != number || !self->source_) return;
          char byte = 0;
          if (::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) self->close();
        });
  }

  void finish() {
    drop_source();
    out_body_ = {};
    if (keep_alive_) return read_request();
    // Closing with unread input would reset the connection and lose the answer on its way.
    error_status ignored;
    stream_.socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
    ++request_number_;
    if (ending_) return close();
    stream_.expires_after(discard_max);
    discard(0);
  }

  void discard(std::size_t total) {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(read_bytes),
                            [self = shared_from_this(), total](error_status code, std::size_t count) {
                              if (code || total + count > discarded_bytes_max || self->ending_) return self->close();
                              self->discard(total + count);
                            });
  }

  void drop_source() {
    if (auto source = std::exchange(source_, nullptr)) source->cancel();
  }

  /// Counted out when it closes: somebody may hold on to an answer, and with it to this object, for long.
  void leave() {
    if (std::exchange(left_, true)) return;
    --metrics().connections_open;
    const std::scoped_lock lock(state_->mutex);
    state_->connections.erase(this);
    if (state_->connections.empty()) state_->all_closed.notify_all();
  }

  void close() {
    drop_source();
    ++request_number_;
    ++beat_number_;
    after_beat_ = nullptr;
    ending_ = true;
    answer_timer_.cancel();
    heartbeat_timer_.cancel();
    stream_.close();
    leave();
  }

  std::shared_ptr<shared_state> state_;  // first: the sockets below need its io_context to the end
  beast::tcp_stream stream_;
  net::steady_timer answer_timer_, heartbeat_timer_;
  beast::flat_buffer buffer_{64 * 1024};  // header limit plus what a client sends ahead
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  steady_clock::time_point deadline_;
  phase phase_ = phase::idle;
  unsigned version_ = 11;
  std::uint64_t request_number_ = 0;  // an answer that comes too late finds another number
  std::uint64_t beat_number_ = 0;
  bool keep_alive_ = true, ending_ = false, answered_ = false, continue_sent_ = false, head_only_ = false,
       chunked_ = false, beating_ = false;
  std::shared_ptr<body_source> source_;
  std::function<void()> after_beat_;
  std::string out_head_, out_body_;
  endpoint peer_, own_;
  std::optional<uid_t> peer_uid_;
  bool peer_asked_ = false, left_ = false;
};

void serve(std::shared_ptr<shared_state> state, net::ip::tcp::socket socket) {
  const auto made = std::make_shared<connection>(state, std::move(socket));
  ++state->front.metrics().connections_accepted;
  bool full = false, stopping = false;
  {
    const std::scoped_lock lock(state->mutex);
    full = state->connections.size() >= state->options.connections_max;
    stopping = state->stopping;
    state->connections.emplace(made.get(), made);
  }
  if (stopping) return made->end(true);
  if (!full) return made->start();
  ++state->front.metrics().connections_refused;
  made->refuse_and_close(
      problem(503, "Too many connections",
              "all " + std::to_string(state->options.connections_max) + " connections are in use; try again later"));
}

void end_connections(shared_state& state, bool now) {
  std::vector<std::shared_ptr<connection>> open;
  {
    const std::scoped_lock lock(state.mutex);
    state.stopping = true;
    for (const auto& [address, weak] : state.connections)
      if (auto each = weak.lock()) open.push_back(std::move(each));
  }
  for (const auto& each : open) each->end(now);
}

}  // namespace horizons::http
