// http_get: reads one URL of an allowed host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "runtime/http/http_client.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

struct HttpGetOptions {
  std::string name = "http_get";
  std::vector<std::string> allow_hosts;   // HostAllowList; at least one: the tool does not exist without
  int64_t response_bytes_max = 64 << 10;  // of the body; the rest is not read
  absl::Duration timeout = absl::Seconds(10);
  int redirects_max = 3;                                 // each hop passes the same checks
  AddressPolicy addresses = AddressPolicy::kPublicOnly;  // kAny is for tests: their server is on loopback
};

// Arguments: {"url": an http or https URL}.
// Result, one text part: the status line, the content type, the final URL if it was redirected, a blank line, the body if it is text. Any status that says
// something about the page is a result; 408, 429 and 5xx are failures to be tried again. READ_ONLY, not local: a GET may still be seen by others.
class HttpGetTool final : public Tool {
 public:
  // INVALID_ARGUMENT names the option that is wrong. `http` and `clock` outlive the tool.
  static absl::StatusOr<std::unique_ptr<HttpGetTool>> Open(HttpGetOptions options, HttpClient& http, const Clock& clock);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  HttpGetTool(HttpGetOptions options, HostAllowList hosts, HttpClient& http, const Clock& clock);

  const HttpGetOptions options_;
  const std::shared_ptr<const HostAllowList> hosts_;  // shared with the requests under way
  HttpClient& http_;
  const Clock& clock_;  // what a date in Retry-After is counted from
  ToolSpec spec_;
};

}  // namespace agentruntime
