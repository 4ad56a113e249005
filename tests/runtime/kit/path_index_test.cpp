// Who lives at a path, against a map, through many comings and goings.
#include "runtime/kit/path_index.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>

namespace horizons::kit::detail {
namespace {

struct place {
  std::string name;
  const std::string& path() const { return name; }
};

TEST(path_index, the_newest_owner_of_a_path_counts) {
  path_index<place> index;
  place first{"/a"}, second{"/a"};
  EXPECT_EQ(index.find("/a"), nullptr);
  index.erase(&first);
  index.put(&first);
  index.put(&second);
  index.erase(&first);  // it is the second's by now
  EXPECT_EQ(index.find("/a"), &second);
  EXPECT_EQ(index.size(), 1u);
  index.erase(&second);
  EXPECT_EQ(index.find("/a"), nullptr);
}

TEST(path_index, finds_what_a_map_finds) {
  std::mt19937 random(7);
  path_index<place> index;
  std::map<std::string, std::unique_ptr<place>> truth;
  for (int i = 0; i < 20'000; ++i) {
    auto path = "/p/" + std::to_string(random() % 700);
    if (random() % 2) {
      auto p = std::make_unique<place>(place{path});
      index.put(p.get());
      truth[path] = std::move(p);
    } else if (auto at = truth.find(path); at != truth.end()) {
      index.erase(at->second.get());
      truth.erase(at);
    }
    auto other = "/p/" + std::to_string(random() % 700);
    auto at = truth.find(other);
    ASSERT_EQ(index.find(other), at == truth.end() ? nullptr : at->second.get()) << other << " after " << i;
  }
  std::size_t seen = 0;
  index.for_each([&](place& p) {
    ++seen;
    EXPECT_EQ(truth.at(p.name).get(), &p);
  });
  EXPECT_EQ(seen, truth.size());
  EXPECT_EQ(index.size(), truth.size());
}

}  // namespace
}  // namespace horizons::kit::detail
