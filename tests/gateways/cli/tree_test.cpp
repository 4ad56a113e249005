#include "gateways/cli/tree.hpp"

#include <gtest/gtest.h>

namespace horizons::cli {
namespace {

TEST(tree, says_only_what_is_remarkable_and_folds_equal_leaves) {
  json shards = json::array();
  for (int i = 0; i < 20; ++i)
    shards.push_back(
        {{"name", std::to_string(i)}, {"type", "shard"}, {"state", "running"}, {"children", json::array()}});
  shards[3]["children"] = {{{"name", "job/x"}, {"type", "job"}, {"state", "running"}, {"mailbox", 2}}};
  json root = {
      {"name", "node"},
      {"state", "running"},
      {"children",
       {{{"name", "journal"}, {"state", "backoff"}, {"restarts", 1}, {"last_error", "disk"}, {"type", "supervisor"}},
        {{"name", "shard"}, {"state", "running"}, {"type", "supervisor"}, {"children", shards}}}}};
  EXPECT_EQ(draw_tree(root),
            "node  running\n"
            "├─ journal  backoff  1 restart  last error: disk\n"
            "└─ shard  running\n"
            "   ├─ 3  running\n"
            "   │  └─ job/x  running  2 waiting\n"
            "   └─ 19 × shard  running\n");
}

TEST(tree, survives_what_a_node_should_not_send) {
  EXPECT_EQ(draw_tree(json::array()), "");
  EXPECT_EQ(draw_tree({{"name", 5}, {"children", "x"}}), "  \n");
}

}  // namespace
}  // namespace horizons::cli
