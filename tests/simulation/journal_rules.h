// The transition table of the journal (proto/agentruntime/v1/event.proto), written a second time and on purpose not with the product's fold: which event may
// follow a journal.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agentruntime/v1/event.pb.h"
#include "agentruntime/v1/run.pb.h"
#include "proto/base/id.h"

namespace agentruntime::simulation {

inline constexpr char kAskPerson[] = "ask_person";

class JournalRules {
 public:
  // Takes the next durable event in. "" if it may follow, else a sentence that says which rule it breaks. `agents` are all there are. `restored`: the epoch in
  // which the store was last restored; nullopt: that is not judged.
  std::string Add(const v1::Event& event, const std::vector<v1::Agent>& agents, std::optional<Epoch> restored);

  enum class Phase { kNone, kQueued, kLive, kStopped };
  struct Call {
    enum class At { kReady, kOpen, kUncertain, kWaiting, kAnswered, kSettled };  // kAnswered: call_finished is next
    At at = At::kReady;
    int32_t attempts = 0;
    int32_t ordinal = 0;  // of all calls of the run
    bool unsafe = true;
    bool may_repeat = true;         // UNSAFE: no attempt so far, or the last one failed for certain, or a person said so
    std::set<int32_t> asked_again;  // attempts after which a person said so
    std::string key;
    std::string tool;
    std::string arguments;                               // the model's, or those that a person gave instead
    bool given = false;                                  // a person did
    bool allowed = false;                                // by a person
    v1::WaitKind waits_for = v1::WAIT_KIND_UNSPECIFIED;  // of the last wait
    v1::CallAnswer::KindCase answer = v1::CallAnswer::KIND_NOT_SET;
    std::string end;                 // outcome and result, once it is settled
    std::optional<v1::Child> child;  // of its first attempt
  };

  Sequence last() const { return last_; }
  Phase phase() const { return phase_; }
  int32_t steps() const { return steps_; }
  bool cancelling() const { return cancelling_; }
  bool is_child() const { return is_child_; }
  const v1::Limits& limits() const { return limits_; }
  bool model_open() const { return model_open_; }
  int32_t model_attempts() const { return model_attempts_; }
  Sequence model_sequence() const { return model_sequence_; }
  const std::string& model() const { return model_; }  // of the last attempt
  int32_t tool_calls() const { return tool_calls_; }
  int64_t tokens() const { return tokens_; }
  int64_t reserved() const { return reserved_; }         // by the open attempt of the model
  std::optional<int64_t> cost() const { return cost_; }  // nullopt: nothing is known of it
  std::optional<int64_t> reserved_cost() const { return reserved_cost_; }
  const v1::Stop& stop() const { return stop_; }
  // A call of it is started once a person allowed it.
  bool needs_word(const std::string& tool) const { return approve_.contains(tool) && tool != kAskPerson; }
  // Of the last step; null if there is none.
  const Call* FindCall(const std::string& call_id) const;
  // A person asked for attempt `attempt` of a call of the last step.
  bool asked_again(const std::string& call_id, int32_t attempt) const;
  int64_t events(v1::Event::KindCase kind) const;

 private:
  std::string Envelope(const v1::Event& event);
  std::string Created(const v1::Event& event);
  std::string Forked(const v1::Event& event);
  std::string Started(const v1::Event& event);
  std::string ModelCalled(const v1::Event& event);
  std::string Book(const v1::Usage& usage);
  std::string ModelFailed(const v1::ModelFailed& failed);
  std::string Decided(const v1::Event& event);
  std::string CallStarted(const v1::Event& event);
  std::string Child(Call& call, const v1::Event& event);
  int64_t GrantedTokens() const;
  int64_t GrantedCost() const;
  bool AwaitsChildren() const;
  std::string CallFailed(const v1::CallFailed& failed);
  std::string CallWaiting(const v1::CallWaiting& waiting);
  std::string Waits(const v1::CallWaiting& waiting, const Call& call) const;
  std::string Settles(v1::CallOutcome outcome, const Call& call) const;
  void SetAgent(const std::string& name, const std::vector<v1::Agent>& agents);
  void CountRepeats();
  std::string CallResolved(const v1::CallResolved& resolved);
  std::string CallFinished(const v1::CallFinished& finished);
  std::string Compacted(const v1::ContextCompacted& compacted);
  std::string InputReceived();
  std::string CancelRequested();
  std::string Once(const v1::Event& event);
  absl::string_view ErrorOfDecision() const;
  std::string Stopped(const v1::Event& event);
  std::string Resumed(const v1::RunResumed& resumed);
  std::string Kind(const v1::Event& event);
  std::string Restored(const v1::Event& event, Epoch restored) const;
  bool AllSettled() const;
  bool AnyAnswered() const;

  Sequence last_ = 0;
  Epoch epoch_ = 0;
  Epoch started_epoch_ = 0;  // of the last run_started
  absl::Time time_ = absl::InfinitePast();
  int64_t active_us_ = 0;
  Phase phase_ = Phase::kNone;
  v1::Limits limits_;
  absl::Time not_before_ = absl::InfinitePast();
  absl::Time deadline_ = absl::InfiniteFuture();
  bool side_effects_ = true;  // calls may have some
  v1::Stop stop_;
  int32_t steps_ = 0;
  int32_t tool_calls_ = 0;
  int64_t tokens_ = 0;
  int64_t reserved_ = 0;
  std::optional<int64_t> cost_;
  std::optional<int64_t> reserved_cost_;
  bool model_open_ = false;
  int32_t model_attempts_ = 0;
  Sequence model_sequence_ = 0;
  std::string model_;
  bool model_gave_up_ = false;
  bool refused_ = false;      // for good, because the context was too long
  bool summarizing_ = false;  // the last attempt is of a summary
  std::set<Sequence> step_ends_;
  Sequence cleared_ = 0;
  Sequence summarized_ = 0;
  bool grace_open_ = false;  // the last attempt is of a grace step
  int32_t grace_step_ = 0;   // of this leg
  bool answered_ = false;    // the last decision has no calls
  v1::FinishReason finish_reason_ = v1::FINISH_REASON_UNSPECIFIED;
  bool cancelling_ = false;
  std::set<std::string> approve_;  // tools of which each call needs a person's word
  std::string last_calls_;         // of the last step and what became of them; empty: nothing to compare with
  int32_t repeats_ = 0;
  bool told_ = false;  // something, since the last decision: with the next one the count begins anew
  bool is_child_ = false;
  bool held_ = false;                  // taken up out of a restored store
  std::map<std::string, Call> calls_;  // of the last step
  std::set<std::string> requests_;     // of commands that took effect
  std::map<int, int64_t> counts_;
};

}  // namespace agentruntime::simulation
