#include "runtime/journal/journal.hpp"

#include "messages/fnv1a64.hpp"
#include "messages/text.hpp"
#include "runtime/journal/memory_store.hpp"
#include "runtime/journal/postgres_store.hpp"
#include "runtime/journal/sqlite_store.hpp"

namespace horizons::journal {

result<std::vector<result<append_outcome>>> store::append(std::span<const batch> batches) {
  std::vector<batch_ptr> copies;
  copies.reserve(batches.size());
  for (const batch& b : batches) copies.push_back(std::make_shared<batch>(b));
  return append(copies);
}

namespace {

constexpr std::string_view sqlite_scheme = "sqlite:";
constexpr std::string_view memory_scheme = "memory:";

template <class Sqlite, class Postgres, class Memory>
result<std::unique_ptr<store>> dispatch(const std::string& url, Sqlite sqlite, Postgres postgres, Memory memory) {
  const std::string_view text = url;
  if (text.starts_with(memory_scheme)) return memory(std::string(text.substr(memory_scheme.size())));
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) return postgres(url);
  if (!text.starts_with(sqlite_scheme))  // not repeated: a mistyped scheme may stand before a password
    return failure(error_code::invalid_argument,
                   "journal.url has an unknown scheme; expected \"sqlite:<path>\", "
                   "\"postgresql://user@host1,host2/database\" or \"memory:\"");
  const std::string path(text.substr(sqlite_scheme.size()));
  if (path.empty() || path.find('\0') != std::string::npos)
    return failure(error_code::invalid_argument,
                   "journal.url " + quote(url) + " names no file; expected \"sqlite:<path>\"");
  return sqlite(path);
}

}  // namespace

std::uint32_t shard_of(std::string_view tenant, std::string_view job_id) {
  return static_cast<std::uint32_t>(fnv1a64(job_id, fnv1a64(std::string_view("\0", 1), fnv1a64(tenant))) % shard_count);
}

bool stores_texts(std::string_view url) { return !url.starts_with(memory_scheme); }

bool matches(const event& e, const event_filter& f) {
  return (f.tenant.empty() || e.tenant == f.tenant) && (f.job_id.empty() || e.job_id == f.job_id) &&
         (f.type.empty() || type_of(e.data) == f.type) && (!f.start || e.time >= *f.start) &&
         (!f.end || e.time < *f.end);
}

result<std::unique_ptr<store>> open_store(const std::string& url, const owner_info& me) {
  return dispatch(
      url, [&](const std::string& path) { return open_sqlite_store(path, me); },
      [&](const std::string& address) { return open_postgres_store(address, me); },
      [&](const std::string& name) { return open_memory_store(name, me); });
}

result<std::unique_ptr<store>> open_reader(const std::string& url) {
  return dispatch(
      url, [](const std::string& path) { return open_sqlite_reader(path); },
      [](const std::string& address) { return open_postgres_reader(address); },
      [](const std::string& name) { return open_memory_reader(name); });
}

}  // namespace horizons::journal
