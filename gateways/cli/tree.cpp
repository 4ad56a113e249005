#include "gateways/cli/tree.hpp"

#include <map>
#include <vector>

namespace horizons::cli {

namespace {

constexpr int depth_max = 64;
constexpr std::size_t fold_from = 8;  // equal leaves: a node has 256 shards

std::string text(const json& node, const char* key) {
  auto at = node.find(key);
  return at != node.end() && at->is_string() ? at->get<std::string>() : "";
}

std::int64_t number(const json& node, const char* key) {
  auto at = node.find(key);
  return at != node.end() && at->is_number_integer() ? at->get<std::int64_t>() : 0;
}

bool unremarkable_leaf(const json& node) {
  auto children = node.find("children");
  return (children == node.end() || children->empty()) && text(node, "state") == "running" &&
         number(node, "restarts") == 0 && number(node, "mailbox") == 0 && text(node, "last_error").empty();
}

std::string label(const json& node) {
  std::string line = text(node, "name") + "  " + text(node, "state");
  if (auto n = number(node, "mailbox")) line += "  " + std::to_string(n) + " waiting";
  if (auto n = number(node, "restarts")) line += "  " + std::to_string(n) + (n == 1 ? " restart" : " restarts");
  if (auto e = text(node, "last_error"); !e.empty()) line += "  last error: " + e;
  return line;
}

void draw(const json& node, const std::string& indent, int depth, std::string& out) {
  auto children = node.find("children");
  if (children == node.end() || !children->is_array() || depth > depth_max) return;
  std::map<std::string, std::size_t> leaves;  // by type
  for (auto& c : *children)
    if (c.is_object() && unremarkable_leaf(c)) ++leaves[text(c, "type")];
  std::vector<std::pair<const json*, std::string>> lines;
  for (auto& c : *children) {
    if (!c.is_object()) continue;
    if (unremarkable_leaf(c) && leaves[text(c, "type")] >= fold_from) continue;
    lines.emplace_back(&c, label(c));
  }
  for (auto& [type, count] : leaves)
    if (count >= fold_from) lines.emplace_back(nullptr, std::to_string(count) + " × " + type + "  running");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool last = i + 1 == lines.size();
    out += indent + (last ? "└─ " : "├─ ") + lines[i].second + '\n';
    if (lines[i].first) draw(*lines[i].first, indent + (last ? "   " : "│  "), depth + 1, out);
  }
}

}  // namespace

std::string draw_tree(const json& root) {
  if (!root.is_object()) return "";
  std::string out = label(root) + '\n';
  draw(root, "", 0, out);
  return out;
}

}  // namespace horizons::cli
