// HttpClient by libcurl. Redirects are followed here, hop by hop, so that each hop passes the same checks as the first.
#pragma once

#include "runtime/http/http_client.h"
#include "runtime/http/network_thread.h"

namespace agentruntime {

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(NetworkOptions options = {}) : network_(std::move(options)) {}

  boost::asio::awaitable<HttpOutcome> Send(HttpRequest request, HttpSink* sink) override;

 private:
  boost::asio::awaitable<HttpOutcome> SendHop(HttpRequest request, HttpUrl url, HttpSink* sink, absl::Duration deadline);

  NetworkThread network_;
};

}  // namespace agentruntime
