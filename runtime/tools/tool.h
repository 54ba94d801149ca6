// What every tool is to the runtime.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/agent.pb.h"
#include "agentruntime/v1/content.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "runtime/artifact_ref.h"
#include "runtime/hold.h"

namespace agentruntime {

struct ChildOrder;
class ChildRuns;

// Of a tool whose calls are answered by runs of their own.
struct ChildSpec {
  std::string agent;  // agents/{agent}, perhaps with a revision
  v1::Limits limits;  // of the child
};

struct ToolSpec {
  std::string name;          // configured; IsToolName
  std::string description;   // what the model reads
  std::string input_schema;  // JSON Schema of an object, as text, forwarded verbatim
  v1::SideEffect side_effect = v1::SIDE_EFFECT_UNSAFE;
  absl::Duration timeout = absl::Seconds(30);  // of one attempt
  int32_t attempts_max = 1;                    // of an UNSAFE one, the later follow a definite failure or a person's word
  bool reads_artifacts = false;                // what models are told to read on with
  bool asks_person = false;                    // a person answers its calls, as their `question` asks: the tool itself is never called
  bool local = false;                          // our own, in-process, touches only the store and read-only folders: may run ahead of the disk
  std::optional<ChildSpec> child;              // calls are answered by other runs
  std::string origin = "built in";
};

// One attempt of one call. `arguments` is a JSON object that fits the schema.
struct ToolRequest {
  RunId run;
  CallId call;
  int32_t attempt = 1;
  std::string arguments;
  std::string idempotency_key;
  absl::Duration timeout;
  std::vector<ArtifactRef> artifacts;       // that the run may read; only where the spec says that the tool does
  std::shared_ptr<const ChildOrder> child;  // the run that answers it; only where the spec has one
  ChildRuns* child_runs = nullptr;          // the same; outlives the call
};

// A Status cannot tell "it certainly failed" from "nobody knows", which the ledger needs.
struct ToolDone {
  std::vector<v1::Part> parts;                       // texts and JSON; what is above kResultBytesMax becomes artifacts, up to kArtifactBytesMax
  std::shared_ptr<const v1::Usage> usage = nullptr;  // of the run that answered
  std::unique_ptr<Hold> place = nullptr;             // of what may be large: what bounds how many such results there are (staging_room.h)
};
struct ToolFailed {     // it certainly took no effect
  std::string message;  // what the model reads if it is not tried again
  bool retryable = false;
  std::optional<absl::Duration> retry_after;
  std::shared_ptr<const v1::Usage> usage = nullptr;  // of the run that was to answer
};
struct ToolUnknown {  // nobody knows whether it took effect: connection lost, cancelled without confirmation
  std::string message;
};
using ToolOutcome = std::variant<ToolDone, ToolFailed, ToolUnknown>;

// Called on the coroutine's executor.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void Progress(absl::string_view message, std::optional<double> fraction) = 0;
};

// Thread-safe: Call may run for many runs at once, each on its own executor. It must not block that executor: work that blocks goes to a blocking pool.
// Cancellation and timeout come by the coroutine's cancellation slot; it then ends soon, and says ToolFailed only if the call certainly took no effect.
// `progress` outlives the coroutine.
class Tool {
 public:
  virtual ~Tool() = default;
  virtual const ToolSpec& spec() const = 0;
  virtual boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) = 0;
};

}  // namespace agentruntime
