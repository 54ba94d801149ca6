// A write or a sync of the store fails in the real server, once or from then on, under a load of 200 runs at once. What must hold beside that: under_load.h.
//
// The call that fails is held at first. What the server's reads show then is what is committed, so that no time is measured and nothing in flight is taken for
// an acknowledgement that came too late: whatever anybody has been told at the end has to be in there, and all that was asked of the model and of tools has to
// have its intent in there. Then the call fails, also where the next one of its kind would succeed: a kernel that could not write a page takes it for written.
#include "tests/crash/failing_disk.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iterator>
#include <map>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/crash/child.h"
#include "tests/crash/effort.h"
#include "tests/crash/power_cut.h"
#include "tests/crash/under_load.h"
#include "tests/support/mount_namespace.h"

namespace agentruntime::testing {
namespace {

const ::testing::Environment* const kNamespace = ::testing::AddGlobalTestEnvironment(new MountNamespace);

constexpr int64_t kForEver = int64_t{1} << 40;
// An eighth of the disk is how far the log grows before it is copied into the database: on a small one that happens all the time.
constexpr int64_t kDiskBytes = 16 << 20;
constexpr int64_t kDiskBytesOfAFault = 2 << 20;  // what the runs between two faults leave there
constexpr absl::Duration kHeldMax = absl::Seconds(60);

struct Fault {
  const char* name;
  FailingDisk::Call call;
  FailingDisk::File file;
  uint64_t calls_max;  // the first that fails is among so many
  int64_t times = 1;
};

// Every run writes to the log all the time, to the database only as the log is copied.
const Fault kFaults[] = {
    {.name = "sync of the log, once", .call = FailingDisk::Call::kSync, .file = FailingDisk::File::kLog, .calls_max = 60},
    {.name = "write of the log, once", .call = FailingDisk::Call::kWrite, .file = FailingDisk::File::kLog, .calls_max = 600},
    {.name = "sync of the database, once", .call = FailingDisk::Call::kSync, .file = FailingDisk::File::kDatabase, .calls_max = 2},
    {.name = "write of the database, once", .call = FailingDisk::Call::kWrite, .file = FailingDisk::File::kDatabase, .calls_max = 200},
    {.name = "sync of the log, for ever", .call = FailingDisk::Call::kSync, .file = FailingDisk::File::kLog, .calls_max = 60, .times = kForEver},
    {.name = "write of the log, for ever", .call = FailingDisk::Call::kWrite, .file = FailingDisk::File::kLog, .calls_max = 600, .times = kForEver},
    {.name = "sync of the database, for ever", .call = FailingDisk::Call::kSync, .file = FailingDisk::File::kDatabase, .calls_max = 2, .times = kForEver},
    {.name = "write of the database, for ever", .call = FailingDisk::Call::kWrite, .file = FailingDisk::File::kDatabase, .calls_max = 200, .times = kForEver},
};

class FailingDiskTest : public UnderLoad {
 protected:
  FailingDiskTest() {
    const int file = open(server_.File("fault").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(file, sizeof(FailingDisk)), 0);
    fault_ = new (mmap(nullptr, sizeof(FailingDisk), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) FailingDisk();
    close(file);
    Forget();
    server_.SetVariable("LD_PRELOAD", AGENTRUNTIME_FAILING_DISK);
    server_.SetVariable("FAILING_DISK_FILE", server_.File("fault"));
  }
  ~FailingDiskTest() override {
    sem_post(&fault_->goes_on);  // whatever failed, nobody waits for it
    if (server_.running()) server_.Kill();
    munmap(static_cast<void*>(fault_), sizeof(FailingDisk));
    umount2(server_.File("data").c_str(), MNT_DETACH);
  }

  // From the next call on.
  void Arm(const Fault& fault, int64_t at) {
    fault_->call = fault.call;
    fault_->file = fault.file;
    fault_->times = fault.times;
    fault_->seen = 0;
    Forget();
    fault_->at = at;
  }
  // Nobody waits for a fault.
  void Forget() {
    for (sem_t* semaphore : {&fault_->held, &fault_->goes_on}) ASSERT_EQ(sem_init(semaphore, /*pshared=*/1, 0), 0) << strerror(errno);
  }
  bool AwaitHeld() {
    const timespec until = absl::ToTimespec(absl::Now() + kHeldMax);
    int failed = 0;
    while ((failed = sem_timedwait(&fault_->held, &until)) != 0 && errno == EINTR) {
    }
    return failed == 0;
  }

  // By name, the last committed event of each run.
  std::map<std::string, int64_t> Committed() {
    const Stubs stubs(server_.Connect());
    std::map<std::string, int64_t> committed;
    v1::ListRunsRequest request;
    request.set_page_size(1000);
    do {
      const auto page = Call(stubs.run, &v1::RunService::Stub::ListRuns, request);
      EXPECT_TRUE(page.ok()) << "reads do not go on: " << page.status();
      if (!page.ok()) break;
      for (const v1::Run& run : page->runs()) committed[run.name()] = run.last_sequence();
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return committed;
  }

  void Strike(const Fault& fault, int64_t at) {
    SCOPED_TRACE(absl::StrCat(fault.name, ", call ", at));
    Arm(fault, at);
    EXPECT_TRUE(AwaitHeld()) << "only " << fault_->seen << " calls were made";
    std::map<std::string, int64_t> committed = Committed();
    for (const auto& [name, sequence] : committed_) EXPECT_GE(committed[name], sequence) << name << " has lost what was committed before the last fault";
    committed_ = std::move(committed);
    sem_post(&fault_->goes_on);
    EXPECT_EQ(server_.WaitForEnd(), kFailStopCode);
    server_.Kill();  // if it has not ended, which is told
    fault_->at = 0;
  }

  // Nobody was told what was not committed as the call failed.
  void Look() {
    provider_.AwaitQuiet();
    for (const auto& [name, sequence] : followers_.sequences()) {
      const auto committed = committed_.find(name);
      ASSERT_NE(committed, committed_.end()) << name << " was acknowledged behind a failed call";
      ASSERT_LE(sequence, committed->second) << "an event of " << name << " was told behind a failed call";
    }
    const auto inputs = followers_.inputs();
    for (const std::string& name : followers_.open_names()) {
      const std::string& input = inputs.at(name);
      sent_.push_back({name, committed_[name], provider_.requests_of(input), witness_.ExecutedFor(input)});
    }
  }

  // What had left for the model and for tools rests on intents that were committed then.
  void ExpectIntents() {
    const auto journals = followers_.journals();
    for (const Sent& sent : sent_) {
      int intents = 0;
      std::set<std::string> keys;
      for (const v1::Event& event : journals.at(sent.run)) {
        if (event.sequence() > sent.committed) break;
        intents += event.has_model_called() ? 1 : 0;
        if (event.has_call_started()) keys.insert(event.call_started().idempotency_key());
      }
      ASSERT_LE(sent.requests, intents) << sent.run << ", of whose journal " << sent.committed << " events were committed";
      for (const std::string& key : sent.executed) {
        ASSERT_TRUE(keys.contains(key)) << key << " of " << sent.run << " was executed, of whose journal " << sent.committed << " events were committed";
      }
    }
  }

  // Of a run that was under way as a call failed, once the server was gone.
  struct Sent {
    std::string run;
    int64_t committed;  // events
    int requests;       // to the model
    std::set<std::string> executed;
  };

  FailingDisk* fault_ = nullptr;
  std::map<std::string, int64_t> committed_;  // as the last call failed
  std::vector<Sent> sent_;
};

TEST_F(FailingDiskTest, NothingIsAcknowledgedBehindAFailedCallAndTheProcessEnds) {
  Effort effort("failed calls of a server", 24, 8);
  Random random(effort.seed() + 1);
  const std::string folder = server_.File("data");
  std::filesystem::create_directory(folder);
  const std::string size = absl::StrCat("size=", kDiskBytes + effort.count() * kDiskBytesOfAFault);
  ASSERT_EQ(mount("tmpfs", folder.c_str(), "tmpfs", 0, size.c_str()), 0) << strerror(errno);
  int64_t struck = 0;
  LiveThrough(effort, {.strike =
                           [&] {
                             const Fault& fault = kFaults[struck++ % std::ssize(kFaults)];
                             Strike(fault, 1 + static_cast<int64_t>(Below(random, fault.calls_max)));
                           },
                       .look = [&] { Look(); }});
  ExpectIntents();
  effort.Figure("runs under way at a fault, over all of them", static_cast<double>(sent_.size()));
}

}  // namespace
}  // namespace agentruntime::testing
