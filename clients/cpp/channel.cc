#include "clients/cpp/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "proto/util/limits.h"

namespace agentruntime::client {
namespace {

constexpr absl::Duration kKeepaliveInterval = absl::Seconds(60);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);
constexpr absl::Duration kReconnectFirst = absl::Milliseconds(100);
constexpr absl::Duration kReconnectMax = absl::Seconds(2);
// What gRPC calls the minimal backoff: the time that one attempt to connect may take.
constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

void SetMilliseconds(grpc::ChannelArguments& arguments, const char* name, absl::Duration value) {
  arguments.SetInt(name, static_cast<int>(absl::ToInt64Milliseconds(value)));
}

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  SetMilliseconds(arguments, GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveInterval);
  SetMilliseconds(arguments, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeout);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // a watcher may wait for hours
  SetMilliseconds(arguments, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirst);
  SetMilliseconds(arguments, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeout);
  SetMilliseconds(arguments, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMax);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);          // http_proxy is not meant for loopback
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a channel's settings are its own
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status Connect(grpc::Channel& channel, absl::Duration timeout) {
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return absl::UnavailableError("the connection failed");
    if (!channel.WaitForStateChange(state, deadline)) return absl::UnavailableError("no connection in time");
    state = channel.GetState(true);
  }
  return absl::OkStatus();
}

void AwaitConnection(grpc::Channel& channel, absl::Duration timeout) {
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY && channel.WaitForStateChange(state, deadline)) state = channel.GetState(true);
}

}  // namespace agentruntime::client
