#include "runtime/models/openai.h"

#include <boost/asio/awaitable.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/base/text.h"
#include "proto/util/time.h"
#include "runtime/http/retry_after.h"
#include "runtime/http/url.h"
#include "runtime/models/openai_error.h"
#include "runtime/models/openai_request.h"
#include "runtime/models/openai_stream.h"
#include "runtime/models/sse.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr size_t kErrorBodyBytesMax = 64 << 10;  // read of a provider's error
constexpr size_t kKeyBytesShown = 8;             // a key's first characters, which only tell its kind

// Sends a stream of events to the parser, and keeps any other body.
class AnswerSink final : public HttpSink {
 public:
  explicit AnswerSink(OpenAiStream& stream) : stream_(stream) {}

  void Head(const HttpHead& head) override {
    ok_ = head.status >= 200 && head.status < 300;
    type_ = absl::AsciiStrToLower(head.Find("Content-Type"));
  }

  HttpTake Body(absl::string_view bytes) override {
    if (!form_.has_value()) form_ = Judge(bytes);
    if (*form_ == Form::kEvents) {
      const absl::Status status = parser_.Feed(bytes, [this](const SseEvent& event) { return wants_more_ = stream_.Data(event.data); });
      if (!status.ok()) broken_ = std::string(status.message());
      return wants_more_ && status.ok() ? HttpTake::kMore : HttpTake::kEnough;
    }
    const size_t room = (*form_ == Form::kError ? kErrorBodyBytesMax : static_cast<size_t>(kSseEventBytesMax)) - body_.size();
    absl::StrAppend(&body_, bytes.substr(0, room));
    return bytes.size() <= room ? HttpTake::kMore : HttpTake::kEnough;
  }

  bool events() const { return !form_.has_value() || *form_ == Form::kEvents; }
  const std::string& body() const { return body_; }
  const std::string& broken() const { return broken_; }  // why the events cannot be read; empty: they can

 private:
  enum class Form { kEvents, kJson, kError };

  // Servers that call themselves compatible stream under any content type, or answer a request for a stream with one object.
  Form Judge(absl::string_view begin) const {
    if (!ok_) return Form::kError;
    if (absl::StartsWith(type_, "text/event-stream")) return Form::kEvents;
    if (absl::StartsWith(type_, "application/json")) return Form::kJson;
    return absl::StartsWith(absl::StripLeadingAsciiWhitespace(begin), "{") ? Form::kJson : Form::kEvents;
  }

  OpenAiStream& stream_;
  SseParser parser_;
  bool ok_ = false;
  std::string type_;
  std::optional<Form> form_;
  bool wants_more_ = true;
  std::string body_;
  std::string broken_;
};

// What the end of an exchange means if the answer itself said nothing.
ModelOutcome TransportOutcome(absl::string_view model, const HttpOutcome& outcome) {
  switch (outcome.end) {
    case HttpEnd::kRefused: return ModelError("MODEL_REFUSED", false, model, outcome.message);
    case HttpEnd::kUnreachable: return ModelError("MODEL_UNAVAILABLE", true, model, absl::StrCat(outcome.message, "; check base_url and the network"));
    case HttpEnd::kBroken: return ModelError("MODEL_UNAVAILABLE", true, model, outcome.message);
    case HttpEnd::kTimeout: return ModelError("MODEL_TIMEOUT", true, model, outcome.message);
    case HttpEnd::kTooLarge: return ModelError("MODEL_BAD_RESPONSE", true, model, outcome.message);
    case HttpEnd::kCancelled:
    case HttpEnd::kResponse: return ModelError("INTERRUPTED", true, model, "the request was cancelled");
  }
}

// Whether the provider certainly did no work: the request never left, or was turned away. 408 is left out: gateways say it of work under way.
bool UsedNothing(const HttpOutcome& outcome) {
  const int status = outcome.head.status;
  return !outcome.sent || (status >= 300 && status < 500 && status != 408);
}

std::optional<absl::Duration> RetryAfter(const HttpHead& head, absl::Time now) { return ParseRetryAfter(head.Find("Retry-After"), now); }

// `text` with the key blacked out, also where only its beginning is left because the text was cut.
std::string WithoutKey(absl::string_view text, const Secret& secret) {
  const absl::string_view key = secret.Reveal();
  const absl::string_view begin = key.substr(0, kKeyBytesShown);
  std::string clean;
  while (!begin.empty()) {
    const size_t at = text.find(begin);
    if (at == absl::string_view::npos) break;
    absl::StrAppend(&clean, text.substr(0, at), "[key]");
    text.remove_prefix(at);
    size_t same = 0;
    while (same < key.size() && same < text.size() && key[same] == text[same]) ++same;
    text.remove_prefix(same);
  }
  absl::StrAppend(&clean, text);
  return clean;
}

absl::Status Wrong(absl::string_view name, absl::string_view option, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("model ", name, ": ", option, ": ", why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpenAiModel>> OpenAiModel::Open(OpenAiOptions options, HttpClient& http, const Clock& clock) {
  options.base_url = std::string(absl::StripSuffix(options.base_url, "/"));
  if (const auto url = ParseHttpUrl(options.base_url); !url.ok()) return Wrong(options.name, "base_url", url.status().message());
  if (options.base_url.find_first_of("?#") != std::string::npos) return Wrong(options.name, "base_url", "must end before the query");
  if (options.provider_model.empty()) return Wrong(options.name, "model", "name the provider's model");
  if (options.api_key.Reveal().find_first_of(std::string(" \r\n\0", 4)) != std::string::npos) {
    return Wrong(options.name, "api_key", "contains a space or a line break; if it comes from a file, remove the line end");
  }
  if (options.connections_max < 1) return Wrong(options.name, "connections_max", "must be at least 1");
  return std::unique_ptr<OpenAiModel>(new OpenAiModel(std::move(options), http, clock));
}

OpenAiModel::OpenAiModel(OpenAiOptions options, HttpClient& http, const Clock& clock) : options_(std::move(options)), http_(http), clock_(clock) {
  info_.name = options_.name;
  info_.provider = "openai";
  info_.provider_model = options_.provider_model;
  info_.description = absl::StrCat(options_.provider_model, " at ", options_.base_url);
  info_.context_tokens = options_.context_tokens;
  info_.attempts_max = options_.attempts_max;
  info_.local = false;
}

HttpRequest OpenAiModel::Request(std::string body) const {
  HttpRequest request;
  request.method = "POST";
  request.url = absl::StrCat(options_.base_url, "/chat/completions");
  request.headers = options_.headers;
  request.headers.push_back({"Content-Type", "application/json"});
  request.headers.push_back({"Accept", "text/event-stream"});
  if (!options_.api_key.empty()) request.headers.push_back({"Authorization", absl::StrCat("Bearer ", options_.api_key.Reveal()), /*secret=*/true});
  request.body = std::move(body);
  request.addresses = AddressPolicy::kAny;
  request.connect_timeout = options_.connect_timeout;
  request.idle_timeout = options_.idle_timeout;
  request.total_timeout = options_.total_timeout;
  request.waiting_counts = false;  // an endpoint that is merely busy fails no attempt: the run's own times bound the wait
  request.response_bytes_max = kModelAnswerBytesMax;
  request.connections_max = options_.connections_max;
  request.lane = absl::StrCat("model ", options_.name);
  return request;
}

asio::awaitable<ModelOutcome> OpenAiModel::Decide(ModelRequest request, DeltaSink& deltas) {
  const absl::Duration start = clock_.Monotonic();
  std::string body = OpenAiRequestJson(request, options_);
  if (static_cast<int64_t>(body.size()) > kModelRequestBytesMax) {
    ModelOutcome outcome =
        ModelError("CONTEXT_TOO_LARGE", false, info_.name, absl::StrCat("the request would be larger than ", kModelRequestBytesMax, " bytes"));
    outcome.usage = v1::Usage();
    co_return outcome;
  }
  OpenAiStream stream(info_.name, deltas);
  AnswerSink sink(stream);
  const HttpOutcome http = co_await http_.Send(Request(std::move(body)), &sink);

  const int status = http.head.status;
  ModelOutcome outcome;
  if (status >= 300 && status < 400) {
    outcome = ModelError(
        "MODEL_REFUSED", false, info_.name,
        absl::StrCat("HTTP ", status, ", a redirect to \"", OneLine(MakeValidUtf8(http.head.Find("Location")), 200), "\"; set base_url to where it leads"));
  } else if (status >= 400) {  // also if its body was cut: the status says it all
    outcome = ProviderErrorOutcome(info_.name, status, ReadProviderError(sink.body()), RetryAfter(http.head, clock_.Now()));
  } else if (stream.settled()) {
    outcome = stream.Finish();
  } else if (!sink.broken().empty()) {
    outcome = ModelError("MODEL_BAD_RESPONSE", true, info_.name, sink.broken());
  } else if (http.end != HttpEnd::kResponse) {
    outcome = TransportOutcome(info_.name, http);
  } else {
    if (!sink.events()) stream.Whole(sink.body());
    outcome = stream.Finish();
  }

  if (!outcome.decision.has_value() && UsedNothing(http)) outcome.usage = v1::Usage();
  if (outcome.decision.has_value()) *outcome.decision->mutable_duration() = ToProto(clock_.Monotonic() - start);
  outcome.error.set_message(WithoutKey(outcome.error.message(), options_.api_key));
  co_return outcome;
}

}  // namespace agentruntime
