// YAML text as a tree that knows where everything stands. The only user of yaml-cpp; none of its exceptions leaves the .cc file.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime::yaml {

inline constexpr size_t kTextBytesMax = 1 << 20;
inline constexpr size_t kDepthMax = 32;

// Where something stands, as editors count: both from 1, columns in characters.
struct Position {
  int line = 0;
  int column = 0;
};

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Position position;
  std::string text;            // of a scalar
  bool quoted = false;         // of a scalar: quoted or a block, so that it is text whatever it looks like
  std::vector<Node> children;  // of a list or a map
  std::string key;             // of a map's child; each once
  Position key_position;       // of a map's child
};

// `file:line:column: path: what`, INVALID_ARGUMENT. An empty `path` and a position of line 0 are left out.
absl::Status ErrorAt(absl::string_view file, Position position, absl::string_view path, absl::string_view what);

// `path` extended by a key or an index: `models[0].openai`; keys that are no plain word stand in brackets: `labels["a.b"]`.
std::string ChildPath(absl::string_view path, const Node& parent, size_t index);

// The one document in `text`; kNull for an empty one. INVALID_ARGUMENT as ErrorAt for everything that ReadYaml refuses before it looks at fields.
absl::StatusOr<Node> ParseTree(absl::string_view file, absl::string_view text);

}  // namespace agentruntime::yaml
