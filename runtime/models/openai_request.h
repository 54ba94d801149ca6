// What a model is sent: a ModelRequest as a chat completions request.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "agentruntime/v1/event.pb.h"
#include "runtime/models/model.h"
#include "runtime/models/openai.h"

namespace agentruntime {

// The request's JSON. Schemas and arguments go in verbatim, so that numbers lose no digits and keys keep their order. Pure.
std::string OpenAiRequestJson(const ModelRequest& request, const OpenAiOptions& options);

// The id under which call `index` (from 0) and its result are paired: the provider's own; `call_3_2` for our call 3.2 if the provider gave none or gave it
// twice within one decision.
std::string ProviderCallId(const v1::Decision& decision, int index);

// What the model reads of a call's end: the result, and in front of it how the call ended unless it went well. `artifact_reader`: as in ModelRequest.
std::string ResultText(const v1::CallFinished& finished, absl::string_view artifact_reader = "");

}  // namespace agentruntime
