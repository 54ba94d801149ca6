// A model's provider outside of the server under test: the witness of which decisions were asked for, and how often.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "proto/base/mutex.h"
#include "tests/support/http_server.h"

namespace agentruntime::testing {

// A call that the model asks for.
struct Wish {
  std::string tool;
  std::string arguments;
};
// What the model wants at a step of a run when it is asked for the `time`th time.
using Wishes = std::function<std::vector<Wish>(const std::string& run, int step, int time)>;
// One calculation.
std::vector<Wish> WishForOneCalculation(const std::string& run, int step, int time);

// Speaks the OpenAI protocol. Knows a run by its input, a word without spaces. Asks for calls in each of the first `steps` decisions, then answers.
// What it says differs each time it is asked, so that a decision that was made twice shows.
class Provider {
 public:
  // Thinks for `latency`, and for a part of `spread` that differs from request to request.
  Provider(int steps, absl::Duration latency, Wishes wishes = WishForOneCalculation, absl::Duration spread = absl::ZeroDuration());

  std::string base_url() const { return server_.Url("/v1"); }
  // How often a step of each run was asked for so far.
  std::map<std::pair<std::string, int>, int> asked() ABSL_LOCKS_EXCLUDED(mu_);
  // How often a run was asked for, over all of its steps.
  int requests_of(const std::string& run) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns when everything that a dead server had sent is counted.
  void AwaitQuiet() { server_.AwaitQuiet(); }
  // `listener(run, step)` hears of each request as it arrives. Set before the first.
  void Listen(std::function<void(const std::string& run, int step)> listener) { listener_ = std::move(listener); }

 private:
  void Serve(const ServedRequest& request, HttpServer::Connection& connection);

  const int steps_;
  const absl::Duration latency_;
  const Wishes wishes_;
  const absl::Duration spread_;
  std::function<void(const std::string&, int)> listener_;
  Mutex mu_;
  std::map<std::pair<std::string, int>, int> asked_ ABSL_GUARDED_BY(mu_);
  HttpServer server_;
};

}  // namespace agentruntime::testing
