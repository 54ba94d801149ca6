// The real server under a load of 200 runs at once, kept up by as many callers as it takes, struck again and again, and what must be so whatever strikes it.
//
// Witnesses outside of the server: the model's provider counts each request by run and step, the endpoint of the tools writes down each execution by its key,
// and clients keep every event that they were told. Between two blows at least 20 steps are acknowledged. Never may an acknowledged event be missing or
// different afterwards, a step whose decision anybody saw be asked for again, a call be executed after anybody saw its finish, an UNSAFE call be executed
// twice, a repeated one with another key or other arguments, a request leave without a durable intent, or a run not come to its end.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agentruntime/v1/event.pb.h"
#include "proto/base/mutex.h"
#include "tests/crash/effort.h"
#include "tests/crash/followers.h"
#include "tests/crash/provider.h"
#include "tests/crash/witness.h"
#include "tests/support/calls.h"
#include "tests/support/test_server.h"

namespace agentruntime::testing {

class UnderLoad : public ::testing::Test {
 protected:
  struct Blow {
    std::function<void()> strike;        // at a random moment, on a thread beside the load's; behind it the server is gone
    std::function<void()> look = [] {};  // then, once every stream has ended and every call of a tool is written down
  };

  UnderLoad();

  // Strikes the server `effort.count()` times; then everything comes to its end, and is judged.
  void LiveThrough(Effort& effort, const Blow& blow);

  static std::vector<Wish> WishesOf(const std::string& run, int step, int time);

  // The order in which they end: the server first, then those that it calls, then those that are asked by these.
  Followers followers_;
  // Thinks for up to 80 ms: most runs have asked it when the blow comes, and come to a decision before they would be suspects, which run one by one.
  Provider provider_;
  Witness witness_;
  TestServer server_;

 private:
  // What the provider found asked for although the decision had been seen. Outlives it.
  struct Again {
    Mutex mu;
    std::vector<std::string> steps ABSL_GUARDED_BY(mu);
  };

  void Start();
  // How many runs were submitted so far, heard of or not.
  int Submitted() ABSL_LOCKS_EXCLUDED(mu_);
  // Submits run `number`, which may have been submitted before. False: not acknowledged.
  bool Submit(int number) ABSL_LOCKS_EXCLUDED(mu_);
  // Keeps 200 runs under way until the server is struck, by as many callers as it takes.
  void Load(const std::atomic<bool>& struck);
  // The run to submit next: one that nobody heard of, or a new one. None: 200 are under way or on their way.
  std::optional<int> Take() ABSL_LOCKS_EXCLUDED(mu_);
  void ExpectWhole(const std::string& name, const std::string& input, const std::vector<v1::Event>& journal,
                   const std::map<std::pair<std::string, int>, int>& asked);

  std::optional<Stubs> stubs_;
  Mutex mu_;
  int next_ ABSL_GUARDED_BY(mu_) = 1;
  int on_their_way_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<int> unheard_ ABSL_GUARDED_BY(mu_);             // submits without an answer
  std::map<int, std::string> names_ ABSL_GUARDED_BY(mu_);  // acknowledged submits
  const std::shared_ptr<Again> again_ = std::make_shared<Again>();
};

}  // namespace agentruntime::testing
