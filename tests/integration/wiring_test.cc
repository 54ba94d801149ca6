// The parts of a server in one process, and the order in which they end.
#include "server/wiring.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/runtime.h"
#include "tests/support/counter.h"
#include "tests/support/http_server.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

using testing::Counter;
using testing::HttpServer;
using testing::ServedRequest;

// Reads of SQLite that wait while a test says so.
class SlowReads {
 public:
  static void Install() {
    sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
    for (const char* const name : {"pread", "pread64"}) {
      if (const auto real = vfs->xGetSystemCall(vfs, name)) {
        real_pread = reinterpret_cast<decltype(real_pread)>(real);
        ASSERT_EQ(vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(&Pread)), SQLITE_OK);
      }
    }
    ASSERT_NE(real_pread, nullptr) << "this SQLite reads otherwise";
  }

  static inline std::atomic<bool> hold = false;
  static inline Counter held;

  static void Release() {
    hold = false;
    hold.notify_all();
  }

 private:
  static ssize_t Pread(int file, void* bytes, size_t size, off_t offset) {
    if (hold) {
      held.Add();
      hold.wait(true);
    }
    return real_pread(file, bytes, size, offset);
  }

  static inline ssize_t (*real_pread)(int, void*, size_t, off_t) = nullptr;
};

// Counts its end.
class Ending {
 public:
  explicit Ending(Counter& ended) : ended_(ended) {}
  ~Ending() { ended_.Add(); }

 private:
  Counter& ended_;
};

// What is cut off at a shutdown may still be at work on a pool: here a result that is kept apart, and whose run has others to compare it with. All that it
// borrows is there until it is done.
TEST(WiringTest, TheRuntimeOutlivesWhatIsAtWorkOnThePools) {
  HttpServer endpoint([](const ServedRequest& request, HttpServer::Connection& c) {
    static std::atomic<int> seen = 0;
    if (absl::StrContains(request.body, "second") && ++seen == 1) return c.WaitForClose();
    if (seen > 0) SlowReads::hold = true;
    c.Answer(200, absl::StrCat(request.body, std::string(100'000, 'x')), "Content-Type: text/plain\r\n");
  });
  const TempDir dir;
  std::ofstream(dir.File("agentd.yaml")) << absl::StrCat(R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
tools: [{name: export, http_call: {url: ")",
                                                         endpoint.Url("/"), R"(", description: Exports everything., side_effect: READ_ONLY}}]
agents: [tester.yaml]
)");
  std::ofstream(dir.File("tester.yaml")) << "name: tester\nmodel: script\ntools: [export]\n";
  std::ofstream(dir.File("script.json")) << R"({"steps": [{"calls": [{"tool": "export", "arguments": {"page": "first"}}]},
                                                          {"calls": [{"tool": "export", "arguments": {"page": "second"}}]}]})";
  const auto loaded = LoadConfig(dir.File("agentd.yaml"), {.listen = "", .store = ""});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const ProcessOptions process{.outbound_requests = 64, .restored = false};
  std::optional<StartFailure> failure;
  {
    const auto wiring = Wiring::Build(*loaded, process, failure);
    ASSERT_NE(wiring, nullptr) << failure->message;
    CreateRequest request;
    request.run.set_agent("agents/tester");
    request.run.add_input()->set_text("go");
    boost::asio::co_spawn(wiring->pool(), wiring->runtime().CreateRun(std::move(request), Caller()), boost::asio::use_future).wait();
    ASSERT_TRUE(endpoint.AwaitRequests(2)) << "the first result is on disk";
    wiring->Drain(absl::ZeroDuration());
  }
  SlowReads::Install();
  auto wiring = Wiring::Build(*loaded, process, failure);
  ASSERT_NE(wiring, nullptr) << failure->message;
  Counter ended;
  wiring->runtime().SetServingListener([ending = std::make_unique<Ending>(ended)](bool) {});  // the runtime's own
  const bool held = SlowReads::held.Await(1);
  EXPECT_TRUE(held) << "the second result is not kept apart";
  wiring->Drain(absl::ZeroDuration());
  std::thread ending([&wiring] { wiring.reset(); });
  EXPECT_FALSE(ended.Await(1, absl::Milliseconds(500))) << "the runtime ends under what borrows from it";
  SlowReads::Release();
  ending.join();
  EXPECT_EQ(ended.value(), 1);
}

}  // namespace
}  // namespace agentruntime
