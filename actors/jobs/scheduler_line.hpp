// Waiting jobs in order of their places, a place being a journal position: a sorted list in pieces, so that a million
// jobs cost 16 bytes each, and joining, leaving and counting cost little wherever in the line they happen.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace horizons::jobs {

/// Does not own its items. An item is in it at most once.
template <class Item>
class waiting_line {
public:
  struct place {
    std::uint64_t order;
    Item* item;
    friend bool operator<(const place& a, const place& b) {
      return a.order != b.order ? a.order < b.order : std::less<Item*>{}(a.item, b.item);
    }
  };

  bool empty() const { return pieces_.empty(); }
  std::size_t size() const { return size_; }
  const place& front() const { return pieces_.begin()->second.front(); }

  void insert(place p) {
    ++size_;
    auto at = pieces_.upper_bound(p);
    if (at != pieces_.begin()) --at;  // the last piece that begins at or before it, else the first one
    if (at == pieces_.end()) return add_piece({p});
    auto& piece = at->second;
    if (piece.back() < p && piece.size() >= piece_max) {
      if (auto next = std::next(at); next == pieces_.end()) return add_piece({p});  // who comes last fills new pieces
    }
    bool first = p < piece.front();
    piece.insert(std::upper_bound(piece.begin(), piece.end(), p), p);
    if (piece.size() > piece_max) {
      std::vector<place> half(piece.begin() + piece_max / 2, piece.end());
      piece.resize(piece_max / 2);
      add_piece(std::move(half));
    }
    if (first) rename(at, p);
  }

  void erase(place p) {
    auto at = --pieces_.upper_bound(p);
    auto& piece = at->second;
    piece.erase(std::lower_bound(piece.begin(), piece.end(), p));
    --size_;
    if (piece.empty())
      pieces_.erase(at);
    else if (p < piece.front())
      rename(at, piece.front());
  }

  /// The next one after `p`, nullptr when there is none.
  const place* after(place p) const {
    auto at = pieces_.upper_bound(p);
    if (at != pieces_.begin()) {
      auto& piece = std::prev(at)->second;
      auto found = std::upper_bound(piece.begin(), piece.end(), p);
      if (found != piece.end()) return &*found;
    }
    return at == pieces_.end() ? nullptr : &at->second.front();
  }

  /// How many, from the front, `is_before` holds for; it must not become true again further back.
  template <class Predicate>
  std::size_t count_before(Predicate is_before) const {
    std::size_t n = 0;
    for (auto& [_, piece] : pieces_) {
      if (!is_before(piece.front())) return n;
      if (!is_before(piece.back()))
        return n +
               static_cast<std::size_t>(std::partition_point(piece.begin(), piece.end(), is_before) - piece.begin());
      n += piece.size();
    }
    return n;
  }

  /// The first of the leading `n` that `wanted` holds for.
  template <class Predicate>
  const place* find_among_first(std::size_t n, Predicate wanted) const {
    for (auto& [_, piece] : pieces_)
      for (auto& p : piece) {
        if (n-- == 0) return nullptr;
        if (wanted(p)) return &p;
      }
    return nullptr;
  }

private:
  static constexpr std::size_t piece_max = 256;  // 4 KiB: moving half of it costs less than a cache miss or two

  void add_piece(std::vector<place> piece) {
    auto key = piece.front();
    pieces_.emplace(key, std::move(piece));
  }
  void rename(typename std::map<place, std::vector<place>>::iterator at, place key) {
    auto node = pieces_.extract(at);
    node.key() = key;
    pieces_.insert(std::move(node));
  }

  std::map<place, std::vector<place>> pieces_;  // by their first place
  std::size_t size_ = 0;
};

}  // namespace horizons::jobs
