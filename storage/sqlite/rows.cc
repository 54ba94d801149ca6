#include "storage/sqlite/rows.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/util/errors.h"
#include "proto/util/names.h"
#include "proto/util/serialize.h"
#include "proto/util/time.h"

namespace agentruntime::sqlite {
namespace {

using ::google::protobuf::internal::WireFormatLite;
using ::google::protobuf::io::CodedInputStream;

constexpr int kEnvelopeFieldMax = 5;  // fields 1-5 of Event are columns
constexpr int kAlwaysColumns = 9;     // run ... created_us
constexpr int kSometimesColumns = 3;  // conversation, base, base_sequence: summed up if any is there, which rows of older formats do not have
constexpr int kAcceptedCrc = kAlwaysColumns + kSometimesColumns;
constexpr int kStateFirst = kAcceptedCrc + 1;
constexpr int kStateCrc = kStateFirst + 19;
constexpr int kStateColumns = kStateCrc - kStateFirst;

// Where the envelope ends: protobuf writes fields in the order of their numbers, so the envelope comes first.
size_t BodyOffset(absl::string_view bytes) {
  CodedInputStream input(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  size_t offset = 0;
  for (;;) {
    const uint32_t tag = input.ReadTag();
    if (tag == 0 || WireFormatLite::GetTagFieldNumber(tag) > kEnvelopeFieldMax || !WireFormatLite::SkipField(&input, tag)) return offset;
    offset = static_cast<size_t>(input.CurrentPosition());
  }
}

Checksum EventChecksum(const RunId& run, int64_t sequence, int64_t time_us, int64_t active_us, int64_t step, int64_t epoch, absl::string_view body) {
  Checksum checksum;
  checksum.Add(run.bytes());
  for (const int64_t value : {sequence, time_us, active_us, step, epoch}) checksum.Add(value);
  checksum.Add(body);
  return checksum;
}

// Binds values and sums them up, so that the sum cannot miss one.
class SummingBinder {
 public:
  explicit SummingBinder(Statement& statement) : statement_(statement) {}

  void Integer(std::optional<int64_t> value) {
    value ? checksum_.Add(*value) : checksum_.AddNull();
    statement_.Bind(value);
  }
  void Text(absl::string_view text) {
    checksum_.Add(text);
    statement_.BindText(text);
  }
  void Blob(absl::string_view bytes) {
    checksum_.Add(bytes);
    statement_.BindBlob(bytes);
  }
  void Null() {
    checksum_.AddNull();
    statement_.BindNull();
  }
  // Not summed up.
  void OnlyNull() { statement_.BindNull(); }
  // Sums up what is in another column already.
  void Only(absl::string_view bytes) { checksum_.Add(bytes); }
  void Sum() { statement_.Bind(checksum_.value()); }

 private:
  Statement& statement_;
  Checksum checksum_;
};

void SumColumns(Checksum& checksum, Statement& statement, int first, int count) {
  for (int column = first; column < first + count; ++column) {
    switch (statement.Type(column)) {
      case SQLITE_INTEGER: checksum.Add(statement.Integer(column)); break;
      case SQLITE_NULL: checksum.AddNull(); break;
      default: checksum.Add(statement.Bytes(column));
    }
  }
}

std::optional<int64_t> Micros(const std::optional<absl::Time>& time) {
  if (!time) return std::nullopt;
  return absl::ToUnixMicros(*time);
}

std::optional<absl::Time> OptionalTime(Statement& statement, int column) {
  const std::optional<int64_t> micros = statement.OptionalInteger(column);
  if (!micros) return std::nullopt;
  return absl::FromUnixMicros(*micros);
}

std::string AgentNameOf(Statement& statement) {
  const absl::string_view agent = statement.Bytes(kAgentColumn);
  const auto revision = static_cast<int32_t>(statement.Integer(kRevisionColumn));
  return revision > 0 ? FormatRevisionName(agent, revision) : FormatAgentName(agent);
}

// The part of the projection that has columns of its own.
RunProjection ReadProjection(Statement& statement) {
  RunProjection projection;
  int column = kStateFirst;
  projection.state = ParseState(statement.Bytes(column));
  column += 2;  // the stop reason is in `detail` too
  projection.usage.set_steps(static_cast<int32_t>(statement.Integer(column++)));
  projection.usage.set_tool_calls(static_cast<int32_t>(statement.Integer(column++)));
  projection.usage.set_input_tokens(statement.Integer(column++));
  projection.usage.set_cached_input_tokens(statement.Integer(column++));
  projection.usage.set_output_tokens(statement.Integer(column++));
  if (const auto active = statement.OptionalInteger(column++)) *projection.usage.mutable_active_time() = ToProto(absl::Microseconds(*active));
  projection.start_time = OptionalTime(statement, column++);
  projection.update_time = absl::FromUnixMicros(statement.Integer(column++));
  projection.stop_time = OptionalTime(statement, column++);
  projection.last_sequence = statement.Integer(column++);
  projection.answer_sequence = statement.Integer(column++);
  projection.last_step = static_cast<int32_t>(statement.Integer(column++));
  projection.barren_starts = static_cast<int32_t>(statement.Integer(column++));
  projection.wake_time = OptionalTime(statement, column);
  return projection;
}

bool RunSumsFit(Statement& statement) {
  Checksum accepted;
  SumColumns(accepted, statement, 0, kAlwaysColumns);
  bool any = false;
  for (int column = kAlwaysColumns; column < kAcceptedCrc; ++column) any = any || statement.Type(column) != SQLITE_NULL;
  if (any) SumColumns(accepted, statement, kAlwaysColumns, kSometimesColumns);
  Checksum state;
  state.Add(statement.Bytes(kRunColumn));
  SumColumns(state, statement, kStateFirst, kStateColumns);
  return accepted.value() == statement.Integer(kAcceptedCrc) && state.value() == statement.Integer(kStateCrc);
}

}  // namespace

absl::string_view StateText(v1::RunState state) { return absl::StripPrefix(absl::string_view(v1::RunState_Name(state)), "RUN_STATE_"); }

absl::string_view StopReasonText(v1::StopReason reason) { return absl::StripPrefix(absl::string_view(v1::StopReason_Name(reason)), "STOP_REASON_"); }

EventRow MakeEventRow(const RunId& run, const v1::Event& event) {
  EventRow row;
  row.sequence = event.sequence();
  row.time_us = absl::ToUnixMicros(FromProto(event.time()));
  row.active_us = event.active_us();
  row.step = event.step();
  row.epoch = event.epoch();
  row.bytes = SerializeDeterministically(event);
  row.body_offset = BodyOffset(row.bytes);
  row.crc = EventChecksum(run, row.sequence, row.time_us, row.active_us, row.step, row.epoch, row.body()).value();
  return row;
}

StateRow MakeStateRow(RunProjection projection) {
  StateRow row;
  row.state = projection.state;
  v1::Run detail;
  if (projection.stop) {
    row.stop_reason = std::string(StopReasonText(projection.stop->reason()));
    *detail.mutable_stop() = *std::move(projection.stop);
    projection.stop.reset();
  }
  if (projection.activity) {
    *detail.mutable_activity() = *std::move(projection.activity);
    projection.activity.reset();
  }
  if (projection.usage.has_cost_micros()) detail.mutable_usage()->set_cost_micros(projection.usage.cost_micros());
  detail.set_priority(projection.priority);
  if (projection.not_before) *detail.mutable_not_before_time() = ToProto(*projection.not_before);
  if (projection.deadline) *detail.mutable_deadline() = ToProto(*projection.deadline);
  for (v1::WaitingCall& call : projection.waiting_calls) *detail.add_waiting_calls() = std::move(call);
  projection.waiting_calls.clear();
  if (projection.limits.ByteSizeLong() > 0) *detail.mutable_limits() = std::move(projection.limits);
  row.detail = SerializeDeterministically(detail);
  row.projection = std::move(projection);
  return row;
}

AcceptedRow MakeAcceptedRow(NewRun run) {
  AcceptedRow row;
  row.run = run.id;
  row.tenant = std::move(run.tenant);
  row.request_id = std::move(run.request_id);
  row.request_hash = std::move(run.request_hash);
  row.title = std::move(run.title);
  row.created_us = absl::ToUnixMicros(FromProto(run.created->time()));
  const bool forked = run.created->has_run_forked();
  const v1::RunCreated& created = run.created->run_created();
  if (const std::optional<AgentName> name = ParseAgentName(forked ? run.created->run_forked().agent() : created.agent())) {
    row.agent = name->agent;
    row.revision = name->revision;
  }
  v1::RunCreated labels;
  *labels.mutable_labels() = forked ? run.created->run_forked().labels() : created.labels();
  row.labels_blob = SerializeDeterministically(labels);
  row.labels.assign(labels.labels().begin(), labels.labels().end());
  std::sort(row.labels.begin(), row.labels.end());
  row.conversation = created.conversation();
  row.base = run.forked_from;
  row.conversation_seen = std::move(run.conversation_seen);
  return row;
}

void BindAccepted(Statement& statement, const AcceptedRow& row) {
  SummingBinder binder(statement);
  binder.Blob(row.run.bytes());
  binder.Text(row.tenant);
  binder.Text(row.request_id);
  binder.Blob(row.request_hash);
  binder.Text(row.agent);
  binder.Integer(row.revision);
  binder.Text(row.title);
  binder.Blob(row.labels_blob);
  binder.Integer(row.created_us);
  if (row.conversation.empty() && !row.base) {
    for (int column = 0; column < kSometimesColumns; ++column) binder.OnlyNull();
  } else {
    row.conversation.empty() ? binder.Null() : binder.Text(row.conversation);
    row.base ? binder.Blob(row.base->run.bytes()) : binder.Null();
    row.base ? binder.Integer(row.base->sequence) : binder.Null();
  }
  binder.Sum();
}

void BindState(Statement& statement, const RunId& run, const StateRow& row, Epoch epoch, int64_t journal_bytes, bool with_state) {
  const RunProjection& projection = row.projection;
  SummingBinder binder(statement);
  binder.Only(run.bytes());
  with_state ? binder.Text(StateText(row.state)) : binder.Only(StateText(row.state));
  row.stop_reason.empty() ? binder.Null() : binder.Text(row.stop_reason);
  binder.Integer(projection.usage.steps());
  binder.Integer(projection.usage.tool_calls());
  binder.Integer(projection.usage.input_tokens());
  binder.Integer(projection.usage.cached_input_tokens());
  binder.Integer(projection.usage.output_tokens());
  std::optional<int64_t> active_us;
  if (projection.usage.has_active_time()) active_us = absl::ToInt64Microseconds(FromProto(projection.usage.active_time()));
  binder.Integer(active_us);
  binder.Integer(Micros(projection.start_time));
  binder.Integer(absl::ToUnixMicros(projection.update_time));
  binder.Integer(Micros(projection.stop_time));
  binder.Integer(projection.last_sequence);
  binder.Integer(projection.answer_sequence);
  binder.Integer(projection.last_step);
  binder.Integer(projection.barren_starts);
  binder.Integer(Micros(projection.wake_time));
  binder.Integer(epoch);
  binder.Integer(journal_bytes);
  binder.Blob(row.detail);
  binder.Sum();
}

absl::StatusOr<RunRecord> ReadRun(Statement& statement) {
  const std::optional<RunId> run = RunId::FromBytes(statement.Bytes(kRunColumn));
  if (!run) return RunDamaged(RunId(), "its id is not 16 bytes long");
  if (!RunSumsFit(statement)) return RunDamaged(*run, "the checksum of its row does not fit");
  RunRecord record;
  record.id = *run;
  record.tenant = std::string(statement.Bytes(kTenantColumn));
  record.request_id = std::string(statement.Bytes(kRequestIdColumn));
  record.request_hash = std::string(statement.Bytes(kRequestHashColumn));
  record.agent = AgentNameOf(statement);
  record.title = std::string(statement.Bytes(6));
  record.create_time = absl::FromUnixMicros(statement.Integer(kCreatedColumn));
  record.conversation = std::string(statement.Bytes(kConversationColumn));
  if (const std::optional<RunId> base = RunId::FromBytes(statement.Bytes(kConversationColumn + 1))) {
    record.forked_from = ForkPoint{*base, statement.Integer(kConversationColumn + 2)};
  }
  record.projection = ReadProjection(statement);
  v1::RunCreated labels;
  v1::Run detail;
  const absl::string_view labels_blob = statement.Bytes(kLabelsColumn);
  const absl::string_view detail_blob = statement.Bytes(kStateCrc - 1);
  if (!labels.ParseFromArray(labels_blob.data(), static_cast<int>(labels_blob.size())) ||
      !detail.ParseFromArray(detail_blob.data(), static_cast<int>(detail_blob.size()))) {
    return RunDamaged(*run, "its row cannot be decoded");
  }
  record.labels.insert(labels.labels().begin(), labels.labels().end());
  if (detail.has_stop()) record.projection.stop = std::move(*detail.mutable_stop());
  if (detail.has_activity()) record.projection.activity = std::move(*detail.mutable_activity());
  if (detail.usage().has_cost_micros()) record.projection.usage.set_cost_micros(detail.usage().cost_micros());
  record.projection.priority = detail.priority();
  if (detail.has_not_before_time()) record.projection.not_before = FromProto(detail.not_before_time());
  if (detail.has_deadline()) record.projection.deadline = FromProto(detail.deadline());
  record.projection.waiting_calls.assign(detail.waiting_calls().begin(), detail.waiting_calls().end());
  record.projection.limits = std::move(*detail.mutable_limits());
  return record;
}

absl::StatusOr<EventPtr> ReadEvent(Statement& statement, const RunId& run) {
  const int64_t sequence = statement.Integer(0);
  const int64_t time_us = statement.Integer(1);
  const int64_t active_us = statement.Integer(2);
  const int64_t step = statement.Integer(3);
  const int64_t epoch = statement.Integer(4);
  const absl::string_view body = statement.Bytes(5);
  if (EventChecksum(run, sequence, time_us, active_us, step, epoch, body).value() != statement.Integer(6)) {
    return RunDamaged(run, absl::StrCat("the checksum of event ", sequence, " does not fit"));
  }
  auto event = std::make_shared<v1::Event>();
  if (!event->ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return RunDamaged(run, absl::StrCat("event ", sequence, " cannot be decoded"));
  }
  event->set_sequence(sequence);
  *event->mutable_time() = ToProto(absl::FromUnixMicros(time_us));
  event->set_active_us(active_us);
  event->set_step(static_cast<int32_t>(step));
  event->set_epoch(epoch);
  return EventPtr(std::move(event));
}

v1::RunState ParseState(absl::string_view text) {
  v1::RunState state = v1::RUN_STATE_UNSPECIFIED;
  v1::RunState_Parse(absl::StrCat("RUN_STATE_", text), &state);
  return state;
}

}  // namespace agentruntime::sqlite
