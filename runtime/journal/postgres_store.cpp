#include "runtime/journal/postgres_store.hpp"

#include "runtime/journal/postgres_schema.hpp"
#include "runtime/journal/postgres_writer.hpp"

namespace horizons::journal {

namespace {

/// The owner's store: a writer that is opened again, lock included, when its connection was lost.
class postgres_store final : public store {
public:
  postgres_store(postgres::address at, owner_info me) : at_(std::move(at)), me_(std::move(me)) {}

  result<void> start() {
    if (auto ok = ready(); !ok) return ok;
    return writer_->view().journal_id().map([this](std::string id) { id_ = std::move(id); });
  }

  const std::string& id() const override { return id_; }

  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches) override {
    if (batches.size() > append_batches_max)
      return failure(error_code::limit_exceeded, "an append of " + std::to_string(batches.size()) +
                                                     " batches; at most " + std::to_string(append_batches_max));
    if (batches.empty()) return std::vector<result<append_outcome>>();
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->append(batches);
  }

  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->raise_epochs(shards);
  }

  result<claimed_source> claim_source(std::string_view source) override {
    if (auto ok = admit_source(source); !ok) return failure(std::move(ok.error()));
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->claim_source(std::string(source));
  }

  result<std::vector<event>> read(const event_filter& filter, std::size_t limit) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().read(filter, limit);
  }

  result<std::uint64_t> last_position() override {
    return head().map([](const chain_head& head) { return head.position; });
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
    return writer_->archive(before, up_to);
  }

  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return writer_->view().verify(go_on);
  }

private:
  result<void> ready() {
    if (writer_ && !writer_->lost()) return {};
    writer_.reset();  // its connection first: the lock may still be its
    auto opened = postgres_writer::open(at_, me_);
    if (!opened) return failure(std::move(opened.error()));
    if (!id_.empty()) {  // after a failover, or a restore: is it the journal that we know?
      auto id = (*opened)->view().journal_id();
      if (!id) return failure(std::move(id.error()));
      if (*id != id_)
        return failure(error_code::unavailable,
                       "journal " + at_.shown + " is journal " + *id + " now; this node wrote " + id_);
    }
    writer_ = std::move(*opened);
    return {};
  }

  postgres::address at_;
  owner_info me_;
  std::unique_ptr<postgres_writer> writer_;
  std::string id_;
};

/// A reader's store.
class postgres_reader final : public store {
public:
  explicit postgres_reader(postgres::address at) : at_(std::move(at)) {}

  result<void> start() {
    if (auto ok = ready(); !ok) return ok;
    return view_->journal_id().map([this](std::string id) { id_ = std::move(id); });
  }

  const std::string& id() const override { return id_; }
  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr>) override { return read_only(); }
  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t>) override { return read_only(); }
  result<claimed_source> claim_source(std::string_view) override { return read_only(); }
  result<archived> archive(timestamp, std::uint64_t) override { return read_only(); }

  result<std::vector<event>> read(const event_filter& filter, std::size_t limit) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->read(filter, limit);
  }
  result<std::uint64_t> last_position() override {
    return head().map([](const chain_head& head) { return head.position; });
  }
  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->read_sources(prefix);
  }
  result<std::uint64_t> size_bytes() override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->size_bytes();
  }
  result<chain_head> head() override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->head().map(told);
  }
  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view key) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->find_claim(tenant, user_id, key);
  }
  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on) override {
    if (auto ok = ready(); !ok) return failure(std::move(ok.error()));
    return view_->verify(go_on);
  }

private:
  static tl::unexpected<error> read_only() {
    return failure(error_code::internal, "this view of the journal is for reading only");
  }

  result<void> ready() {
    if (db_ && !db_->lost()) return {};
    auto opened = postgres::connection::open(at_);
    if (!opened) return failure(std::move(opened.error()));
    if (auto ok = (*opened)->run("set default_transaction_read_only = on"); !ok) return failure(std::move(ok.error()));
    if (auto ok = postgres::check_schema(**opened, at_); !ok) return ok;
    view_.reset();
    db_ = std::move(*opened);
    view_.emplace(*db_);
    return {};
  }

  postgres::address at_;
  std::unique_ptr<postgres::connection> db_;
  std::optional<postgres_view> view_;
  std::string id_;
};

template <class Store, class... Arguments>
result<std::unique_ptr<store>> opened(Arguments&&... arguments) {
  auto s = std::make_unique<Store>(std::forward<Arguments>(arguments)...);
  if (auto ok = s->start(); !ok) return failure(std::move(ok.error()));
  return s;
}

}  // namespace

result<std::unique_ptr<store>> open_postgres_store(const std::string& url, const owner_info& me) {
  auto at = postgres::parse_url(url);
  if (!at) return failure(std::move(at.error()));
  return opened<postgres_store>(std::move(*at), me);
}

result<std::unique_ptr<store>> open_postgres_reader(const std::string& url) {
  auto at = postgres::parse_url(url);
  if (!at) return failure(std::move(at.error()));
  return opened<postgres_reader>(std::move(*at));
}

}  // namespace horizons::journal
