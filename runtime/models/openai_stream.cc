#include "runtime/models/openai_stream.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/models/openai_error.h"
#include "runtime/text/nested_json.h"

namespace agentruntime {
namespace {

using nlohmann::json;

const json* Find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it != object.end() && !it->is_null() ? &*it : nullptr;
}

absl::string_view StringAt(const json& object, const char* key) {
  const json* const value = Find(object, key);
  return value != nullptr && value->is_string() ? absl::string_view(value->get_ref<const std::string&>()) : absl::string_view();
}

// From 0. The library casts what an int64 cannot hold: 2^64 - 1 to -1, 1e300 to anything. Such counts are the largest here; whoever books them has a bound.
int64_t CountAt(const json& object, const char* key) {
  constexpr int64_t kCountMax = std::numeric_limits<int64_t>::max();
  const json* const value = Find(object, key);
  if (value == nullptr || !value->is_number()) return 0;
  if (value->is_number_unsigned()) return static_cast<int64_t>(std::min<uint64_t>(value->get<uint64_t>(), kCountMax));
  if (value->is_number_integer()) return std::max<int64_t>(0, value->get<int64_t>());
  const auto number = value->get<double>();
  if (number >= static_cast<double>(kCountMax)) return kCountMax;
  return number > 0 ? static_cast<int64_t>(number) : 0;
}

json Parse(absl::string_view text) {
  std::string valid = IsValidUtf8(text) ? std::string(text) : MakeValidUtf8(text);
  if (valid.find("\\u") != std::string::npos) valid = MarkHalfCharacters(valid);
  return json::parse(valid, nullptr, /*allow_exceptions=*/false);
}

}  // namespace

OpenAiStream::OpenAiStream(std::string model, DeltaSink& deltas) : model_(std::move(model)), deltas_(deltas) {}

OpenAiStream::~OpenAiStream() = default;

bool OpenAiStream::Data(absl::string_view data) {
  data = absl::StripAsciiWhitespace(data);
  if (data.empty()) return true;
  if (data == "[DONE]") {
    done_ = chunk_seen_;
    if (!chunk_seen_) Fail("MODEL_BAD_RESPONSE", true, "ended its answer before it began");
    return false;
  }
  const json chunk = Parse(data);
  if (!chunk.is_object()) {
    Fail("MODEL_BAD_RESPONSE", true, absl::StrCat("sent an event that is no JSON object: \"", OneLine(MakeValidUtf8(data), 80), "\""));
    return false;
  }
  if (const auto error = FindProviderError(chunk)) {
    failure_ = ProviderErrorOutcome(model_, 200, *error, std::nullopt);
    return false;
  }
  Chunk(chunk);
  return !cut_ && !failure_.has_value();
}

void OpenAiStream::Whole(absl::string_view body) {
  const json answer = Parse(body);
  if (!answer.is_object()) return Fail("MODEL_BAD_RESPONSE", true, absl::StrCat("answered with malformed JSON: \"", OneLine(MakeValidUtf8(body), 80), "\""));
  if (const auto error = FindProviderError(answer)) {
    failure_ = ProviderErrorOutcome(model_, 200, *error, std::nullopt);
    return;
  }
  if (Find(answer, "choices") == nullptr) return Fail("MODEL_BAD_RESPONSE", true, "answered with JSON that has no choices; check base_url");
  Chunk(answer);
  done_ = true;
}

void OpenAiStream::Chunk(const json& chunk) {
  chunk_seen_ = true;
  if (response_id_.empty()) response_id_ = std::string(CutUtf8(StringAt(chunk, "id"), kNameBytesMax));
  if (const json* const usage = Find(chunk, "usage")) Usage(*usage);
  const json* const choices = Find(chunk, "choices");
  if (choices == nullptr || !choices->is_array()) return;
  for (const json& choice : *choices) {
    if (CountAt(choice, "index") != 0) continue;  // one answer was asked for
    if (const json* const delta = Find(choice, "delta")) Message(*delta);
    if (const json* const message = Find(choice, "message")) Message(*message);
    if (const absl::string_view reason = StringAt(choice, "finish_reason"); !reason.empty()) finish_reason_ = std::string(reason);
  }
}

void OpenAiStream::Usage(const json& usage) {
  if (!usage.is_object()) return;
  v1::Usage reported;
  reported.set_input_tokens(CountAt(usage, "prompt_tokens"));
  reported.set_output_tokens(CountAt(usage, "completion_tokens"));
  if (const json* const details = Find(usage, "prompt_tokens_details")) reported.set_cached_input_tokens(CountAt(*details, "cached_tokens"));
  // Zeros come from servers that do not count: that is no report.
  if (reported.input_tokens() > 0 || reported.output_tokens() > 0) usage_ = std::move(reported);
}

void OpenAiStream::Message(const json& message) {
  for (const char* key : {"reasoning_content", "reasoning"}) {
    if (const std::string text = reasoning_joiner_.Take(StringAt(message, key)); !text.empty()) deltas_.Reasoning(text);
  }
  Text(StringAt(message, "content"));
  Text(StringAt(message, "refusal"));
  const json* const calls = Find(message, "tool_calls");
  if (calls == nullptr || !calls->is_array()) return;

  for (const json& fragment : *calls) CallFragment(fragment);
}

void OpenAiStream::Text(absl::string_view fragment) {
  if (fragment.empty() || cut_) return;
  const std::string more = text_joiner_.Take(fragment);
  const absl::string_view kept = CutUtf8(more, static_cast<size_t>(kDecisionTextBytesMax) - text_.size());
  cut_ = cut_ || kept.size() < more.size();
  absl::StrAppend(&text_, kept);
  if (!kept.empty()) deltas_.Text(kept);
}

OpenAiStream::Call& OpenAiStream::CallFor(std::optional<int64_t> index, absl::string_view id, absl::string_view name) {
  // Searched from the end: where every call has index 0, the fragments belong to the last one.
  for (auto it = calls_.rbegin(); it != calls_.rend(); ++it) {
    Call& call = **it;
    if (index.has_value() && call.index != *index) continue;
    const bool other_id = !id.empty() && !call.id.empty() && call.id != id;
    const bool other_name = id.empty() && !name.empty() && call.name != name && !call.name.empty();
    const bool whole_again = !index.has_value() && !name.empty() && id.empty();  // no index, no id: each fragment is a call
    if (other_id || other_name || whole_again) break;
    return call;
  }
  auto call = std::make_unique<Call>();
  call->index = index.value_or(static_cast<int64_t>(calls_.size()));
  call->id = std::string(CutUtf8(id, kNameBytesMax));
  call->dropped = calls_.size() > static_cast<size_t>(kCallsPerDecisionMax);
  if (call->dropped && calls_.back()->dropped) {
    *calls_.back() = std::move(*call);  // one place for all that are not kept
  } else {
    calls_.push_back(std::move(call));
  }
  return *calls_.back();
}

void OpenAiStream::CallFragment(const json& fragment) {
  if (cut_ || !fragment.is_object()) return;
  const json* const function = Find(fragment, "function");
  const absl::string_view name = function != nullptr ? StringAt(*function, "name") : absl::string_view();
  const absl::string_view id = StringAt(fragment, "id");
  std::optional<int64_t> index;
  if (const json* const value = Find(fragment, "index"); value != nullptr && value->is_number_integer()) index = value->get<int64_t>();
  Call& call = CallFor(index, id, name);
  if (call.dropped) return;

  std::string more;
  if (const json* const arguments = function != nullptr ? Find(*function, "arguments") : nullptr; arguments != nullptr) {
    // Some servers send the object itself. Its depth is judged where that of a string is (CheckJson).
    more = call.joiner.Take(arguments->is_string() ? arguments->get<std::string>() : WriteNestedJson(*arguments));
  }
  const int64_t room = std::min(kArgumentsBytesMax - static_cast<int64_t>(call.arguments.size()), kDecisionArgumentsBytesMax - arguments_bytes_);
  const absl::string_view kept = CutUtf8(more, static_cast<size_t>(room));
  cut_ = kept.size() < more.size();
  absl::StrAppend(&call.arguments, kept);
  arguments_bytes_ += static_cast<int64_t>(kept.size());

  const bool named_now = call.name.empty() && !name.empty();
  if (named_now) call.name = std::string(CutUtf8(name, kNameBytesMax));
  if (call.id.empty()) call.id = std::string(CutUtf8(id, kNameBytesMax));
  const auto number = std::find_if(calls_.begin(), calls_.end(), [&](const auto& other) { return other.get() == &call; }) - calls_.begin() + 1;
  if (named_now || !kept.empty()) deltas_.ToolCall(static_cast<int32_t>(number), named_now ? call.name : "", kept);
}

void OpenAiStream::Fail(absl::string_view reason, bool retryable, absl::string_view what) { failure_ = ModelError(reason, retryable, model_, what); }

ModelOutcome OpenAiStream::Finish() {
  if (!settled()) {
    Fail("MODEL_BAD_RESPONSE", true,
         chunk_seen_ ? "the answer ended before it was complete"
                     : "the answer contained no event of a chat completion; check base_url in the server's configuration");
  }
  absl::StrAppend(&text_, text_joiner_.Finish());
  if (!failure_.has_value() && text_.empty() && calls_.empty() && finish_reason_ != "length" && finish_reason_ != "content_filter") {
    Fail("MODEL_BAD_RESPONSE", true, "answered with neither text nor a tool call");
  }
  if (failure_.has_value()) {
    failure_->usage = usage_;
    return *std::move(failure_);
  }

  ModelOutcome outcome;
  outcome.usage = usage_;
  v1::Decision& decision = outcome.decision.emplace();
  if (!text_.empty()) decision.add_content()->set_text(std::move(text_));
  for (const auto& call : calls_) {
    if (call->dropped) continue;
    v1::ToolCall& requested = *decision.add_tool_calls();
    requested.set_tool(call->name);
    absl::StrAppend(&call->arguments, call->joiner.Finish());
    requested.set_arguments(std::move(call->arguments));
    requested.set_provider_call_id(call->id);
  }
  if (cut_ || finish_reason_ == "length") {
    decision.set_finish_reason(v1::FINISH_REASON_LENGTH);
  } else if (finish_reason_ == "content_filter") {
    decision.set_finish_reason(v1::FINISH_REASON_FILTERED);
  } else {
    // Judged by what there is: some servers say `stop` beside calls, and words of their own.
    decision.set_finish_reason(calls_.empty() ? v1::FINISH_REASON_ANSWER : v1::FINISH_REASON_TOOL_CALLS);
  }
  if (usage_.has_value()) *decision.mutable_usage() = *usage_;
  decision.set_model(model_);
  decision.set_response_id(response_id_);
  return outcome;
}

}  // namespace agentruntime
