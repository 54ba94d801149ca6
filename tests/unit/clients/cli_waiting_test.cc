// Whoever answers a call sees all that it is made with, not the beginning that the run itself has.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "clients/cli/commands/waiting.h"

namespace agentruntime::cli {
namespace {

const std::string kLong(3'000, 'x');

v1::ToolCallRecord& Add(v1::Step& step, const std::string& id, const std::string& tool, const std::string& arguments) {
  v1::ToolCallRecord& record = *step.add_tool_calls();
  record.mutable_call()->set_call_id(id);
  record.mutable_call()->set_tool(tool);
  record.mutable_call()->set_arguments(arguments);
  return record;
}

void Wait(v1::Run& run, const std::string& id, v1::WaitKind kind) {
  v1::WaitingCall& waiting = *run.add_waiting_calls();
  waiting.set_call_id(id);
  waiting.set_kind(kind);
  waiting.set_text("the beginning ...");
}

v1::Run Asking() {
  v1::Run run;
  run.set_name("runs/x");
  run.set_last_step(3);
  return run;
}

RunReads Reading(const absl::StatusOr<v1::Step>& step, int& reads) {
  return {.run = nullptr, .step = [&step, &reads](const std::string& name) {
            EXPECT_EQ(name, "runs/x/steps/3");
            ++reads;
            return step;
          }};
}

TEST(WaitingTest, EachKindHasItsArgumentsWhole) {
  v1::Step step;
  Add(step, "3.1", "clock", "{}");
  Add(step, "3.2", "charge", absl::StrCat(R"({"note":")", kLong, R"(","cents":1})"));
  Add(step, "3.3", "ask", absl::StrCat(R"({"question":")", kLong, R"( or\nnot?"})"));
  Add(step, "3.4", "charge", R"({"cents":2})").set_attempts(2);
  v1::Run run = Asking();
  Wait(run, "3.2", v1::WAIT_KIND_APPROVAL);
  Wait(run, "3.3", v1::WAIT_KIND_QUESTION);
  Wait(run, "3.4", v1::WAIT_KIND_UNCERTAIN);
  int reads = 0;
  const v1::Run whole = WithWholeTexts(Reading(step, reads), run);
  EXPECT_EQ(whole.waiting_calls(0).text(), absl::StrCat(R"(may this call be made? charge {"note":")", kLong, R"(","cents":1})"));
  EXPECT_EQ(whole.waiting_calls(1).text(), absl::StrCat(kLong, " or\nnot?"));
  EXPECT_EQ(whole.waiting_calls(2).text(),
            R"(did this call take effect? Its attempt 2 was started, nobody knows how it ended, and it may still be at work: charge {"cents":2})");
  EXPECT_EQ(reads, 1);
}

TEST(WaitingTest, AStepThatCannotBeReadIsSaid) {
  v1::Run run = Asking();
  Wait(run, "3.2", v1::WAIT_KIND_APPROVAL);
  int reads = 0;
  EXPECT_EQ(WithWholeTexts(Reading(absl::UnavailableError("gone"), reads), run).waiting_calls(0).text(),
            "the beginning ... (this may not be all, its step cannot be read: gone)");
  EXPECT_EQ(WithWholeTexts(Reading(v1::Step(), reads), run).waiting_calls(0).text(), "the beginning ... (this may not be all, its step does not have it)");
}

TEST(WaitingTest, NothingIsReadWhereNoCallWaits) {
  int reads = 0;
  WithWholeTexts(Reading(v1::Step(), reads), Asking());
  EXPECT_EQ(reads, 0);
}

TEST(WaitingTest, OnlyAQuestionIsAnswered) {
  v1::Run run = Asking();
  Wait(run, "3.2", v1::WAIT_KIND_APPROVAL);
  Wait(run, "3.3", v1::WAIT_KIND_QUESTION);
  Wait(run, "3.4", v1::WAIT_KIND_UNCERTAIN);
  EXPECT_EQ(WhyNoAnswer(run, "3.2", "agentctl"),
            "call 3.2 asks no question, it waits for approval; an answer would be its result, and the call would not be made\n"
            "  agentctl approve x 3.2 [--arguments JSON]\n"
            "  agentctl deny x 3.2 [--reason WHY]\n"
            "  agentctl resolve x 3.2 --result TEXT   to give its result without making it");
  EXPECT_EQ(WhyNoAnswer(run, "3.4", "agentctl"),
            "call 3.4 asks no question, it was started and nobody knows whether it took effect\n"
            "  agentctl resolve x 3.4  --run-again, or --result TEXT, or --give-up [--reason WHY]");
  EXPECT_EQ(WhyNoAnswer(run, "3.3", "agentctl"), "");
  EXPECT_EQ(WhyNoAnswer(run, "3.1", "agentctl"), "");
}

}  // namespace
}  // namespace agentruntime::cli
