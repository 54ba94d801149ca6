#include "tests/crash/followers.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include "absl/strings/str_cat.h"

namespace agentruntime::testing {

// Deletes itself when its stream has ended.
class Followers::Stream final : public grpc::ClientReadReactor<v1::WatchRunResponse> {
 public:
  Stream(Followers& owner, v1::RunService::Stub& stub, std::string name, int64_t after) : owner_(owner), name_(std::move(name)) {
    request_.set_name(name_);
    request_.set_after_sequence(after);
    stub.async()->WatchRun(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_event()) owner_.Take(name_, response_.event());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    Followers& owner = owner_;
    delete this;
    owner.Ended();
  }

  Followers& owner_;
  const std::string name_;
  grpc::ClientContext context_;
  v1::WatchRunRequest request_;
  v1::WatchRunResponse response_;
};

Followers::~Followers() { AwaitGone(); }

void Followers::Connect(std::vector<std::shared_ptr<grpc::Channel>> channels) {
  std::vector<std::pair<std::string, int64_t>> open;
  {
    MutexLock lock(mu_);
    stubs_.clear();
    for (auto& channel : channels) stubs_.push_back(v1::RunService::NewStub(channel));
    for (const auto& [name, run] : runs_) {
      if (!run.stopped) open.emplace_back(name, static_cast<int64_t>(run.journal.size()));
    }
  }
  for (const auto& [name, after] : open) Start(name, after);
}

void Followers::Start(const std::string& name, int64_t after) {
  v1::RunService::Stub* stub = nullptr;
  {
    MutexLock lock(mu_);
    ++streams_;
    stub = stubs_[next_stub_++ % stubs_.size()].get();
  }
  new Stream(*this, *stub, name, after);
}

void Followers::AwaitGone() {
  MutexLock lock(mu_);
  while (streams_ > 0) changed_.Wait(mu_);
}

void Followers::Follow(const std::string& name, const std::string& input) {
  {
    MutexLock lock(mu_);
    if (!runs_.try_emplace(name, Run{.input = input, .journal = {}, .keys = {}}).second) return;
    ++open_;
  }
  Start(name, 0);
}

void Followers::Take(const std::string& name, const v1::Event& event) {
  MutexLock lock(mu_);
  Run& run = runs_[name];
  const auto expected = static_cast<int64_t>(run.journal.size()) + 1;
  if (event.sequence() != expected) absl::StrAppend(&faults_, name, ": event ", event.sequence(), " instead of ", expected, "; ");
  run.journal.push_back(event);
  if (event.has_decision_made()) {
    ++decisions_;
    known_.insert({run.input, event.step()});
  }
  if (event.has_call_started()) run.keys[event.call_started().call_id()] = event.call_started().idempotency_key();
  if (event.has_call_finished()) settled_.insert(run.keys[event.call_finished().call_id()]);
  if (event.has_run_stopped()) {
    run.stopped = true;
    --open_;
  }
  changed_.NotifyAll();
}

void Followers::Ended() {
  MutexLock lock(mu_);
  --streams_;
  changed_.NotifyAll();
}

int64_t Followers::decisions() {
  MutexLock lock(mu_);
  return decisions_;
}

int Followers::open() {
  MutexLock lock(mu_);
  return open_;
}

std::set<std::string> Followers::open_names() {
  MutexLock lock(mu_);
  std::set<std::string> names;
  for (const auto& [name, run] : runs_) {
    if (!run.stopped) names.insert(name);
  }
  return names;
}

void Followers::AwaitChange(int64_t decisions, int open, absl::Duration most) {
  MutexLock lock(mu_);
  if (decisions_ <= decisions && open_ >= open) changed_.WaitFor(mu_, most);
}

bool Followers::Knows(const std::string& input, int step) {
  MutexLock lock(mu_);
  return known_.contains({input, step});
}

bool Followers::Settled(const std::string& key) {
  MutexLock lock(mu_);
  return settled_.contains(key);
}

std::map<std::string, int64_t> Followers::sequences() {
  MutexLock lock(mu_);
  std::map<std::string, int64_t> sequences;
  for (const auto& [name, run] : runs_) sequences[name] = static_cast<int64_t>(run.journal.size());
  return sequences;
}

std::map<std::string, std::vector<v1::Event>> Followers::journals() {
  MutexLock lock(mu_);
  std::map<std::string, std::vector<v1::Event>> journals;
  for (const auto& [name, run] : runs_) journals[name] = run.journal;
  return journals;
}

std::map<std::string, std::string> Followers::inputs() {
  MutexLock lock(mu_);
  std::map<std::string, std::string> inputs;
  for (const auto& [name, run] : runs_) inputs[name] = run.input;
  return inputs;
}

std::string Followers::faults() {
  MutexLock lock(mu_);
  return faults_;
}

}  // namespace agentruntime::testing
