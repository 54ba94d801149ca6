#include "runtime/tools/http_get.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/http/retry_after.h"
#include "runtime/tools/http_body.h"

namespace agentruntime {

namespace asio = boost::asio;

namespace {

constexpr size_t kContentTypeCharactersMax = 200;

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"url":{"type":"string","minLength":1,"maxLength":8192,"description":"http or https URL"}},)json"
    R"json("required":["url"],"additionalProperties":false})json";

ToolOutcome Page(const HttpRequest& request, HttpOutcome http) {
  const bool cut = http.end == HttpEnd::kTooLarge;
  const absl::string_view type = http.head.Find("Content-Type");
  std::string text = absl::StrCat("HTTP ", http.head.status, "\n");
  if (!type.empty()) absl::StrAppend(&text, "content-type: ", OneLine(MakeValidUtf8(type), kContentTypeCharactersMax), "\n");
  if (http.url != request.url) absl::StrAppend(&text, "url: ", http.url, "\n");
  absl::StrAppend(&text, "\n");
  if (http.body.empty()) {
    absl::StrAppend(&text, "[no body]");
  } else if (!IsTextBody(type, http.body)) {
    absl::StrAppend(&text, "[", cut ? "more than " : "", http.body.size(), " bytes that are not text]");
  } else {
    absl::StrAppend(&text, MakeValidUtf8(cut ? CutUtf8(http.body, http.body.size() - 1) : absl::string_view(http.body)));
    if (cut) absl::StrAppend(&text, "\n[cut after ", request.response_bytes_max, " bytes]");
  }
  ToolDone done;
  done.parts.emplace_back().set_text(std::move(text));
  done.place = std::move(http.place);
  return done;
}

ToolOutcome Outcome(const HttpRequest& request, HttpOutcome http, absl::Time now) {
  switch (http.end) {
    case HttpEnd::kRefused: return ToolFailed{.message = absl::StrCat("not asked: ", http.message)};
    case HttpEnd::kCancelled: return ToolFailed{.message = http.message};
    case HttpEnd::kUnreachable:
    case HttpEnd::kBroken:
    case HttpEnd::kTimeout: return ToolFailed{.message = http.message, .retryable = true};  // a GET takes no effect
    case HttpEnd::kResponse:
    case HttpEnd::kTooLarge: break;
  }
  const int status = http.head.status;
  if (status == 408 || status == 429 || status >= 500) {
    return ToolFailed{.message = SaidByServer(http), .retryable = true, .retry_after = ParseRetryAfter(http.head.Find("Retry-After"), now)};
  }
  return Page(request, std::move(http));
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpGetTool>> HttpGetTool::Open(HttpGetOptions options, HttpClient& http, const Clock& clock) {
  if (options.allow_hosts.empty()) return absl::InvalidArgumentError("allow_hosts: name the hosts that may be asked, such as status.example.com");
  auto hosts = HostAllowList::Parse(options.allow_hosts);
  if (!hosts.ok()) return absl::InvalidArgumentError(absl::StrCat("allow_hosts: ", hosts.status().message()));
  if (options.response_bytes_max < 1) return absl::InvalidArgumentError("response_bytes_max: must be at least 1");
  return std::unique_ptr<HttpGetTool>(new HttpGetTool(std::move(options), *std::move(hosts), http, clock));
}

HttpGetTool::HttpGetTool(HttpGetOptions options, HostAllowList hosts, HttpClient& http, const Clock& clock)
    : options_(std::move(options)), hosts_(std::make_shared<HostAllowList>(std::move(hosts))), http_(http), clock_(clock) {
  spec_.name = options_.name;
  spec_.description = absl::StrCat("Reads a web page or file by its URL. Allowed hosts: ", hosts_->ToString(), ".");
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.timeout = options_.timeout;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = false;
}

asio::awaitable<ToolOutcome> HttpGetTool::Call(ToolRequest request, ProgressSink&) {
  const auto arguments = nlohmann::json::parse(request.arguments, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("url") || !arguments["url"].is_string()) {
    co_return ToolFailed{.message = "url: give one, such as {\"url\":\"https://status.example.com/\"}"};
  }
  HttpRequest get;
  get.url = arguments["url"].get<std::string>();
  get.headers = {{"Accept", "text/*, application/json, application/xml;q=0.9, */*;q=0.1"}};
  get.addresses = options_.addresses;
  get.hosts = hosts_;
  get.total_timeout = request.timeout > absl::ZeroDuration() ? std::min(request.timeout, options_.timeout) : options_.timeout;
  get.connect_timeout = std::min(get.connect_timeout, get.total_timeout);
  get.idle_timeout = get.total_timeout;
  get.response_bytes_max = options_.response_bytes_max;
  get.redirects_max = options_.redirects_max;
  HttpOutcome http = co_await http_.Send(get, nullptr);
  co_return Outcome(get, std::move(http), clock_.Now());
}

}  // namespace agentruntime
