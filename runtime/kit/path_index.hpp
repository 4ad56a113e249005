// Who lives at a path: a hash table of pointers, open addressing with linear probing. A node may have a hundred
// thousand addresses, which come and go; a growing table is copied without touching what it points to. Not thread
// safe. Internal to the kit.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace horizons::kit::detail {

/// T has `path()`, which stays as long as it is in the index.
template <class T>
class path_index {
public:
  /// Null when nobody has that path.
  T* find(std::string_view path) const {
    if (table_.empty()) return nullptr;
    const auto hash = hash_of(path);
    for (auto i = hash & mask();; i = (i + 1) & mask()) {
      const auto& e = table_[i];
      if (!e.who) return nullptr;
      if (e.hash == hash && e.who->path() == path) return e.who;
    }
  }

  /// `who` has its path from now on, whoever had it before.
  void put(T* who) {
    if (4 * (size_ + 1) > 3 * table_.size()) grow();
    const auto hash = hash_of(who->path());
    auto i = hash & mask();
    for (; table_[i].who; i = (i + 1) & mask())
      if (table_[i].hash == hash && table_[i].who->path() == who->path()) {
        table_[i].who = who;
        return;
      }
    table_[i] = {hash, who};
    ++size_;
  }

  /// Unless somebody else has the path.
  void erase(const T* who) {
    if (table_.empty()) return;
    auto i = hash_of(who->path()) & mask();
    while (table_[i].who != who) {
      if (!table_[i].who) return;
      i = (i + 1) & mask();
    }
    // Those that were pushed along move back, so that no search ends early at the gap.
    for (auto next = (i + 1) & mask(); table_[next].who; next = (next + 1) & mask()) {
      const auto home = table_[next].hash & mask();
      if (((next - home) & mask()) < ((next - i) & mask())) continue;  // it stands between its home and the gap
      table_[i] = table_[next];
      i = next;
    }
    table_[i] = {};
    --size_;
  }

  template <class F>
  void for_each(F f) const {
    for (const auto& e : table_)
      if (e.who) f(*e.who);
  }
  std::size_t size() const { return size_; }

private:
  struct entry {
    std::size_t hash = 0;
    T* who = nullptr;
  };
  static std::size_t hash_of(std::string_view path) { return std::hash<std::string_view>{}(path); }
  std::size_t mask() const { return table_.size() - 1; }
  void grow() {
    std::vector<entry> bigger(table_.empty() ? 64 : 2 * table_.size());  // a power of two
    std::swap(table_, bigger);
    for (const auto& e : bigger) {
      if (!e.who) continue;
      auto i = e.hash & mask();
      while (table_[i].who) i = (i + 1) & mask();
      table_[i] = e;
    }
  }

  std::vector<entry> table_;
  std::size_t size_ = 0;
};

}  // namespace horizons::kit::detail
