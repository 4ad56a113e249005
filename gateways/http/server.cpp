#include "gateways/http/server.hpp"

#include <unistd.h>

#include <filesystem>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "gateways/http/connection.hpp"
#include "runtime/config/config.hpp"

namespace horizons::http {
namespace net = boost::asio;
using net::ip::tcp;

namespace {

class server : public http_server {
public:
  explicit server(std::shared_ptr<shared_state> state)
      : state_(std::move(state)),
        acceptor_(net::make_strand(state_->io)),
        retry_(acceptor_.get_executor()),
        work_(state_->io.get_executor()) {}

  ~server() override { stop(std::chrono::milliseconds(0)); }

  result<void> listen(const tcp::endpoint& at) {
    boost::system::error_code code;
    acceptor_.open(at.protocol(), code);
    if (!code) acceptor_.set_option(tcp::acceptor::reuse_address(true), code);
    if (!code) acceptor_.bind(at, code);
    if (!code) acceptor_.listen(net::socket_base::max_listen_connections, code);
    const auto& listen = state_->options.listen;
    if (code == net::error::address_in_use)
      return failure(
          error_code::unavailable,
          "http.listen = \"" + listen + "\" is in use by another program; choose another port, or 0 for any free one");
    if (code) return failure(error_code::io, "http.listen = \"" + listen + "\" cannot be opened: " + code.message());
    const auto local = acceptor_.local_endpoint();
    const auto host = local.address().is_v6() ? "[" + local.address().to_string() + "]" : local.address().to_string();
    url_ = "http://" + host + ":" + std::to_string(local.port());
    net::dispatch(acceptor_.get_executor(), [this] { accept(); });
    for (unsigned i = 0; i < std::max(state_->options.threads, 1u); ++i)
      threads_.emplace_back([state = state_] { state->io.run(); });
    return {};
  }

  std::string url() const override { return url_; }

  void stop_accepting() override {
    net::post(acceptor_.get_executor(), [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
    });
  }

  void stop(std::chrono::milliseconds grace) override {
    if (threads_.empty()) return;
    stop_accepting();
    end_connections(*state_, false);
    {
      std::unique_lock lock(state_->mutex);
      state_->all_closed.wait_for(lock, grace, [this] { return state_->connections.empty(); });
    }
    end_connections(*state_, true);
    work_.reset();  // the threads end when every handler has run: nothing is cut off in the middle
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

private:
  void accept() {
    acceptor_.async_accept(net::make_strand(state_->io), [this](boost::system::error_code code, tcp::socket socket) {
      if (code == net::error::operation_aborted || !acceptor_.is_open()) return;
      if (!code) serve(state_, std::move(socket));
      if (!code || code == net::error::connection_aborted) return accept();
      retry_.expires_after(std::chrono::milliseconds(100));  // no descriptors left: some will be closed soon
      retry_.async_wait([this](boost::system::error_code cancelled) {
        if (!cancelled) accept();
      });
    });
  }

  std::shared_ptr<shared_state> state_;
  tcp::acceptor acceptor_;
  net::steady_timer retry_;
  net::executor_work_guard<net::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
  std::string url_;
};

/// Every function of the services must be there: a missing one would be found by a user otherwise.
result<void> complete(const services& s) {
  const std::pair<const char*, bool> parts[] = {{"submit", !!s.submit},
                                                {"order", !!s.order},
                                                {"get_job", !!s.get_job},
                                                {"list_jobs", !!s.list_jobs},
                                                {"read_events", !!s.read_events},
                                                {"find_result", !!s.find_result},
                                                {"agents", !!s.agents},
                                                {"tree", !!s.tree},
                                                {"cluster", !!s.cluster},
                                                {"metrics_text", !!s.metrics_text},
                                                {"ready", !!s.ready},
                                                {"watch", !!s.watch}};
  for (const auto& [name, is_there] : parts)
    if (!is_there) return failure(error_code::internal, std::string("services.") + name + " is not filled in");
  return {};
}

}  // namespace

result<std::unique_ptr<http_server>> http_server::start(http_options options, services s) {
  if (auto all = complete(s); !all) return failure(all.error());
  const auto address = parse_listen_address(options.listen);
  if (!address)
    return failure(error_code::invalid_argument, "http.listen = \"" + options.listen + "\" " + address.error().text);
  if (!is_loopback(address->host))
    return failure(error_code::invalid_argument,
                   "http.listen = \"" + options.listen +
                       "\" is open to the network; expected a loopback address like \"127.0.0.1:8080\"");
  boost::system::error_code code;
  const auto ip = net::ip::make_address(address->host == "localhost" ? "127.0.0.1" : address->host, code);
  if (code) return failure(error_code::invalid_argument, "http.listen = \"" + options.listen + "\" is no address");
  std::error_code directory;
  std::filesystem::create_directories(options.data_dir, directory);
  auto token = open_token(options.data_dir);
  if (!token) return failure(token.error());
  access_rules rules(std::move(*token), options.node_uid.value_or(::geteuid()));
  auto made =
      std::make_unique<server>(std::make_shared<shared_state>(std::move(options), std::move(s), std::move(rules)));
  if (auto listening = made->listen({ip, address->port}); !listening) return failure(listening.error());
  return made;
}

}  // namespace horizons::http
