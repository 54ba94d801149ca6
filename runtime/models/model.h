// What every model is to the runtime: something that, given messages and tools, proposes the next action.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"
#include "runtime/boxed.h"
#include "runtime/models/messages.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

struct ModelInfo {
  std::string name;            // configured
  std::string provider;        // openai, scripted, extractive
  std::string provider_model;  // may be empty
  std::string description;     // what it is, in a line
  int32_t context_tokens = 128'000;
  bool local = false;         // our own, in-process, touches only the store and read-only folders: may run ahead of the disk
  bool counts_tokens = true;  // false: it reads and writes no tokens, so none are reserved or booked
  int32_t attempts_max = 5;
  std::string required_tool;  // a tool without which the model cannot work; empty: none
};

struct ModelRequest {
  RunId run;
  int32_t step = 0;
  int32_t attempt = 1;
  v1::ModelPurpose purpose = v1::MODEL_PURPOSE_DECIDE;
  std::string instructions;  // may be empty
  Messages messages;
  size_t earlier = 0;  // of `messages`, in front: what earlier runs of the conversation asked and answered
  std::string notice;  // what the runtime says behind the messages, as a user would; may be empty. For models that read prompts
  std::vector<std::shared_ptr<const ToolSpec>> tools;
  std::string artifact_reader;  // the tool among them that reads on in a large result; empty: none does
  std::optional<double> temperature;
  int32_t max_output_tokens = 4096;
};

// One attempt's end.
struct ModelOutcome {
  Boxed<v1::Decision> decision;               // call_ids need not be set: the runtime numbers the calls. Usage as reported, see below.
  v1::RunError error;                         // if there is no decision; reasons MODEL_* of run.proto
  std::optional<absl::Duration> retry_after;  // the provider's own wish
  Boxed<v1::Usage> usage;                     // tokens as reported; nullopt: not reported, the reservation is booked
};

// Where a model says what it is writing. Called on the coroutine's executor.
class DeltaSink {
 public:
  virtual ~DeltaSink() = default;
  virtual void Text(absl::string_view text) = 0;
  virtual void Reasoning(absl::string_view text) = 0;
  virtual void ToolCall(int32_t call_index, absl::string_view tool, absl::string_view arguments) = 0;  // index from 1; tool in the first fragment only
};

// One attempt; retries, pacing and booking are the runtime's. Thread-safe: Decide may run for many runs at once, each on its own executor.
// Cancelled by the coroutine's cancellation slot: it then releases what it holds and returns an outcome soon; the outcome is dropped.
// `deltas` outlives the coroutine.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelInfo& info() const = 0;
  virtual boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) = 0;
};

}  // namespace agentruntime
