#include "runtime/journal/chain.hpp"

#include <openssl/evp.h>

#include <stdexcept>

namespace horizons::journal {

std::string hexadecimal(const chain_hash& hash) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const auto byte : hash) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

bool from_hexadecimal(std::string_view text, chain_hash& hash) {
  if (text.size() != 2 * hash.size()) return false;
  const auto digit = [](char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (std::size_t i = 0; i < hash.size(); ++i)
    hash[i] = static_cast<std::uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  return hexadecimal(hash) == text;
}

void chain_hasher::context_deleter::operator()(void* context) const {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

void chain_hasher::digest_deleter::operator()(void* digest) const { EVP_MD_free(static_cast<EVP_MD*>(digest)); }

chain_hasher::chain_hasher() : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  // Only a broken OpenSSL installation lacks SHA-256; a journal without its chain must not start.
  if (!digest_ || !context_) throw std::runtime_error("OpenSSL offers no SHA-256");
}

chain_hash chain_hasher::link(const chain_hash& previous, std::uint64_t position, std::string_view event_json) {
  std::array<std::uint8_t, 40> front;
  std::copy(previous.begin(), previous.end(), front.begin());
  for (std::size_t i = 0; i < 8; ++i) front[32 + i] = static_cast<std::uint8_t>(position >> (56 - 8 * i));
  auto* context = static_cast<EVP_MD_CTX*>(context_.get());
  chain_hash out;
  unsigned int size = 0;
  if (EVP_DigestInit_ex2(context, static_cast<EVP_MD*>(digest_.get()), nullptr) != 1 ||
      EVP_DigestUpdate(context, front.data(), front.size()) != 1 ||
      EVP_DigestUpdate(context, event_json.data(), event_json.size()) != 1 ||
      EVP_DigestFinal_ex(context, out.data(), &size) != 1)
    throw std::runtime_error("OpenSSL failed to compute a SHA-256");
  return out;
}

}  // namespace horizons::journal
