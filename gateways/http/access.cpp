#include "gateways/http/access.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "gateways/http/problem.hpp"
#include "messages/text.hpp"
#include "runtime/config/config.hpp"

namespace horizons::http {
namespace {

/// "0100007F:1F90": address as 32-bit words in the machine's order, port; as the kernel prints it.
std::vector<std::string> kernel_forms(const endpoint& e) {
  std::array<unsigned char, 16> v6{};
  const auto hex = [&](const unsigned char* bytes, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes + i, 4);
      std::array<char, 9> text{};
      std::snprintf(text.data(), text.size(), "%08X", word);
      out += text.data();
    }
    std::array<char, 8> port{};
    std::snprintf(port.data(), port.size(), ":%04X", e.port);
    return out + port.data();
  };
  if (inet_pton(AF_INET6, e.address.c_str(), v6.data()) == 1) return {hex(v6.data(), 16)};
  v6 = {};
  if (inet_pton(AF_INET, e.address.c_str(), v6.data() + 12) != 1) return {};
  auto plain = hex(v6.data() + 12, 4);
  v6[10] = v6[11] = 0xff;  // a client's dual-stack socket is listed as ::ffff:a.b.c.d in tcp6
  return {std::move(plain), hex(v6.data(), 16)};
}

std::string name_of_user(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found) return found->pw_name;
  return "uid-" + std::to_string(uid);
}

/// "localhost" of "localhost:8080", "::1" of "[::1]:8080".
std::string host_name(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  return std::string(host.substr(0, host.find(':')));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

result<std::string> read_token(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return failure(errno == ENOENT ? error_code::not_found : error_code::io,
                   path.string() + ": " + std::strerror(errno));
  struct stat info {};
  std::array<char, 65> text{};
  const bool read = ::fstat(fd, &info) == 0 && ::read(fd, text.data(), 64) == 64;
  ::close(fd);
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return failure(
        error_code::forbidden,
        path.string() + ": others than its owner may read or write it; remove it, a new one is made at the next start");
  if (!read || std::string_view(text.data()).find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return failure(error_code::unreadable,
                   path.string() + ": is not a token; remove it, a new one is made at the next start");
  return std::string(text.data());
}

}  // namespace

std::optional<uid_t> socket_owner(const endpoint& peer, const endpoint& own) {
  const auto peers = kernel_forms(peer), owns = kernel_forms(own);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    std::string line;
    std::getline(lines, line);  // the heading
    while (std::getline(lines, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits;
      uid_t uid = 0;
      if (!(fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid)) continue;
      for (std::size_t i = 0; i < peers.size() && i < owns.size(); ++i)
        if (local == peers[i] && remote == owns[i] && state != "06") return uid;  // 06: TIME_WAIT has no owner
    }
  }
  return std::nullopt;
}

result<std::string> open_token(const std::filesystem::path& data_dir) {
  const auto path = data_dir / "token";
  auto existing = read_token(path);
  if (existing || existing.error().code != error_code::not_found) return existing;
  std::array<unsigned char, 32> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return failure(error_code::io, "the kernel gave no random bytes for " + path.string());
  std::string token;
  for (const unsigned char byte : random)
    token += std::string() + "0123456789abcdef"[byte >> 4] + "0123456789abcdef"[byte & 15];
  // Written aside and linked: a token is whole or not there, and two nodes starting at once agree on one.
  const auto aside = data_dir / ("token." + std::to_string(::getpid()));
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failure(error_code::io, aside.string() + ": cannot be written: " + std::strerror(errno));
  const bool written =
      ::write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size()) && ::fsync(fd) == 0;
  ::close(fd);
  const bool linked = written && (::link(aside.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const int code = errno;
  ::unlink(aside.c_str());
  if (!linked) return failure(error_code::io, path.string() + ": cannot be written: " + std::strerror(code));
  return read_token(path);
}

access_rules::access_rules(std::string token, uid_t node_uid)
    : token_(std::move(token)), node_uid_(node_uid), user_name_(name_of_user(node_uid)) {}

std::optional<response> access_rules::refuse(request& r, bool is_public,
                                             const std::function<std::optional<uid_t>()>& peer_uid) const {
  // A page elsewhere can make a name of its own resolve to 127.0.0.1 (DNS rebinding); its Host then gives it away.
  const auto host = lower(r.header("host"));
  if (!is_loopback(host_name(host)))
    return problem(403, "Not allowed",
                   "the Host header " + quote(host) + " does not name this machine; use localhost or 127.0.0.1");
  if (r.has_header("origin") && lower(r.header("origin")) != "http://" + host)
    return problem(403, "Not allowed",
                   "a page from " + quote(r.header("origin")) + " may not use this node; only its own page may");
  const bool changes_state = r.method != "GET" && r.method != "HEAD";
  const auto type = r.header("content-type");
  // DELETE is never sent across origins without asking first, so it needs no content type when it has no body.
  if (changes_state && !(r.method == "DELETE" && r.body.empty()) && !is_json(type) && !is_msgpack(type))
    return problem(415, "Unsupported media type",
                   (type.empty() ? std::string("the request has no Content-Type")
                                 : "the Content-Type " + quote(type) + " is not taken") +
                       "; send application/json or application/msgpack");
  r.who = {.user_id = user_name_, .tenant = "default", .is_operator = true};
  if (is_public) return std::nullopt;
  if (const auto authorization = r.header("authorization"); !authorization.empty()) {
    const bool is_bearer = lower(authorization.substr(0, 7)) == "bearer ";
    const auto given = is_bearer ? authorization.substr(7) : std::string_view{};
    if (given.size() == token_.size() && CRYPTO_memcmp(given.data(), token_.data(), token_.size()) == 0)
      return std::nullopt;
    return problem(401, "Unauthorized",
                   "the token is not this node's; it stands in the file \"token\" in the node's data directory");
  }
  const auto uid = peer_uid();
  if (uid && *uid == node_uid_) return std::nullopt;
  return problem(401, "Unauthorized",
                 "this node belongs to the user " + user_name_ +
                     "; others need the header Authorization: Bearer <token>, with the token from the file \"token\" "
                     "in its data directory");
}

std::string media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return lower(content_type);
}

bool is_json(std::string_view content_type) { return media_type(content_type) == "application/json"; }

bool is_msgpack(std::string_view content_type) {
  const auto type = media_type(content_type);
  return type == "application/msgpack" || type == "application/x-msgpack" || type == "application/vnd.msgpack";
}

}  // namespace horizons::http
