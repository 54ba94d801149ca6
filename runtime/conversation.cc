#include "runtime/conversation.h"

#include <algorithm>
#include <utility>

#include "proto/base/status.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/load.h"

namespace agentruntime {
namespace {

int64_t TextBytes(const google::protobuf::RepeatedPtrField<v1::Part>& parts) {
  int64_t bytes = 0;
  for (const v1::Part& part : parts) bytes += static_cast<int64_t>(part.ByteSizeLong());
  return bytes;
}

int64_t BytesOf(const v1::Run& run) { return TextBytes(run.input()) + TextBytes(run.answer()); }

// nullopt if it is not to be read any more: deleted since, or set aside.
absl::StatusOr<std::optional<v1::Run>> Read(Store& store, const RunId& id) {
  absl::StatusOr<v1::Run> run = LoadRun(store, id);
  if (absl::IsNotFound(run.status()) || absl::IsDataLoss(run.status())) return std::nullopt;
  RETURN_IF_ERROR(CloneStatus(run.status()));
  return *std::move(run);
}

// Also nullopt for a run of another conversation: an index that was damaged may lead there, and what that run says is not for this one.
absl::StatusOr<std::optional<v1::Run>> ReadOf(Store& store, const RunId& id, const std::string& tenant, const std::string& conversation) {
  const absl::StatusOr<RunRecord> record = store.GetRun(id);
  if (record.ok() && (record->tenant != tenant || record->conversation != conversation)) return std::nullopt;
  return Read(store, id);
}

void AddTurn(RunPlan& plan, v1::Run run) {
  plan.earlier_bytes += BytesOf(run);
  plan.earlier.emplace_back(UserMessage{std::make_shared<const Parts>(std::move(*run.mutable_input()))});
  if (run.answer().empty()) return;  // it stopped short of one
  auto answer = std::make_shared<v1::Decision>();
  *answer->mutable_content() = std::move(*run.mutable_answer());
  answer->set_finish_reason(v1::FINISH_REASON_ANSWER);
  plan.earlier.emplace_back(AssistantMessage{std::move(answer)});
}

}  // namespace

absl::StatusOr<EarlierRuns> FindEarlierRuns(Store& store, const std::string& tenant, const std::string& conversation) {
  EarlierRuns earlier;
  if (conversation.empty()) return earlier;
  ASSIGN_OR_RETURN(earlier.seen, store.Conversation(tenant, conversation, kConversationRunsMax));
  RunNames& names = earlier.names;
  int64_t bytes = 0;
  for (const RunId& id : earlier.seen) {
    ASSIGN_OR_RETURN(const std::optional<v1::Run> run, ReadOf(store, id, tenant, conversation));
    if (!run) continue;
    // Left out, it would be missing from what the new run reads, for good, if it stopped before the store is asked.
    if (run->state() != v1::RUN_STATE_STOPPED) {
      earlier.active = id;
      return earlier;
    }
    bytes += BytesOf(*run);
    if (!names.empty() && bytes > kConversationBytesMax) break;
    *names.Add() = run->name();
  }
  std::reverse(names.begin(), names.end());
  return earlier;
}

absl::StatusOr<std::shared_ptr<const RunPlan>> WithEarlierRuns(Store& store, std::shared_ptr<const RunPlan> plan, const RunNames& names) {
  if (names.empty()) return plan;
  auto extended = std::make_shared<RunPlan>(*plan);
  for (const std::string& name : names) {
    const std::optional<RunId> id = ParseRunName(name);
    if (!id) continue;
    ASSIGN_OR_RETURN(std::optional<v1::Run> run, Read(store, *id));
    if (run) AddTurn(*extended, *std::move(run));
  }
  return std::shared_ptr<const RunPlan>(std::move(extended));
}

absl::StatusOr<std::optional<RunId>> LaterRun(Store& store, const RunId& run) {
  ASSIGN_OR_RETURN(const RunRecord record, store.GetRun(run));
  if (record.conversation.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const std::vector<RunId> last, store.Conversation(record.tenant, record.conversation, 1));
  if (last.empty() || last.front() == run) return std::nullopt;
  return last.front();
}

}  // namespace agentruntime
