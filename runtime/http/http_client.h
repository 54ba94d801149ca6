// Outbound HTTP, as models and tools see it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "runtime/hold.h"
#include "runtime/http/address_guard.h"

namespace agentruntime {

inline constexpr int64_t kHttpResponseBytesMaxDefault = 1 << 20;
inline constexpr int64_t kHttpHeaderBytesMax = 64 << 10;   // of an answer, all header lines together
inline constexpr int64_t kHttpStreamBytesMax = 256 << 10;  // waiting for a slow sink; over it the peer is made to wait

struct HttpHeader {
  std::string name;
  std::string value;
  bool secret = false;  // a key or token: does not follow a redirect to another origin. No value of any header is ever logged.
};

enum class AddressPolicy {
  kPublicOnly,  // every socket address must be public (IsPublicAddress): what a model or a stranger may ask for
  kAny,         // an endpoint that the operator configured: may be on loopback
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<HttpHeader> headers;
  std::string body;
  AddressPolicy addresses = AddressPolicy::kPublicOnly;
  std::shared_ptr<const HostAllowList> hosts;  // each hop's host must be in it; null: any host. Shared by the requests of one tool.
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration idle_timeout = absl::Seconds(30);   // no byte in either direction for so long; waiting for a slow sink does not count
  absl::Duration total_timeout = absl::Minutes(10);  // from Send to the last byte
  bool waiting_counts = true;  // towards total_timeout, for a free connection; false: each hop has all of it from when it gets one, and waits until cancelled
  int64_t response_bytes_max = kHttpResponseBytesMaxDefault;
  int redirects_max = 0;    // 0: a redirect is an answer like any other
  int connections_max = 0;  // requests of this lane to one origin at a time (see HttpOutcome::place), the others wait; 0: the client's bound
  // Who counts and waits together: a model or tool that may send one at a time holds up nobody else who asks the same origin. `model NAME`, `tool NAME`: a
  // model and a tool may have the same name. Empty: all who say none.
  std::string lane;
  bool repeatable = true;  // false: uses a connection of its own; on a kept one that has gone stale the library would send the request a second time
};

struct HttpHead {
  int status = 0;
  std::vector<HttpHeader> headers;

  // The first header of this name, whatever its case; empty if there is none.
  absl::string_view Find(absl::string_view name) const;
};

enum class HttpEnd {
  kResponse,     // an answer, whatever its status
  kRefused,      // by us, nothing was sent: the URL, the host, the address; trying again is pointless
  kUnreachable,  // no connection, nothing was sent
  kBroken,       // the connection ended early: what was sent may have had an effect
  kTimeout,      // see `sent`
  kTooLarge,     // more than response_bytes_max; head and the bytes so far are there
  kCancelled,    // see `sent`
};

struct HttpOutcome {
  HttpEnd end = HttpEnd::kCancelled;
  bool sent = false;  // whether a byte of the request may have left: if not, the request certainly had no effect
  HttpHead head;      // status 0: none came
  std::string body;   // what no sink took
  // While a body is in memory, its request counts as one under way: keep this as long as the body, or what is made of it. Null without a body. Whoever has one
  // waits for no other request, or both may wait for each other.
  std::unique_ptr<Hold> place;
  std::string url;      // of the last hop
  std::string message;  // unless kResponse: one sentence, without secrets
};

enum class HttpTake { kMore, kEnough };

// Takes an answer as it comes. Called on the coroutine's executor, never after Send has returned.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  // Once, before the body.
  virtual void Head(const HttpHead& head) = 0;
  // kEnough: Send returns at once with kResponse; what is left is read away behind it, for a second at most, so that the connection can be kept.
  virtual HttpTake Body(absl::string_view bytes) = 0;
};

// Thread-safe; outlives every request. The executors of its requests outlive the client: its thread may still be on its way out of the post that ended one.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Sends one request. Without a sink the body is in the outcome. `sink` outlives the coroutine. Cancellation by the coroutine's slot aborts the transfer
  // and returns kCancelled soon. Never throws.
  virtual boost::asio::awaitable<HttpOutcome> Send(HttpRequest request, HttpSink* sink) = 0;
};

}  // namespace agentruntime
