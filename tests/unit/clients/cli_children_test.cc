// Whoever looks at a parent learns that a run under it waits for a person.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cli/commands/children.h"
#include "clients/cli/run_view.h"

namespace agentruntime::cli {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

class ChildrenTest : public ::testing::Test {
 protected:
  // A run with a call under way whose step is `step`.
  v1::Run Busy(const std::string& name, const std::string& step) {
    steps_[name + "/steps/2"] = Parse<v1::Step>(step);
    return runs_[name] = Parse<v1::Run>("name: '" + name + R"(' state: RUN_STATE_RUNNING last_step: 2 activity { call_id: "2.1" })");
  }
  v1::Run Waiting(const std::string& name) {
    return runs_[name] = Parse<v1::Run>("name: '" + name + R"(' state: RUN_STATE_WAITING last_step: 1 waiting_calls { call_id: "1.1" })");
  }
  std::vector<std::string> Found(const v1::Run& run) {
    reads_ = 0;
    const RunReads reads = {.run = [this](const std::string& name) { return Read(runs_, name); },
                            .step = [this](const std::string& name) { return Read(steps_, name); }};
    std::vector<std::string> names;
    for (const v1::Run& child : ChildrenThatWait(reads, run)) names.push_back(child.name());
    return names;
  }

  std::map<std::string, v1::Run> runs_;
  std::map<std::string, v1::Step> steps_;
  int reads_ = 0;

 private:
  template <typename Value>
  absl::StatusOr<Value> Read(const std::map<std::string, Value>& values, const std::string& name) {
    ++reads_;
    const auto found = values.find(name);
    if (found == values.end()) return absl::NotFoundError(name);
    return found->second;
  }
};

TEST_F(ChildrenTest, OnesOfCallsUnderWayAndTheirsAreFound) {
  Waiting("runs/a");
  Waiting("runs/settled");
  Busy("runs/b", R"(tool_calls { child_run: "runs/c" })");
  Waiting("runs/c");
  const v1::Run parent = Busy("runs/p", R"(tool_calls { child_run: "runs/settled" outcome: CALL_OUTCOME_OK } tool_calls { child_run: "runs/a" }
      tool_calls { child_run: "runs/gone" } tool_calls {} tool_calls { child_run: "runs/b" })");
  EXPECT_EQ(Found(parent), (std::vector<std::string>{"runs/a", "runs/c"}));
}

TEST_F(ChildrenTest, NothingIsReadForARunWithoutACallUnderWay) {
  EXPECT_TRUE(Found(Waiting("runs/w")).empty());
  EXPECT_TRUE(Found(Parse<v1::Run>(R"(name: "runs/m" state: RUN_STATE_RUNNING last_step: 1 activity { detail: "asking the model" })")).empty());
  EXPECT_EQ(reads_, 0);
}

TEST_F(ChildrenTest, TheNumberOfReadsIsBounded) {
  std::string step;
  for (int i = 0; i < 64; ++i) {
    const std::string name = absl::StrCat("runs/", i);
    Waiting(name);
    absl::StrAppend(&step, "tool_calls { child_run: '", name, "' } ");
  }
  EXPECT_EQ(Found(Busy("runs/p", step)).size(), 16u);
  EXPECT_EQ(reads_, 17);
}

TEST_F(ChildrenTest, TheLineHasTheCommandThatSaysMore) {
  EXPECT_EQ(ChildWaitsText(Waiting("runs/01abc"), "agentctl --server 127.0.0.1:1"),
            "child run 01abc waits for a person: agentctl --server 127.0.0.1:1 show 01abc");
}

}  // namespace
}  // namespace agentruntime::cli
