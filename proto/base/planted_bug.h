// Mistakes that a test build can make on purpose: each proves that a test would see it. Off in every build but those configured with
// AGENTRUNTIME_PLANTED_BUGS, and there off too unless the environment variable AGENTRUNTIME_BUG names one: see tests/planted.
#pragma once

namespace agentruntime {

enum class Bug {
  kPublishBeforeDurable,  // events go to watchers when they are recorded
  kCallBeforeDurable,     // an attempt leaves before its intent is durable
  kReplyBeforeDurable,    // a command is answered before its event is durable
  kForgetUnsafeIntent,    // after a crash an UNSAFE call that was started is started again
  kRepeatStep,            // after a crash the last journaled step is decided again
  kDropEvent,             // the store forgets an event of an append
  kRepeatEvent,           // a watcher that goes on sees its last event again
  kLoseStopReason,        // the columns of a stopped run do not say why
  kIgnoreFailedSync,      // the writer takes a failed sync for a success
  kSyncNormal,            // the store opens with synchronous=NORMAL: a commit is acknowledged before it is on disk
  kRetryFailedSync,       // the writer tries again after a failed sync, which then succeeds for what the kernel has dropped
  kUnboundedWatcher,      // what a watcher does not read is kept for ever
  kCommandBeforeStart,    // a command is taken before the session has said run_started
  kResendUnsafe,          // an UNSAFE call of http_call goes over a kept connection, on which the library sends it a second time by itself
  kForgetRequestId,       // the same request makes a second run
  kBookNothing,           // an attempt of the model without reported usage costs nothing
  kSkipApproval,          // a call that needs a person's word is made without it
  kForgetChildUsage,      // what a child run used costs its parent nothing
  kOrphanChildren,        // a parent stops without a word to its children
  kIgnoreRestored,        // a restored store's unfinished runs go on
  kUnpairedCall,          // the model reads a step without the result of its last call
};

#ifdef AGENTRUNTIME_PLANTED_BUGS
bool IsPlanted(Bug bug);
#else
constexpr bool IsPlanted(Bug) { return false; }
#endif

}  // namespace agentruntime
