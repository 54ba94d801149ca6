// The journal of a run as a story for people: which rows to print, and what is under way. Knows no terminal.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agentruntime/v1/run_service.pb.h"
#include "clients/cli/row.h"

namespace agentruntime::cli {

// What is under way: an attempt of the model or of a call.
struct OpenWork {
  int step = 0;
  std::string verb;
  std::string what;
  std::string detail;  // progress, or why it waits
  absl::Time since;    // on our clock
  int order = 0;       // of its beginning
};

// Fed with what Watch delivers. Every text that it gives out is printable.
class RunView {
 public:
  // Rows that are new, to be printed once and for ever. `now` is our clock.
  std::vector<Row> Take(const v1::Event& event, absl::Time now);
  void Take(const v1::Delta& delta);

  // In the order in which it began.
  std::vector<OpenWork> open() const;
  // What the model has written so far in its open attempt.
  const std::string& streamed_text() const { return text_; }
  // The answer, or what there is of it: the content of the last decision, unless the stop brought another.
  std::string answer() const;

 private:
  Row TakeDecision(const v1::Event& event);
  std::string TakeAnswer(const v1::CallResolved& resolved);
  Row TakeCallEnd(const v1::Event& event);
  void TakeCallStart(const v1::Event& event, absl::Time now);
  OpenWork& Open(const std::string& call_id, OpenWork work);
  void CloseAll();

  std::map<std::string, OpenWork> open_;           // by call id; the model's is empty
  std::map<std::string, std::string> call_texts_;  // of the calls of the last decision
  std::map<std::string, absl::Time> call_starts_;  // on the server's clock
  int opened_ = 0;
  absl::Time model_start_;
  std::string text_;
  google::protobuf::RepeatedPtrField<v1::Part> answer_;
};

// What a limit, an error or a person did, in a sentence: `stop.detail`, or what stands for it.
std::string StopText(const v1::Stop& stop);
// `2 steps, 1 tool call, 11 ms, 9 events`
std::string UsageText(const v1::Run& run);
// A command of `program` (program.h) that goes on where the run stopped; empty if it cannot.
std::string HowToResume(const v1::Run& run, absl::string_view program);
// Commands that answer `call`, of `run`, as its kind wants: lines, indented.
std::vector<std::string> AnswerCommands(const v1::Run& run, const v1::WaitingCall& call, absl::string_view program);
// Each call that waits for a person, until when, its text, never cut, and a command that answers it: lines. `run` with its deadline: GetRun has it, the
// snapshots of a watch do not. With whole texts: commands/waiting.h.
std::vector<std::string> HowToAnswer(const v1::Run& run, absl::string_view program);
// `child run X waits for a person: agentctl show X`
std::string ChildWaitsText(const v1::Run& child, absl::string_view program);
// What a run waits for that it cannot hurry, in a few words: `a person: approval of 1.1 refund`, `not before 2026-03-01 09:14:45`; empty if for nothing such.
std::string WaitsText(const v1::Run& run);
// `runs/{run}` without `runs/`; as it is if it has another form.
std::string BareRun(absl::string_view name);

}  // namespace agentruntime::cli
