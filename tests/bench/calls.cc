#include "tests/bench/calls.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/bench/fail.h"

namespace agentruntime::bench {
namespace {

constexpr int kOpenCreatesMax = 256;
constexpr absl::Duration kAskInterval = absl::Milliseconds(10);

void Check(const char* what, const grpc::Status& status) {
  if (!status.ok()) Fail(absl::StrCat(what, " failed: ", status.error_message()));
}

// A window of creates under way.
struct Window {
  std::mutex mu;
  std::condition_variable room;
  int open = 0;

  void Enter() {
    std::unique_lock lock(mu);
    room.wait(lock, [this] { return open < kOpenCreatesMax; });
    ++open;
  }
  void Leave() {
    std::lock_guard lock(mu);
    --open;
    room.notify_one();
  }
  void AwaitEmpty() {
    std::unique_lock lock(mu);
    room.wait(lock, [this] { return open == 0; });
  }
};

struct Create {
  grpc::ClientContext context;
  v1::CreateRunRequest request;
  v1::Run run;
};

}  // namespace

Admin::Admin(const std::string& address) : stub_(v1::AdminService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {}

v1::ServerInfo Admin::Info() const {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::ServerInfo info;
  Check("GetServerInfo", stub_->GetServerInfo(&context, {}, &info));
  return info;
}

void Admin::Await(const std::string& what, absl::Duration most, const std::function<bool(const v1::ServerInfo&)>& holds) const {
  const absl::Time until = absl::Now() + most;
  while (!holds(Info())) {
    if (absl::Now() > until) Fail(absl::StrCat("after ", absl::FormatDuration(most), " it does not hold that ", what));
    absl::SleepFor(kAskInterval);
  }
}

std::vector<std::string> CreateRuns(const Stubs& stubs, int count, const std::function<std::string(int)>& input, absl::Duration interval,
                                    absl::Duration start_in) {
  std::vector<std::string> names(static_cast<size_t>(count));
  Window window;
  absl::Time next = absl::Now();
  for (int i = 0; i < count; ++i) {
    absl::SleepFor(next - absl::Now());
    next += interval;
    window.Enter();
    auto* const create = new Create;
    *create->request.mutable_run() = RunOfBench(input(i));
    if (start_in > absl::ZeroDuration()) *create->request.mutable_run()->mutable_not_before_time() = ToProto(absl::Now() + start_in);
    stubs[static_cast<size_t>(i) % stubs.size()]->async()->CreateRun(&create->context, &create->request, &create->run,
                                                                     [create, &window, name = &names[static_cast<size_t>(i)]](const grpc::Status& status) {
                                                                       Check("CreateRun", status);
                                                                       *name = create->run.name();
                                                                       delete create;
                                                                       window.Leave();
                                                                     });
  }
  window.AwaitEmpty();
  return names;
}

v1::Run AwaitAnswer(v1::RunService::Stub& stub, const std::string& name) {
  for (;;) {
    grpc::ClientContext context;
    v1::GetRunRequest request;
    request.set_name(name);
    request.mutable_wait()->set_seconds(60);
    v1::Run run;
    Check("GetRun", stub.GetRun(&context, request, &run));
    if (run.state() != v1::RUN_STATE_STOPPED) continue;
    if (run.stop().reason() != v1::STOP_REASON_FINAL_ANSWER) Fail(absl::StrCat(name, " has no answer: ", run.stop().detail()));
    return run;
  }
}

std::vector<v1::Event> EventsOf(v1::RunService::Stub& stub, const std::string& name) {
  std::vector<v1::Event> events;
  v1::ListEventsRequest request;
  request.set_parent(name);
  request.set_page_size(1000);
  do {
    grpc::ClientContext context;
    v1::ListEventsResponse page;
    Check("ListEvents", stub.ListEvents(&context, request, &page));
    for (v1::Event& event : *page.mutable_events()) events.push_back(std::move(event));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return events;
}

}  // namespace agentruntime::bench
