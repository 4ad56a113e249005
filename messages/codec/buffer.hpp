// A growing run of bytes for encoders: room is made once per value, then bytes are stored without further checks.
// Each thread keeps one for reuse, so that encoding allocates only the string it returns.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace horizons::codec {

class byte_buffer {
public:
  /// The calling thread's buffer, emptied. Not for nested use.
  static byte_buffer& of_thread() {
    thread_local byte_buffer buffer;
    if (buffer.capacity_ > kept_bytes_max) buffer = byte_buffer{};
    buffer.size_ = 0;
    return buffer;
  }

  /// At least `count` writable bytes after the end; say how many were used with `advance`.
  char* room(std::size_t count) {
    if (capacity_ - size_ < count) grow(count);
    return bytes_.get() + size_;
  }
  void advance(std::size_t count) { size_ += count; }

  void put(char c) {
    *room(1) = c;
    ++size_;
  }
  void put(std::string_view text) { write(text.data(), text.size()); }

  /// The name msgpack::packer calls.
  void write(const char* bytes, std::size_t count) {
    char* p = room(count);
    if (count != 0) std::memcpy(p, bytes, count);
    size_ += count;
  }

  char last() const { return bytes_[size_ - 1]; }
  std::size_t size() const { return size_; }
  std::string text() const { return {bytes_.get(), size_}; }

private:
  static constexpr std::size_t kept_bytes_max = 256 * 1024;  // a rare large message must not stay in every thread

  void grow(std::size_t count) {
    std::size_t wanted = capacity_ == 0 ? 1024 : capacity_ * 2;
    if (wanted < size_ + count) wanted = size_ + count;
    std::unique_ptr<char[]> larger{new char[wanted]};
    if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = wanted;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace horizons::codec
