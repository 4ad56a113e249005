// Committed events in the order of the journal, shared by all who read them: the events of the batches they were
// appended with, never copied.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "messages/events.hpp"

namespace horizons::journal {

class event_list {
public:
  class iterator {
  public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = const event;
    using difference_type = std::ptrdiff_t;
    using pointer = const event*;
    using reference = const event&;

    iterator() = default;
    explicit iterator(const event* const* at) : at_(at) {}
    reference operator*() const { return **at_; }
    pointer operator->() const { return *at_; }
    reference operator[](difference_type n) const { return *at_[n]; }
    iterator& operator++() { return *this += 1; }
    iterator operator++(int) { return iterator(at_++); }
    iterator& operator--() { return *this += -1; }
    iterator operator--(int) { return iterator(at_--); }
    iterator& operator+=(difference_type n) {
      at_ += n;
      return *this;
    }
    iterator& operator-=(difference_type n) { return *this += -n; }
    friend iterator operator+(iterator i, difference_type n) { return i += n; }
    friend iterator operator+(difference_type n, iterator i) { return i += n; }
    friend iterator operator-(iterator i, difference_type n) { return i += -n; }
    friend difference_type operator-(iterator a, iterator b) { return a.at_ - b.at_; }
    friend auto operator<=>(iterator, iterator) = default;

  private:
    const event* const* at_ = nullptr;
  };

  event_list() = default;
  explicit event_list(std::vector<event> events) {
    auto own = std::make_shared<const std::vector<event>>(std::move(events));
    events_.reserve(own->size());
    for (const event& e : *own) events_.push_back(&e);
    owners_.push_back(std::move(own));
  }

  /// `e` lives in what the last `keep` was given.
  void add(const event& e) { events_.push_back(&e); }
  void keep(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }

  iterator begin() const { return iterator(events_.data()); }
  iterator end() const { return iterator(events_.data() + events_.size()); }
  std::size_t size() const { return events_.size(); }
  bool empty() const { return events_.empty(); }
  const event& front() const { return *events_.front(); }
  const event& back() const { return *events_.back(); }
  const event& operator[](std::size_t i) const { return *events_[i]; }

private:
  std::vector<const event*> events_;
  std::vector<std::shared_ptr<const void>> owners_;
};

}  // namespace horizons::journal
