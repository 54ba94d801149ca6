#include "runtime/text/nested_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"

namespace agentruntime {
namespace {

using nlohmann::json;

// Of a value that holds no other.
std::string WriteScalar(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

int JsonDepth(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

json ParseNestedJson(absl::string_view text, int depth_max) {
  if (JsonDepth(text) > depth_max) return json(json::value_t::discarded);
  return json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

std::string WriteNestedJson(const json& value) {
  struct Open {
    const json* node;
    json::const_iterator next;
  };
  std::string text;
  std::vector<Open> open;  // in place of the stack
  const auto begin = [&](const json& node) {
    if (!node.is_structured()) {
      text += WriteScalar(node);
      return;
    }
    text += node.is_object() ? '{' : '[';
    open.push_back({&node, node.cbegin()});
  };
  begin(value);
  while (!open.empty()) {
    Open& last = open.back();
    const json& node = *last.node;
    if (last.next == node.cend()) {
      text += node.is_object() ? '}' : ']';
      open.pop_back();
      continue;
    }
    if (last.next != node.cbegin()) text += ',';
    const json::const_iterator item = last.next++;
    if (node.is_object()) absl::StrAppend(&text, WriteScalar(json(item.key())), ":");
    begin(*item);
  }
  return text;
}

}  // namespace agentruntime
