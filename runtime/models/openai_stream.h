// A provider's answer put together from its fragments (OpenAI's chat completions, and what calls itself compatible).
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "runtime/models/model.h"
#include "runtime/models/surrogates.h"

namespace agentruntime {

// All arguments of one decision together: with the text (kDecisionTextBytesMax) and the names they fit into one event.
inline constexpr int64_t kDecisionArgumentsBytesMax = 384 << 10;
inline constexpr size_t kNameBytesMax = 256;  // of a tool's name or a provider's id, as the model or provider wrote it; the rest is dropped

// What is over a bound is dropped: text and arguments end there with finish reason LENGTH, as if the provider had cut them; of calls one more than
// kCallsPerDecisionMax is kept, so that the runtime sees the excess. Not thread-safe.
class OpenAiStream {
 public:
  // `deltas` outlives this object.
  OpenAiStream(std::string model, DeltaSink& deltas);
  ~OpenAiStream();

  // One `data:` payload. False: nothing more is wanted (the end came, a bound was met, or it failed).
  bool Data(absl::string_view data);
  // The whole answer as one JSON object, from a server that does not stream.
  void Whole(absl::string_view body);

  // Whether Finish knows the outcome already, however the connection ends: the provider said why it stopped, or failed.
  bool settled() const { return done_ || cut_ || failure_.has_value() || !finish_reason_.empty(); }
  // The outcome. Not settled: a failure that says that the answer was cut.
  ModelOutcome Finish();

 private:
  struct Call {
    int64_t index;
    std::string id;
    std::string name;
    std::string arguments;
    SurrogateJoiner joiner;
    bool dropped = false;  // over the bound: counted, not kept
  };

  void Chunk(const nlohmann::json& chunk);
  void Message(const nlohmann::json& message);
  void Usage(const nlohmann::json& usage);
  void CallFragment(const nlohmann::json& fragment);
  Call& CallFor(std::optional<int64_t> index, absl::string_view id, absl::string_view name);
  void Text(absl::string_view fragment);
  void Fail(absl::string_view reason, bool retryable, absl::string_view what);

  const std::string model_;
  DeltaSink& deltas_;
  std::string text_;
  SurrogateJoiner text_joiner_;
  SurrogateJoiner reasoning_joiner_;
  std::vector<std::unique_ptr<Call>> calls_;
  int64_t arguments_bytes_ = 0;
  std::string response_id_;
  std::string finish_reason_;
  std::optional<v1::Usage> usage_;
  bool chunk_seen_ = false;
  bool done_ = false;  // [DONE], or the whole answer
  bool cut_ = false;   // at one of our bounds
  std::optional<ModelOutcome> failure_;
};

}  // namespace agentruntime
