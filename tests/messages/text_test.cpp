#include "messages/text.hpp"

#include <gtest/gtest.h>

#include "messages/result.hpp"

namespace horizons {
namespace {

TEST(text, tells_valid_utf8_from_invalid) {
  for (const char* good : {"", "plain", "caf\u00e9", "\u20ac", "\U0001F52D", "\U0010FFFF", "\ud7ff", "\ue000"})
    EXPECT_TRUE(is_utf8(good)) << good;
  const std::string_view bad[] = {"\x80",
                                  "\xc3",
                                  "\xc0\xaf",
                                  "\xe0\x80\x80",
                                  "\xed\xa0\x80",
                                  "\xed\xbf\xbf",
                                  "\xf0\x80\x80\x80",
                                  "\xf4\x90\x80\x80",
                                  "\xf8\x88\x80\x80\x80",
                                  "\xff",
                                  "12345678\x80",
                                  "1234567\xe2\x82",
                                  "\xe2(\xa1"};
  for (const auto text : bad) EXPECT_FALSE(is_utf8(text)) << quote(text);
}

TEST(text, faults_name_what_is_wrong) {
  EXPECT_EQ(text_fault("fine, 16 bytes.."), "");
  EXPECT_EQ(text_fault("\xff"), "is not valid UTF-8");
  for (std::size_t at = 0; at < 20; ++at) {
    std::string text(20, 'x');
    text[at] = '\0';
    EXPECT_EQ(text_fault(text), "contains a NUL character") << at;
    EXPECT_TRUE(is_utf8(text)) << at;
  }
}

TEST(text, quotes_control_and_invalid_bytes_and_cuts_long_texts) {
  EXPECT_EQ(quote("a\nb\xff"), "\"a\\x0ab\\xff\"");
  EXPECT_EQ(quote(std::string(100, 'x'), 4), "\"xxxx…\"");
  EXPECT_EQ(quote("xxx\u00e9", 4), "\"xxx…\"") << "never half a character";
}

TEST(text, names_follow_their_grammar) {
  for (const char* good : {"a", "7", "A.b_c-d", "0123456789012345678901234567890123456789012345678901234567890123"})
    EXPECT_TRUE(is_name(good)) << good;
  for (const char* bad : {"", ".a", "_a", "-a", "a b", "a/b", "\u00e9", "a\n",
                          "01234567890123456789012345678901234567890123456789012345678901234"})
    EXPECT_FALSE(is_name(bad)) << bad;
}

TEST(error_code, every_code_has_its_word) {
  for (int code = 0; code <= static_cast<int>(error_code::internal); ++code)
    EXPECT_NE(to_string(static_cast<error_code>(code)), "unknown") << code;
  EXPECT_EQ(to_string(error_code::disk_full), "disk_full");
}

}  // namespace
}  // namespace horizons
