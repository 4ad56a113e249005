#include "gateways/cli/asking.hpp"

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "gateways/cli/follow.hpp"
#include "runtime/telemetry/log.hpp"

namespace horizons::cli {

namespace {

std::string token_of(const client_options& o) {
  if (!o.token.empty()) return o.token;
  if (const char* given = std::getenv("HORIZONS_TOKEN")) return given;
  const auto loaded = load_configuration(sources_of(o));
  std::string token;
  if (loaded) std::ifstream(std::filesystem::path(loaded->config.node.data_dir) / "token") >> token;
  return token;
}

}  // namespace

int fail(const error& e) {
  std::cerr << "horizons: " << e.text << '\n';
  return e.code == error_code::invalid_argument ? 2 : 1;
}

result<configuration> read_configuration(const client_options& o) {
  auto loaded = load_configuration(sources_of(o));
  if (!loaded) return failure(loaded.error());
  for (auto& w : loaded->warnings) log::warn(w);
  return std::move(loaded->config);
}

client client_of(const client_options& o) { return client(o.node, token_of(o)); }

std::string shown(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

result<json> object_of(const answer& a) {
  auto body = json::parse(a.body, nullptr, false);
  if (!body.is_object())
    return failure(error_code::unreadable, "the answer is no JSON object; is a Cosmic Horizons node at this address?");
  return body;
}

int ask_and_show(const client_options& o, const std::string& what, const std::string& method, const std::string& path,
                 const std::string& body, const std::function<void(const json&)>& show) {
  const auto a = client_of(o).ask(method, path, body);
  if (!a || a->status / 100 != 2) return report(a, what, std::cerr);
  const auto object = object_of(*a);
  if (!object) return report(failure(object.error()), what, std::cerr);
  if (o.json)
    std::cout << a->body << '\n';
  else
    show(*object);
  return done;
}

}  // namespace horizons::cli
