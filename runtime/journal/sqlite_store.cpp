#include "runtime/journal/sqlite_store.hpp"

#include <filesystem>

#include "runtime/journal/owner_lock.hpp"
#include "runtime/journal/sqlite_schema.hpp"
#include "runtime/journal/sqlite_writer.hpp"

namespace horizons::journal {

namespace {

constexpr const char* reader_settings = "pragma query_only = 1; pragma cache_size = -16384; pragma mmap_size = 0;";

/// The owner's store: the lock, and a connection that is opened again after a failure of the disk.
class sqlite_store final : public store {
public:
  sqlite_store(std::string path, owner_lock lock, std::unique_ptr<sqlite_writer> writer, std::string id)
      : path_(std::move(path)), lock_(std::move(lock)), writer_(std::move(writer)), id_(std::move(id)) {}

  const std::string& id() const override { return id_; }

  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches) override {
    if (batches.size() > append_batches_max)
      return failure(error_code::limit_exceeded, "an append of " + std::to_string(batches.size()) +
                                                     " batches; at most " + std::to_string(append_batches_max));
    if (batches.empty()) return std::vector<result<append_outcome>>();
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    bool outcome_unknown = false;
    auto outcomes = writer_->append(batches, outcome_unknown);
    if (outcomes) return outcomes;
    auto why = std::move(outcomes.error());
    if (why.code == error_code::io || why.code == error_code::unreadable || outcome_unknown) writer_.reset();
    if (outcome_unknown) why = {error_code::timed_out, "the outcome of the append is unknown: " + why.text};
    return failure(std::move(why));
  }

  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->raise_epochs(shards);
  }

  result<std::vector<event>> read(const event_filter& filter, std::size_t limit) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().read(filter, limit);
  }

  result<std::uint64_t> last_position() override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->head().position;
  }

  result<claimed_source> claim_source(std::string_view source) override {
    if (auto ok = admit_source(source); !ok) return failure(std::move(ok.error()));
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->claim_source(std::string(source));
  }

  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().read_sources(prefix);
  }

  result<std::uint64_t> size_bytes() override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().size_bytes();
  }

  result<chain_head> head() override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return told(writer_->head());
  }

  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view key) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().find_claim(tenant, user_id, key);
  }

  result<archived> archive(timestamp before, std::uint64_t up_to) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    auto step = writer_->archive(before, up_to);
    if (!step && step.error().code != error_code::disk_full) writer_.reset();  // opened again, as after an append
    return step;
  }

  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().verify(go_on);
  }

private:
  result<void> ready() {
    if (writer_) return {};
    auto opened = sqlite_writer::open(path_);
    if (!opened) return failure(std::move(opened.error()));
    writer_ = std::move(*opened);
    return {};
  }

  std::string path_;
  owner_lock lock_;
  std::unique_ptr<sqlite_writer> writer_;
  std::string id_;
};

/// A reader's store.
class sqlite_reader final : public store {
public:
  sqlite_reader(sqlite::connection db) : db_(std::move(db)), view_(db_) {}

  result<void> start() {
    auto ok = db_.run(reader_settings);
    if (ok) ok = sqlite::check_schema(db_);
    if (!ok) return ok;
    auto id = view_.journal_id();
    if (!id) return failure(std::move(id.error()));
    id_ = std::move(*id);
    return {};
  }

  const std::string& id() const override { return id_; }
  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr>) override { return read_only(); }
  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t>) override { return read_only(); }
  result<std::vector<event>> read(const event_filter& filter, std::size_t limit) override {
    return view_.read(filter, limit);
  }
  result<std::uint64_t> last_position() override {
    return view_.head().map([](const chain_state& head) { return head.position; });
  }
  result<claimed_source> claim_source(std::string_view) override { return read_only(); }
  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix) override {
    return view_.read_sources(prefix);
  }
  result<chain_head> head() override { return view_.head().map(told); }
  result<std::uint64_t> size_bytes() override { return view_.size_bytes(); }
  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view key) override {
    return view_.find_claim(tenant, user_id, key);
  }
  result<archived> archive(timestamp, std::uint64_t) override { return read_only(); }
  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on) override { return view_.verify(go_on); }

private:
  static tl::unexpected<error> read_only() {
    return failure(error_code::internal, "this view of the journal is for reading only");
  }

  sqlite::connection db_;
  sqlite_view view_;
  std::string id_;
};

}  // namespace

result<std::unique_ptr<store>> open_sqlite_store(const std::string& path, const owner_info& me) {
  const auto folder = std::filesystem::absolute(path).parent_path();
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed)
    return failure(error_code::io,
                   "journal " + path + ": cannot make the folder " + folder.string() + ": " + failed.message());
  if (std::filesystem::is_directory(path, failed))
    return failure(error_code::io, "journal " + path + " is a folder; expected a file");
  auto lock = owner_lock::take(path + ".lock", me);
  if (!lock) return failure(std::move(lock.error()));
  auto writer = sqlite_writer::open(path);
  if (!writer) return failure(std::move(writer.error()));
  auto id = (*writer)->view().journal_id();
  if (!id) return failure(std::move(id.error()));
  return std::make_unique<sqlite_store>(path, std::move(*lock), std::move(*writer), std::move(*id));
}

result<std::unique_ptr<store>> open_sqlite_reader(const std::string& path) {
  auto db = sqlite::connection::open(path, sqlite::access::read);
  if (!db) return failure(std::move(db.error()));
  auto reader = std::make_unique<sqlite_reader>(std::move(*db));
  if (auto ok = reader->start(); !ok) return failure(std::move(ok.error()));
  return reader;
}

}  // namespace horizons::journal
