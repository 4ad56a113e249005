// Open mode: one person on one machine. Who may come in, proven by the kernel (the owner of the peer's socket) or by
// a token that only this user can read; and what a web page from elsewhere must not be able to do.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "gateways/http/request.hpp"

namespace horizons::http {

/// One end of a TCP connection over loopback.
struct endpoint {
  std::string address;  // "127.0.0.1" or "::1"
  std::uint16_t port = 0;
};

/// The user who owns the socket `peer` of the connection peer -> own on this machine (proc(5), /proc/net/tcp and
/// tcp6), or nothing when it is not found there.
std::optional<uid_t> socket_owner(const endpoint& peer, const endpoint& own);

/// The token in `<data_dir>/token`, made on first use: 64 hexadecimal digits, mode 0600, owned by this user.
/// A token that others could have read or written is refused.
result<std::string> open_token(const std::filesystem::path& data_dir);

class access_rules {
public:
  access_rules(std::string token, uid_t node_uid);

  /// Fills in `r.who`, or says why not. Order: Host, Origin, content type of state changes, identity.
  /// `peer_uid` is asked only when the answer matters.
  std::optional<response> refuse(request& r, bool is_public,
                                 const std::function<std::optional<uid_t>()>& peer_uid) const;

private:
  std::string token_;
  uid_t node_uid_;
  std::string user_name_;
};

/// "application/json" of "Application/JSON; charset=utf-8".
std::string media_type(std::string_view content_type);
bool is_json(std::string_view content_type);
bool is_msgpack(std::string_view content_type);

}  // namespace horizons::http
