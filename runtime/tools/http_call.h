// http_call: sends the arguments of a call to one URL that the operator named.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "runtime/http/http_client.h"
#include "runtime/http/secret.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

struct HttpCallOptions {
  std::string name;
  std::string url;  // may lead to this machine or a private network: the operator wrote it, no model
  std::string description;
  std::string input_schema = R"({"type":"object"})";
  v1::SideEffect side_effect = v1::SIDE_EFFECT_UNSAFE;
  Secret token;                            // sent as bearer token; empty: none. Blacked out in what the server answers.
  int64_t response_bytes_max = 1'000'000;  // over it the answer is no result
  int connections_max = 64;                // calls under way at once, those whose result is not recorded yet included; the others wait
};

// `POST` with the arguments as they are, `Content-Type: application/json`, and the call's key as `Idempotency-Key`. The body of a 2xx answer is the result:
// one JSON part if it says that it is JSON and is, else one text part. Redirects are not followed.
//
// How a call ends when there is no result. Definite: the call certainly took no effect. Unknown: it may have; what that means is the side effect's matter.
//   no connection, no name, no TLS, waited in vain        definite, to be tried again
//   429, 425; 503 with Retry-After                        definite, to be tried again, after the time the server asks for
//   307, 308, 4xx                                         definite
//   408                                                   unknown: gateways say it of work that is under way
//   409                                                   definite if this is all that was ever sent under the key, else unknown: servers that know
//                                                         Idempotency-Key say it while an earlier attempt is under way
//   other 3xx (many answer so to what they did), 5xx      unknown
//   timeout, cancel, connection lost after the first byte, an answer over response_bytes_max: unknown
class HttpCallTool final : public Tool {
 public:
  // INVALID_ARGUMENT names the option that is wrong. The schema is compiled elsewhere. `http` and `clock` outlive the tool.
  static absl::StatusOr<std::unique_ptr<HttpCallTool>> Open(HttpCallOptions options, HttpClient& http, const Clock& clock);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  HttpCallTool(HttpCallOptions options, std::string origin, HttpClient& http, const Clock& clock);

  const HttpCallOptions options_;
  HttpClient& http_;
  const Clock& clock_;
  ToolSpec spec_;
};

}  // namespace agentruntime
