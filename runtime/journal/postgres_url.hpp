// "postgresql://user[:password]@host1[:port],host2[:port]/database[?schema=name&…]" as libpq wants it. A password is in
// `connection` only: no error text may carry that.
#pragma once

#include <string>

#include "messages/result.hpp"

namespace horizons::journal::postgres {

inline constexpr const char* default_schema = "horizons_journal";

struct address {
  std::string connection;  // "keyword='value' …", with the password and our defaults
  std::string shown;       // "postgresql://host1:5432,host2/database", for people
  std::string password;    // to be kept out of texts; may be empty
  std::string schema;      // the PostgreSQL schema that holds the journal's tables
};

/// `schema` is our own parameter ([a-z_][a-z0-9_]{0,62}), so that one database can hold several journals; the others
/// are libpq's. Defaults: target_session_attrs=read-write, connect_timeout=3, keepalives and tcp_user_timeout of 15 s.
result<address> parse_url(const std::string& url);

}  // namespace horizons::journal::postgres
