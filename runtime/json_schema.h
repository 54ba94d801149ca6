// JSON Schema (draft 7), and JSON itself: what a model or a client wrote is checked here before anything else looks at it.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace agentruntime {

inline constexpr size_t kSchemaBytesMax = 256 << 10;
// Bounds that hold only where the schema makes the check dear: by `pattern`, every string; by `uniqueItems`, every array.
inline constexpr size_t kPatternStringBytesMax = 2048;
inline constexpr size_t kUniqueItemsMax = 256;

// INVALID_ARGUMENT, with line and column, unless `text` is one JSON value (RFC 8259): at most kArgumentsBytesMax bytes, nested at most kJsonDepthMax deep,
// valid UTF-8 without a byte order mark, no key twice in one object, numbers that a double can hold, nothing after it. Thread-safe, throws nothing.
absl::Status CheckJson(absl::string_view text);

// A compiled schema. Immutable and thread-safe; nothing throws, nothing is fetched.
class JsonSchema {
 public:
  // INVALID_ARGUMENT: not JSON, not an object, a keyword with a wrong value, a reference that leads out of the schema, nowhere or in a circle, more than
  // 10,000 subschemas for one value, references to 200 places, a pattern that is no regular expression in RE2's syntax (no back references, no look-around).
  static absl::StatusOr<JsonSchema> Compile(absl::string_view schema);

  JsonSchema(JsonSchema&&) noexcept;
  JsonSchema& operator=(JsonSchema&&) noexcept;
  ~JsonSchema();

  // INVALID_ARGUMENT unless `text` passes CheckJson, has no character U+0000, and fits. The message is for the model that wrote it: for each of the first few
  // faults the JSON pointer of the value, what is wrong, and what the schema asks for there; at most 2 KiB. A check that takes too much work ends so too: a
  // second or so is its bound, whatever the schema.
  absl::Status Check(absl::string_view text) const;

 private:
  struct Compiled;
  explicit JsonSchema(std::unique_ptr<const Compiled> compiled);
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace agentruntime
