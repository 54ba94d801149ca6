// Any endpoint that speaks OpenAI's chat completions: one attempt, streamed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/base/clock.h"
#include "proto/util/limits.h"
#include "runtime/http/http_client.h"
#include "runtime/http/secret.h"
#include "runtime/models/model.h"

namespace agentruntime {

inline constexpr int64_t kModelRequestBytesMax = 32 << 20;  // the JSON that is sent
inline constexpr int64_t kModelAnswerBytesMax = 64 << 20;   // all that is read of one answer: a stream says each token in some 250 bytes

struct OpenAiOptions {
  std::string name;                 // configured; what agents name
  std::string base_url;             // up to and without `/chat/completions`, such as https://models.example.com/v1
  std::string provider_model;       // the provider's name for it
  Secret api_key;                   // read by the caller from the environment or a file; empty: none is sent
  std::vector<HttpHeader> headers;  // sent with each request, such as an organisation's id
  int32_t context_tokens = 128'000;
  int32_t attempts_max = kModelAttemptsMax;
  int connections_max = 256;  // requests at a time; the others wait
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration idle_timeout = kModelIdleTimeout;
  absl::Duration total_timeout = absl::Minutes(30);  // from when it has one of the connections; until then the run's own times bound it
  std::string max_tokens_field = "max_tokens";       // newer models want max_completion_tokens
  std::optional<bool> parallel_tool_calls;           // said only if set: some servers need it, some refuse it
};

// Retries are the runtime's. An attempt that the provider turned away (HTTP 3xx and 4xx, but 408), or that never left, reports a usage of zero; one that
// failed otherwise (5xx, a timeout, a broken stream) reports none, because nobody knows what it used. The endpoint is the operator's choice and may be on
// loopback. The key is in no message, whatever the provider echoes.
class OpenAiModel final : public Model {
 public:
  // INVALID_ARGUMENT names the option that is wrong. `http` and `clock` outlive the model.
  static absl::StatusOr<std::unique_ptr<OpenAiModel>> Open(OpenAiOptions options, HttpClient& http, const Clock& clock);

  const ModelInfo& info() const override { return info_; }
  boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) override;

 private:
  OpenAiModel(OpenAiOptions options, HttpClient& http, const Clock& clock);
  HttpRequest Request(std::string body) const;

  const OpenAiOptions options_;
  HttpClient& http_;
  const Clock& clock_;
  ModelInfo info_;
};

}  // namespace agentruntime
