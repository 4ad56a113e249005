#include "actors/agents/checkpoint.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

namespace horizons::agents {
namespace {

namespace fs = std::filesystem;

class checkpoint_file : public ::testing::Test {
protected:
  checkpoint_file() {
    std::string form = (fs::temp_directory_path() / "horizons-checkpoint-XXXXXX").string();
    folder_ = mkdtemp(form.data());
  }
  ~checkpoint_file() override { fs::remove_all(folder_); }

  static std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

  fs::path folder_;
};

TEST_F(checkpoint_file, gives_back_the_last_one) {
  const checkpoint c(folder_, "key");
  EXPECT_TRUE(c);
  EXPECT_FALSE(c.load());
  const std::string a("one\n\0two", 8), b = "three";
  const std::span<const std::byte> parts[] = {bytes(a), bytes(b)};
  ASSERT_TRUE(c.save({{"n", 1}}, parts));
  ASSERT_TRUE(c.save({{"n", 0.1}}, parts));
  const auto found = checkpoint(folder_, "key").load();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->head, (json{{"n", 0.1}}));
  EXPECT_EQ(found->data, a + b);
  EXPECT_FALSE(checkpoint(folder_, "other parameters").load());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(checkpoint_file, nothing_is_kept_without_a_folder) {
  const checkpoint none({}, "key");
  EXPECT_FALSE(none);
  EXPECT_TRUE(none.save({}, {}));
  EXPECT_FALSE(none.load());
  const auto gone = checkpoint(folder_ / "gone", "key").save({}, {});
  ASSERT_FALSE(gone);
  EXPECT_NE(gone.error().text.find("gone"), std::string::npos) << gone.error().text;
}

TEST_F(checkpoint_file, a_damaged_one_counts_as_none) {
  const checkpoint c(folder_, "key");
  const std::string data(1'000, 'x');
  const std::span<const std::byte> parts[] = {bytes(data)};
  ASSERT_TRUE(c.save({{"n", 1}}, parts));
  const auto path = folder_ / "checkpoint";
  std::ifstream in(path, std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  std::mt19937 random(5);
  const auto begin = whole.find('\n') + 1;
  for (int i = 0; i < 100; ++i) {
    auto damaged = whole;
    if (i % 2)
      damaged.resize(random() % whole.size());
    else
      damaged[begin + random() % (whole.size() - begin)] ^= 1;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    EXPECT_FALSE(c.load()) << i;
  }
}

}  // namespace
}  // namespace horizons::agents
