#include "runtime/tools/http_call.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/base/planted_bug.h"
#include "proto/util/limits.h"
#include "runtime/http/retry_after.h"
#include "runtime/http/url.h"
#include "runtime/text/nested_json.h"
#include "runtime/tools/http_body.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

bool SaysJson(absl::string_view content_type) {
  const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(content_type.substr(0, content_type.find(';'))));
  return type == "application/json" || absl::EndsWith(type, "+json");
}

ToolOutcome Result(HttpOutcome http) {
  const absl::string_view type = http.head.Find("Content-Type");
  ToolDone done;
  v1::Part& part = done.parts.emplace_back();
  if (http.body.empty()) {
    part.set_text(absl::StrCat("[HTTP ", http.head.status, " without a body]"));
  } else if (SaysJson(type) && nlohmann::json::accept(http.body) && JsonDepth(http.body) <= kJsonDepthMax) {
    part.set_json(std::move(http.body));
  } else if (IsTextBody(type, http.body)) {
    part.set_text(std::move(http.body));
  } else {
    part.set_text(absl::StrCat("[", http.body.size(), " bytes that are not text]"));
  }
  done.place = std::move(http.place);
  return done;
}

// The status says it, also when the body after it was cut off.
ToolOutcome OutcomeOfRefusal(const HttpOutcome& http, bool first_under_key, absl::Time now) {
  const int status = http.head.status;
  std::string said = SaidByServer(http);
  const std::optional<absl::Duration> retry_after = ParseRetryAfter(http.head.Find("Retry-After"), now);
  if (status == 425 || status == 429 || (status == 503 && retry_after)) {
    return ToolFailed{.message = std::move(said), .retryable = true, .retry_after = retry_after};
  }
  if (status == 408 || status >= 500 || (status == 409 && !first_under_key)) return ToolUnknown{std::move(said)};
  if (status >= 400) return ToolFailed{.message = std::move(said)};
  said = absl::StrCat("HTTP ", status, ": redirects are not followed");
  if (status == 307 || status == 308) return ToolFailed{.message = std::move(said)};
  return ToolUnknown{std::move(said)};
}

// Of an UNSAFE tool: why an answer with a status is none, and what makes it one. The operator reads it, and the model.
constexpr char kWhyUncertain[] =
    ": the endpoint of this UNSAFE tool got the request and may have acted on it; declare the tool IDEMPOTENT if a repeat under the same key is "
    "harmless, or answer 422 where nothing was done";

// No whole answer, and no status that says more.
ToolOutcome OutcomeOfEnd(const HttpOutcome& http) {
  if (http.sent) return ToolUnknown{http.message};
  return ToolFailed{.message = http.message, .retryable = http.end != HttpEnd::kRefused};
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpCallTool>> HttpCallTool::Open(HttpCallOptions options, HttpClient& http, const Clock& clock) {
  const auto url = ParseHttpUrl(options.url);
  if (!url.ok()) return absl::InvalidArgumentError(absl::StrCat("url: ", url.status().message()));
  if (options.description.empty()) return absl::InvalidArgumentError("description: is missing; say what the tool does");
  if (options.response_bytes_max < 1) return absl::InvalidArgumentError("response_bytes_max: must be at least 1");
  if (options.connections_max < 1) return absl::InvalidArgumentError("connections_max: must be at least 1");
  std::string origin = url->Origin();
  return std::unique_ptr<HttpCallTool>(new HttpCallTool(std::move(options), std::move(origin), http, clock));
}

HttpCallTool::HttpCallTool(HttpCallOptions options, std::string origin, HttpClient& http, const Clock& clock)
    : options_(std::move(options)), http_(http), clock_(clock) {
  spec_.name = options_.name;
  spec_.description = options_.description;
  spec_.input_schema = options_.input_schema;
  spec_.side_effect = options_.side_effect;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = false;
  spec_.origin = std::move(origin);
}

asio::awaitable<ToolOutcome> HttpCallTool::Call(ToolRequest request, ProgressSink&) {
  const bool unsafe = options_.side_effect == v1::SIDE_EFFECT_UNSAFE;
  HttpRequest post;
  post.method = "POST";
  post.url = options_.url;
  post.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json, text/*;q=0.9, */*;q=0.1"}, {"Idempotency-Key", request.idempotency_key}};
  if (!options_.token.empty()) post.headers.push_back({"Authorization", absl::StrCat("Bearer ", options_.token.Reveal()), /*secret=*/true});
  post.body = std::move(request.arguments);
  post.addresses = AddressPolicy::kAny;
  post.total_timeout = request.timeout;
  post.connect_timeout = std::min(post.connect_timeout, post.total_timeout);
  post.idle_timeout = post.total_timeout;
  post.response_bytes_max = options_.response_bytes_max;
  post.connections_max = options_.connections_max;
  post.lane = absl::StrCat("tool ", options_.name);
  post.repeatable = !unsafe || IsPlanted(Bug::kResendUnsafe);
  HttpOutcome http = co_await http_.Send(std::move(post), nullptr);
  // A server that repeats the token must not bring it into a journal.
  if (!options_.token.empty()) absl::StrReplaceAll({{options_.token.Reveal(), "[token]"}}, &http.body);
  if (http.head.status >= 300) {
    ToolOutcome outcome = OutcomeOfRefusal(http, unsafe && request.attempt == 1, clock_.Now());
    if (auto* const unknown = std::get_if<ToolUnknown>(&outcome); unknown != nullptr && unsafe) unknown->message.append(kWhyUncertain);
    co_return outcome;
  }
  if (http.end == HttpEnd::kResponse) co_return Result(std::move(http));
  co_return OutcomeOfEnd(http);
}

}  // namespace agentruntime
