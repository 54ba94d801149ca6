// The connection to a server.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
}

namespace agentruntime::client {

inline constexpr char kDefaultAddress[] = "127.0.0.1:7070";
inline constexpr absl::Duration kRpcTimeoutDefault = absl::Seconds(30);

// A channel to `address` (`host:port`), without encryption: servers listen on loopback. Pings an idle connection each 60 s and gives it up after 20 s
// without an answer; tries a lost one again within 2 s. Thread-safe; shared by the clients that are made from it. Connects when it is first used.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

// OK as soon as there is a connection; UNAVAILABLE at once when it fails, or after `timeout`.
absl::Status Connect(grpc::Channel& channel, absl::Duration timeout);

// Returns as soon as there is a connection, or after `timeout`; refusals are waited out. Before a call is repeated: between calls nobody drives the
// connection, gRPC's own look at it comes only each 5 s, and a call fails at once meanwhile.
void AwaitConnection(grpc::Channel& channel, absl::Duration timeout);

}  // namespace agentruntime::client
