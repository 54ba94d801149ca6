// The least that any server of the example run must do: takes the same calls, gives the same bytes back, and, unless it only echoes, makes the same rows
// durable first. It decodes nothing, decides nothing and stores each run in one piece.
//   floor_server --answers FILE --port-file FILE [--store FILE --rows DATABASE]
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "agentruntime/v1/run_service.grpc.pb.h"
#include "tests/bench/fail.h"
#include "tests/bench/group_commit.h"
#include "tests/bench/recorded_run.h"

namespace agentruntime::bench {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using S = v1::RunService;
using Base = S::WithRawCallbackMethod_CreateRun<S::WithRawCallbackMethod_RunAgent<S::WithRawCallbackMethod_GetRun<S::Service>>>;

ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size(), grpc::Slice::STATIC_SLICE);
  return {&slice, 1};
}

// Sends the recorded stream, one message after the other.
class Replay final : public grpc::ServerWriteReactor<ByteBuffer> {
 public:
  explicit Replay(const std::vector<ByteBuffer>& messages) : messages_(messages) {}
  void Next() {
    if (next_ == messages_.size()) return Finish(grpc::Status::OK);
    StartWrite(&messages_[next_++]);
  }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  const std::vector<ByteBuffer>& messages_;
  size_t next_ = 0;
};

class FloorService final : public Base {
 public:
  // `commit` is null for an echo.
  FloorService(const RecordedAnswers& answers, GroupCommit* commit) : created_(BufferOf(answers.created)), got_(BufferOf(answers.got)), commit_(commit) {
    for (const std::string& message : answers.stream) stream_.push_back(BufferOf(message));
  }

  grpc::ServerUnaryReactor* CreateRun(CallbackServerContext* context, const ByteBuffer*, ByteBuffer* response) override {
    *response = created_;
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    WhenDurable([reactor] { reactor->Finish(grpc::Status::OK); });
    return reactor;
  }
  grpc::ServerUnaryReactor* GetRun(CallbackServerContext* context, const ByteBuffer*, ByteBuffer* response) override {
    *response = got_;
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<ByteBuffer>* RunAgent(CallbackServerContext*, const ByteBuffer*) override {
    auto* const replay = new Replay(stream_);
    WhenDurable([replay] { replay->Next(); });
    return replay;
  }

 private:
  void WhenDurable(std::function<void()> then) { commit_ == nullptr ? then() : commit_->Push(std::move(then)); }

  const ByteBuffer created_;
  const ByteBuffer got_;
  std::vector<ByteBuffer> stream_;
  GroupCommit* const commit_;
};

int Main(int argc, char** argv) {
  std::string answers_file, port_file, store, rows;
  CLI::App app("The floor of the example run");
  app.add_option("--answers", answers_file)->required();
  app.add_option("--port-file", port_file)->required();
  app.add_option("--store", store, "make the rows of --rows durable here before each answer; without it: an echo");
  app.add_option("--rows", rows, "a store with one example run at its end");
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before any thread: all inherit it
  const RecordedAnswers answers = ReadAnswers(answers_file);
  std::unique_ptr<GroupCommit> commit;
  if (!store.empty()) commit = std::make_unique<GroupCommit>(store, ReadRows(rows));
  FloorService service(answers, commit.get());
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) Fail("floor_server cannot listen");
  {
    std::ofstream file(port_file + ".new");
    file << "127.0.0.1:" << port << "\n";
  }
  if (std::rename((port_file + ".new").c_str(), port_file.c_str()) != 0) Fail("cannot write " + port_file);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace agentruntime::bench

int main(int argc, char** argv) { return agentruntime::bench::Main(argc, argv); }
