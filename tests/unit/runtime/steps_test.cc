#include "runtime/steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::Time At(int64_t second) { return absl::FromUnixSeconds(1'700'000'000 + second); }

// Events of one run, a second apart, whose numbers follow each other.
class StepFolderTest : public testing::Test {
 protected:
  v1::Event Next(int32_t step) {
    v1::Event event;
    event.set_sequence(++last_);
    event.set_step(step);
    *event.mutable_time() = ToProto(At(last_));
    return event;
  }
  void Ask(int32_t step) {
    v1::Event event = Next(step);
    event.mutable_model_called();
    folder_.Add(event);
  }
  void Decide(int32_t step, int calls, int64_t argument_bytes = 0) {
    v1::Event event = Next(step);
    v1::Decision& decision = *event.mutable_decision_made()->mutable_decision();
    for (int i = 1; i <= calls; ++i) {
      v1::ToolCall& call = *decision.add_tool_calls();
      call.set_call_id(absl::StrCat(step, ".", i));
      call.set_arguments(std::string(static_cast<size_t>(argument_bytes), 'a'));
    }
    folder_.Add(event);
  }
  void Start(const std::string& call, int32_t attempt) {
    v1::Event event = Next(0);
    event.mutable_call_started()->set_call_id(call);
    event.mutable_call_started()->set_attempt(attempt);
    folder_.Add(event);
  }
  void Fail(const std::string& call) {
    v1::Event event = Next(0);
    event.mutable_call_failed()->set_call_id(call);
    folder_.Add(event);
  }
  Sequence Finish(const std::string& call, const std::vector<v1::Part>& result) {
    v1::Event event = Next(0);
    event.mutable_call_finished()->set_call_id(call);
    event.mutable_call_finished()->set_outcome(v1::CALL_OUTCOME_OK);
    for (const v1::Part& part : result) *event.mutable_call_finished()->add_result() = part;
    folder_.Add(event);
    return last_;
  }
  static v1::Part Text(std::string text) {
    v1::Part part;
    part.set_text(std::move(text));
    return part;
  }
  static v1::Part Text(int64_t bytes) { return Text(std::string(static_cast<size_t>(bytes), 'x')); }

  const RunId run_ = RunId::New(At(0), 1, 2);
  StepFolder folder_{run_};
  Sequence last_ = 0;
};

TEST_F(StepFolderTest, StepsComeInOrderWhenALaterOneHasBegun) {
  Ask(1);
  Decide(1, 1);
  EXPECT_THAT(folder_.TakeComplete(), IsEmpty());
  Start("1.1", 1);
  Finish("1.1", {Text("one")});
  EXPECT_THAT(folder_.TakeComplete(), IsEmpty());
  Ask(2);
  Decide(2, 0);
  const auto complete = folder_.TakeComplete();
  ASSERT_THAT(complete, SizeIs(1));
  EXPECT_EQ(complete[0].number(), 1);
  EXPECT_EQ(complete[0].name(), absl::StrCat("runs/", run_.ToString(), "/steps/1"));
  EXPECT_EQ(complete[0].first_sequence(), 1);
  EXPECT_EQ(complete[0].last_sequence(), 4);
  EXPECT_EQ(FromProto(complete[0].start_time()), At(1));
  EXPECT_EQ(FromProto(complete[0].end_time()), At(4));
  EXPECT_EQ(complete[0].tool_calls(0).result(0).text(), "one");
  const auto last = folder_.Finish();
  ASSERT_THAT(last, SizeIs(1));
  EXPECT_EQ(last[0].number(), 2);
  EXPECT_EQ(FromProto(last[0].end_time()), At(6));
  EXPECT_THAT(folder_.TakeComplete(), IsEmpty());
}

TEST_F(StepFolderTest, AStepBeginsWhenTheModelWasFirstAsked) {
  Ask(1);
  v1::Event failed = Next(1);
  failed.mutable_model_failed();
  folder_.Add(failed);
  Ask(1);
  Decide(1, 0);
  const auto steps = folder_.Finish();
  EXPECT_EQ(steps[0].first_sequence(), 1);
  EXPECT_EQ(FromProto(steps[0].start_time()), At(1));
}

TEST_F(StepFolderTest, ACallCountsItsAttemptsAndLastsFromTheFirst) {
  Ask(1);
  Decide(1, 1);
  Start("1.1", 1);
  Fail("1.1");
  Start("1.1", 2);
  Finish("1.1", {Text("late")});
  const auto steps = folder_.Finish();
  const v1::ToolCallRecord& record = steps[0].tool_calls(0);
  EXPECT_EQ(record.attempts(), 2);
  EXPECT_EQ(record.outcome(), v1::CALL_OUTCOME_OK);
  EXPECT_EQ(FromProto(record.start_time()), At(3));
  EXPECT_EQ(FromProto(record.duration()), absl::Seconds(3));
}

TEST_F(StepFolderTest, AnOpenStepIsShownAsFarAsItCame) {
  Ask(1);
  Decide(1, 2);
  Start("1.1", 1);
  Start("1.2", 1);
  Finish("1.2", {Text("two")});
  const auto steps = folder_.Finish();
  ASSERT_THAT(steps, SizeIs(1));
  EXPECT_FALSE(steps[0].has_end_time());
  EXPECT_EQ(steps[0].last_sequence(), 5);
  EXPECT_EQ(steps[0].tool_calls(0).outcome(), v1::CALL_OUTCOME_UNSPECIFIED);
  EXPECT_EQ(steps[0].tool_calls(1).outcome(), v1::CALL_OUTCOME_OK);
}

TEST_F(StepFolderTest, AModelThatWasOnlyAskedIsNoStep) {
  Ask(1);
  EXPECT_THAT(folder_.Finish(), IsEmpty());
}

TEST_F(StepFolderTest, TheLargestResultsAreCutToWhatFits) {
  Ask(1);
  Decide(1, kCallsPerDecisionMax);
  std::vector<Sequence> finished;
  for (int i = 1; i <= kCallsPerDecisionMax; ++i) finished.push_back(Finish(absl::StrCat("1.", i), {Text(i <= 4 ? 1000 : kResultBytesMax)}));
  const auto steps = folder_.Finish();
  ASSERT_THAT(steps, SizeIs(1));
  EXPECT_LE(steps[0].ByteSizeLong(), static_cast<size_t>(kPageBytesMax));
  EXPECT_GT(steps[0].ByteSizeLong(), static_cast<size_t>(kPageBytesMax * 9 / 10));  // the room is used
  for (int i = 0; i < kCallsPerDecisionMax; ++i) {
    const v1::ToolCallRecord& record = steps[0].tool_calls(i);
    ASSERT_EQ(record.result_size(), 1);
    if (i < 4) {
      EXPECT_EQ(record.result(0).text(), std::string(1000, 'x'));
    } else {
      EXPECT_THAT(record.result(0).text(),
                  EndsWith(absl::StrCat("x\n[cut: ", kResultBytesMax, " bytes; ListEvents has all of them in event ", finished[static_cast<size_t>(i)], "]")));
    }
  }
}

TEST_F(StepFolderTest, ACutResultKeepsItsFirstPartsAndWholeCharacters) {
  Ask(1);
  Decide(1, 30);
  std::string umlauts;
  for (int i = 0; i < 30'000; ++i) umlauts += "\xc3\xa4";
  v1::Part json;
  json.set_json(absl::StrCat("\"", std::string(50'000, 'j'), "\""));
  Finish("1.1", {Text("first"), Text(umlauts)});
  Finish("1.2", {json});
  for (int i = 3; i <= 30; ++i) Finish(absl::StrCat("1.", i), {Text(60'000)});
  const auto steps = folder_.Finish();
  const v1::ToolCallRecord& record = steps[0].tool_calls(0);
  ASSERT_EQ(record.result_size(), 2);
  EXPECT_EQ(record.result(0).text(), "first");
  const std::string& text = record.result(1).text();
  EXPECT_EQ(text.find("\n[cut: 60005 bytes") % 2, 0u) << text.substr(text.size() - 100);
  EXPECT_EQ(steps[0].tool_calls(1).result(0).kind_case(), v1::Part::kText);  // half a JSON value is none
}

TEST_F(StepFolderTest, ACutArtifactKeepsItsName) {
  Ask(1);
  Decide(1, kCallsPerDecisionMax);
  v1::Part part;
  part.mutable_artifact()->set_name("runs/r/artifacts/1");
  part.mutable_artifact()->set_excerpt(std::string(kResultBytesMax / 2, 'x'));
  for (int i = 1; i <= kCallsPerDecisionMax; ++i) Finish(absl::StrCat("1.", i), {part, part});
  const auto steps = folder_.Finish();
  EXPECT_LE(steps[0].ByteSizeLong(), static_cast<size_t>(kPageBytesMax + kCallsPerDecisionMax * 64));
  const v1::ToolCallRecord& record = steps[0].tool_calls(7);
  ASSERT_EQ(record.result_size(), 2);
  EXPECT_EQ(record.result(1).artifact().name(), "runs/r/artifacts/1");
  EXPECT_LT(record.result(1).artifact().excerpt().size(), static_cast<size_t>(kResultBytesMax / 2));
}

TEST_F(StepFolderTest, ShortResultsOfALargeDecisionStayWhole) {
  Ask(1);
  Decide(1, 4, kArgumentsBytesMax - 1000);
  for (int i = 1; i <= 4; ++i) Finish(absl::StrCat("1.", i), {Text(i == 1 ? kResultBytesMax : 100)});
  const auto steps = folder_.Finish();
  EXPECT_LE(steps[0].ByteSizeLong(), static_cast<size_t>(kResponseBytesMax));
  EXPECT_LT(steps[0].tool_calls(0).result(0).text().size(), 300u);
  EXPECT_EQ(steps[0].tool_calls(1).result(0).text(), std::string(100, 'x'));
}

}  // namespace
}  // namespace agentruntime
