// How many short runs the store takes a second: 64 callers at once, each run one Create and 8 Appends of one event.
//   store_bench [FOLDER] [CALLERS] [RUNS] [AHEAD] [BODY_BYTES]
// AHEAD is how many calls of a run are made without waiting for the first of them: 1 is a run that waits for the disk at each event (remote model and
// tools), 9 one that runs ahead of it to its end (local ones).
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "storage/sqlite/stores.h"
#include "tests/conformance/store_calls.h"

namespace agentruntime {
namespace {

constexpr Sequence kEvents = 9;

double CpuSeconds(int who) {
  rusage usage;
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Keeps `callers` runs under way from one thread of its own: completions only count, the next call is made outside the store's thread.
class Load {
 public:
  Load(Store& store, int runs, Sequence ahead, int body_bytes) : store_(store), runs_(runs), ahead_(ahead), body_bytes_(body_bytes) {}

  void Run(int callers) {
    for (int i = 0; i < callers; ++i) Next(NewRunId(), 0);
    std::vector<std::pair<RunId, Sequence>> ready;
    while (finished_ < runs_) {
      {
        MutexLock lock(mu_);
        while (ready_.empty()) arrived_.Wait(mu_);
        ready.swap(ready_);
      }
      for (const auto& [run, last] : ready) {
        if (last < kEvents) {
          Next(run, last);
        } else if (++finished_ + callers <= runs_) {
          Next(NewRunId(), 0);
        }
      }
      ready.clear();
    }
  }

 private:
  RunId NewRunId() { return RunId::New(absl::Now(), 1, static_cast<uint64_t>(++started_)); }

  // The calls after event `last`; the last of them says so when it is durable.
  void Next(const RunId& run, Sequence last) {
    const Sequence end = std::min(kEvents, last + ahead_);
    for (; last < end; ++last) Call(run, last, last + 1 == end);
  }

  void Call(const RunId& run, Sequence last, bool tell) {
    if (last == 0) {
      store_.Create(TestRun(run), [this, run, tell](CreateOutcome) {
        if (tell) Arrived(run, 1);
      });
      return;
    }
    AppendRequest request;
    request.run = run;
    request.epoch = store_.epoch();
    request.expected_last_sequence = last;
    request.events = {TestEvent(last + 1, store_.epoch(), body_bytes_)};
    request.projection = last + 1 == kEvents ? StoppedProjection(kEvents) : TestProjection(last + 1);
    store_.Append(std::move(request), [this, run, last, tell](AppendResult result) {
      if (result != AppendResult::kDurable) abort();
      if (tell) Arrived(run, last + 1);
    });
  }

  void Arrived(const RunId& run, Sequence last) {
    MutexLock lock(mu_);
    ready_.emplace_back(run, last);
    if (ready_.size() == 1) arrived_.NotifyOne();
  }

  Store& store_;
  const int runs_;
  const Sequence ahead_;
  const int body_bytes_;
  int started_ = 0;
  int finished_ = 0;
  Mutex mu_;
  CondVar arrived_;
  std::vector<std::pair<RunId, Sequence>> ready_ ABSL_GUARDED_BY(mu_);
};

int Main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : std::filesystem::temp_directory_path() / "store_bench";
  const int callers = argc > 2 ? atoi(argv[2]) : 64;
  const int runs = argc > 3 ? atoi(argv[3]) : 50'000;
  const int ahead = argc > 4 ? atoi(argv[4]) : 9;
  const int body_bytes = argc > 5 ? atoi(argv[5]) : 150;
  std::filesystem::remove_all(folder);
  const auto stores = sqlite::OpenStores({.path = folder / "store.db"});
  if (!stores.ok()) {
    fprintf(stderr, "%s\n", stores.status().ToString().c_str());
    return 1;
  }
  const absl::Time begin = absl::Now();
  const double cpu = CpuSeconds(RUSAGE_SELF);
  const double caller_cpu = CpuSeconds(RUSAGE_THREAD);
  Load(*stores->store, runs, ahead, body_bytes).Run(callers);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  const double caller_us = (CpuSeconds(RUSAGE_THREAD) - caller_cpu) / runs * 1e6;
  const double store_us = (CpuSeconds(RUSAGE_SELF) - cpu) / runs * 1e6 - caller_us;
  printf("%d callers, %d runs of %lld events of %d bytes, %d ahead: %.0f runs/s; CPU a run: %.0f us callers, %.0f us store; %lld bytes a run on disk\n",
         callers, runs, static_cast<long long>(kEvents), body_bytes, ahead, runs / seconds, caller_us, store_us,
         static_cast<long long>(stores->store->Info()->bytes / runs));
  return 0;
}

}  // namespace
}  // namespace agentruntime

int main(int argc, char** argv) { return agentruntime::Main(argc, argv); }
