#include "tests/conformance/store_calls.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/status.h"
#include "proto/util/names.h"
#include "proto/util/time.h"

namespace agentruntime {
namespace {

std::string TimeText(const std::optional<absl::Time>& time) { return time ? absl::StrCat(absl::ToUnixMicros(*time)) : "none"; }

}  // namespace

RunId TestRunId(int number) { return RunId::New(TestTime(number * 0.001), 7, static_cast<uint64_t>(number)); }

absl::Time TestTime(double seconds) { return absl::FromUnixSeconds(1'700'000'000) + absl::Seconds(seconds); }

EventPtr TestEvent(Sequence sequence, Epoch epoch, int bytes) {
  auto event = std::make_shared<v1::Event>();
  event->set_sequence(sequence);
  *event->mutable_time() = ToProto(TestTime(static_cast<double>(sequence)));
  event->set_active_us(sequence * 1000);
  event->set_step(static_cast<int32_t>(sequence / 3));
  event->set_epoch(epoch);
  v1::Decision& decision = *event->mutable_decision_made()->mutable_decision();
  decision.set_finish_reason(v1::FINISH_REASON_ANSWER);
  decision.add_content()->set_text(std::string(static_cast<size_t>(bytes), static_cast<char>('a' + sequence % 26)));
  return event;
}

NewRun TestRun(const RunId& id, const RunOptions& options) {
  auto created = std::make_shared<v1::Event>();
  created->set_sequence(1);
  *created->mutable_time() = ToProto(TestTime(options.created));
  created->mutable_run_created()->set_agent(options.agent);
  created->mutable_run_created()->set_conversation(options.conversation);
  created->mutable_run_created()->add_input()->set_text("What is the rate limit?");
  created->mutable_run_created()->mutable_labels()->insert(options.labels.begin(), options.labels.end());
  NewRun run;
  run.id = id;
  run.tenant = options.tenant;
  run.request_id = options.request_id;
  run.request_hash = options.request_hash;
  run.title = "What is the rate limit?";
  run.created = std::move(created);
  run.projection.state = v1::RUN_STATE_QUEUED;
  run.projection.last_sequence = 1;
  run.projection.update_time = TestTime(options.created);
  return run;
}

NewRun TestFork(const RunId& id, const RunId& base, Sequence sequence, Epoch epoch, const RunOptions& options) {
  NewRun run = TestRun(id, options);
  auto forked = std::make_shared<v1::Event>();
  forked->set_sequence(sequence + 1);
  *forked->mutable_time() = ToProto(TestTime(options.created));
  forked->set_epoch(epoch);
  forked->mutable_run_forked()->mutable_source()->set_run(RunName(base));
  forked->mutable_run_forked()->mutable_source()->set_sequence(sequence);
  forked->mutable_run_forked()->set_agent(options.agent);
  forked->mutable_run_forked()->mutable_labels()->insert(options.labels.begin(), options.labels.end());
  run.created = std::move(forked);
  run.projection.last_sequence = sequence + 1;
  run.forked_from = ForkPoint{base, sequence};
  return run;
}

RunProjection TestProjection(Sequence last, v1::RunState state) {
  RunProjection projection;
  projection.state = state;
  projection.usage.set_steps(3);
  projection.usage.set_tool_calls(4);
  projection.usage.set_input_tokens(5'000'000'000);
  projection.usage.set_cached_input_tokens(6);
  projection.usage.set_output_tokens(7);
  projection.usage.set_cost_micros(8);
  *projection.usage.mutable_active_time() = ToProto(absl::Microseconds(1'234'567));
  projection.limits.set_max_steps(12);
  *projection.limits.mutable_timeout() = ToProto(absl::Milliseconds(1'500));
  projection.activity.emplace().set_detail("model gpt, attempt 3 of 5, after HTTP 429");
  projection.activity->set_attempt(3);
  projection.last_sequence = last;
  projection.answer_sequence = 2;
  projection.last_step = 8;
  projection.barren_starts = 9;
  projection.priority = -3;
  projection.not_before = TestTime(14);
  projection.update_time = TestTime(10);
  projection.start_time = TestTime(11);
  projection.wake_time = TestTime(12);
  return projection;
}

RunProjection StoppedProjection(Sequence last, v1::StopReason reason) {
  RunProjection projection = TestProjection(last, v1::RUN_STATE_STOPPED);
  projection.activity.reset();
  projection.wake_time.reset();
  projection.stop_time = TestTime(13);
  projection.stop.emplace().set_reason(reason);
  projection.stop->set_detail("because");
  projection.stop->mutable_limit()->set_limit("max_steps");
  return projection;
}

AppendRequest TestAppend(const RunId& run, Epoch epoch, Sequence after, int count, std::optional<RunProjection> projection) {
  AppendRequest request;
  request.run = run;
  request.epoch = epoch;
  request.expected_last_sequence = after;
  for (int i = 1; i <= count; ++i) request.events.push_back(TestEvent(after + i, epoch));
  request.projection = projection ? *std::move(projection) : TestProjection(after + count);
  return request;
}

StagedArtifact TestArtifact(int32_t number, int64_t bytes, const std::string& hash, const std::string& media_type) {
  std::string content(static_cast<size_t>(bytes), ' ');
  uint64_t value = static_cast<uint64_t>(number) * 7919 + hash.size();
  for (char& c : content) {
    value = value * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    c = static_cast<char>('a' + (value >> 33) % 26);
  }
  return {number, media_type, hash, std::make_shared<const std::string>(std::move(content))};
}

CreateOutcome CreateNow(Store& store, NewRun run) {
  Awaited<CreateOutcome> outcome;
  store.Create(std::move(run), [&](CreateOutcome value) { outcome.Set(value); });
  return outcome.Wait();
}

AppendResult AppendNow(Store& store, AppendRequest request) {
  Awaited<AppendResult> result;
  store.Append(std::move(request), [&](AppendResult value) { result.Set(value); });
  return result.Wait();
}

absl::Status DeleteNow(Store& store, const RunId& run) {
  Awaited<absl::Status> status;
  store.Delete(run, [&](absl::Status value) { status.Set(std::move(value)); });
  return status.Wait();
}

std::vector<Sequence> Sequences(const std::vector<EventPtr>& events) {
  std::vector<Sequence> sequences;
  for (const EventPtr& event : events) sequences.push_back(event->sequence());
  return sequences;
}

absl::StatusOr<std::vector<EventPtr>> ReadAll(Store& store, const RunId& run) {
  std::vector<EventPtr> events;
  for (;;) {
    const Sequence after = events.empty() ? 0 : events.back()->sequence();
    ASSIGN_OR_RETURN(std::vector<EventPtr> page, store.ReadEvents(run, after, ReadLimit()));
    if (page.empty()) return events;
    events.insert(events.end(), page.begin(), page.end());
  }
}

std::string ToText(const RunProjection& projection) {
  return absl::StrCat("state ", v1::RunState_Name(projection.state), "\nstop ", projection.stop ? projection.stop->ShortDebugString() : "none", "\nusage ",
                      projection.usage.ShortDebugString(), "\nlimits ", projection.limits.ShortDebugString(), "\nactivity ",
                      projection.activity ? projection.activity->ShortDebugString() : "none", "\nlast ", projection.last_sequence, " answer ",
                      projection.answer_sequence, " step ", projection.last_step, " barren ", projection.barren_starts, "\nupdate ",
                      TimeText(projection.update_time), " start ", TimeText(projection.start_time), " stop ", TimeText(projection.stop_time), " wake ",
                      TimeText(projection.wake_time), " priority ", projection.priority, " not before ", TimeText(projection.not_before));
}

std::string ToText(const RunRecord& record) {
  std::string text = absl::StrCat(record.id.ToString(), " tenant \"", record.tenant, "\" agent ", record.agent, " title ", record.title, " created ",
                                  TimeText(record.create_time), " conversation \"", record.conversation, "\" fork of ",
                                  record.forked_from ? absl::StrCat(record.forked_from->run.ToString(), " behind ", record.forked_from->sequence) : "none",
                                  "\n", ToText(record.projection));
  for (const auto& [key, value] : record.labels) absl::StrAppend(&text, "\n", key, "=", value);
  return text;
}

}  // namespace agentruntime
