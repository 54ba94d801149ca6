#include "proto/base/planted_bug.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace agentruntime {
namespace {

const std::map<std::string, Bug> kNames = {
    {"publish_before_durable", Bug::kPublishBeforeDurable},
    {"call_before_durable", Bug::kCallBeforeDurable},
    {"reply_before_durable", Bug::kReplyBeforeDurable},
    {"forget_unsafe_intent", Bug::kForgetUnsafeIntent},
    {"repeat_step", Bug::kRepeatStep},
    {"drop_event", Bug::kDropEvent},
    {"repeat_event", Bug::kRepeatEvent},
    {"lose_stop_reason", Bug::kLoseStopReason},
    {"ignore_failed_sync", Bug::kIgnoreFailedSync},
    {"sync_normal", Bug::kSyncNormal},
    {"retry_failed_sync", Bug::kRetryFailedSync},
    {"unbounded_watcher", Bug::kUnboundedWatcher},
    {"command_before_start", Bug::kCommandBeforeStart},
    {"resend_unsafe", Bug::kResendUnsafe},
    {"forget_request_id", Bug::kForgetRequestId},
    {"book_nothing", Bug::kBookNothing},
    {"skip_approval", Bug::kSkipApproval},
    {"forget_child_usage", Bug::kForgetChildUsage},
    {"orphan_children", Bug::kOrphanChildren},
    {"ignore_restored", Bug::kIgnoreRestored},
    {"unpaired_call", Bug::kUnpairedCall},
};

std::optional<Bug> Chosen() {
  const char* const name = std::getenv("AGENTRUNTIME_BUG");
  if (name == nullptr) return std::nullopt;
  const auto found = kNames.find(name);
  if (found != kNames.end()) return found->second;
  std::fprintf(stderr, "AGENTRUNTIME_BUG: there is no planted bug %s\n", name);
  std::abort();
}

}  // namespace

bool IsPlanted(Bug bug) {
  static const std::optional<Bug> chosen = Chosen();
  return chosen == bug;
}

}  // namespace agentruntime
