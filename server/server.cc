#include "server/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/base/log.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "server/acceptor.h"
#include "server/line_limit.h"
#include "server/rpc/services.h"

namespace agentruntime {
namespace {

constexpr absl::Duration kKeepaliveTime = absl::Seconds(60);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);
constexpr absl::Duration kClientPingIntervalMin = absl::Seconds(10);
constexpr absl::Duration kFlushTime = absl::Milliseconds(100);  // for the last answers to reach their sockets
constexpr int kGrpcLinesPerSecondMax = 5;
constexpr size_t kGrpcDetailBytesMax = 300;
constexpr int kLookaheadBytes = 16 << 10;  // of a message whose length is not known yet
constexpr int kSyncThreadsMax = 16;        // reflection is the one service with blocking calls

// What gRPC has to say goes the way of every other log line, but most of it is about what a caller sent: whoever likes to could fill the disk with it.
void LogOfGrpc(gpr_log_func_args* arguments) {
  static LineLimit& limit = *new LineLimit(kGrpcLinesPerSecondMax);  // threads of gRPC may outlive main
  if (arguments->severity != GPR_LOG_SEVERITY_ERROR) return;
  const std::optional<int64_t> left_out = limit.Admit();
  if (!left_out) return;
  Log(LogLevel::kWarn, "gRPC reports", {{"detail", CutUtf8(arguments->message, kGrpcDetailBytesMax)}, {"left_out", *left_out}});
}

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

void Configure(grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveTime));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, Milliseconds(kClientPingIntervalMin));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kCallsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // it would raise the lookahead
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.SetMaxSendMessageSize(kMessageBytesMax);
  builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  // gRPC inflates a message before it looks at its size: two megabytes of zeros well packed became two gigabytes of memory. Packed messages stay packed,
  // and are no messages then.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  grpc::ResourceQuota quota("agentd");
  quota.SetMaxThreads(kSyncThreadsMax);
  // gRPC takes a request in before any code of ours hears of the call, and looks at its length only when all of it is there: one call took 300 MiB. Over the
  // quota it cuts calls off one after the other, whoever's they are, with RESOURCE_EXHAUSTED. That takes time, and a flood of small pieces is faster: so what
  // comes before a message's length is known is little, and connections and their calls are not too many.
  quota.Resize(kUnfinishedRequestBytesMax);
  builder.SetResourceQuota(quota);
}

}  // namespace

struct Server::Impl {
  rpc::Host host;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections;
  std::vector<rpc::NamedService> services;
  std::unique_ptr<grpc::Server> server;  // ends before its services
  std::unique_ptr<Acceptor> acceptor;    // hands over to `connections`; ends before them
};

Server::Server(ListenAddress address, std::unique_ptr<Impl> impl) : address_(std::move(address)), impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ListenAddress& address, const boost::asio::any_io_executor& pool, const rpc::Backend& backend,
                                                      int64_t descriptors_max, int64_t outbound_requests) {
  gpr_set_log_function(LogOfGrpc);
  google::protobuf::SetLogHandler(nullptr);  // it says on standard error what callers send wrong; they are told themselves
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto impl = std::make_unique<Impl>();
  impl->host.pool = pool;
  grpc::ServerBuilder builder;
  Configure(builder);
  auto acceptor = Acceptor::Open(address, descriptors_max, ConnectionsMax(descriptors_max, outbound_requests));
  if (!acceptor.ok()) return acceptor.status();
  impl->acceptor = *std::move(acceptor);
  impl->connections = builder.experimental().AddExternalConnectionAcceptor(grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
                                                                           grpc::InsecureServerCredentials());
  impl->services = rpc::MakeServices(impl->host, backend);
  for (const rpc::NamedService& service : impl->services) builder.RegisterService(service.service.get());
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) return absl::FailedPreconditionError(absl::StrCat("gRPC cannot serve on ", address.ToString()));
  impl->acceptor->Start([&connections = *impl->connections](int connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection;  // gRPC's from here on
    connections.HandleNewConnection(&parameters);
  });
  ListenAddress bound = impl->acceptor->address();
  std::unique_ptr<Server> server(new Server(std::move(bound), std::move(impl)));
  server->SetServing(true);
  return server;
}

void Server::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = impl_->server->GetHealthCheckService();
  health->SetServingStatus("", serving);
  for (const rpc::NamedService& service : impl_->services) health->SetServingStatus(service.name, serving);
}

void Server::Shutdown(absl::Duration grace) {
  impl_->host.calls.AwaitNone(grace);
  impl_->acceptor->Stop();
  // gRPC itself waits for connections, which a client that is not in a call may not close for minutes.
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + kFlushTime));
  impl_->server->Wait();
  // Coroutines leave after gRPC is done with their calls, and one that is still there would use what its host was. Whoever ends the process bounds this.
  impl_->host.calls.AwaitNone();
}

}  // namespace agentruntime
