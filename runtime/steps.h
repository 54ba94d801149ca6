// Events folded to the steps that callers list.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agentruntime/v1/run.pb.h"
#include "storage/types.h"

namespace agentruntime {

// Takes the events of a run in order and gives each step when it is complete, or, by Finish, as far as it came.
//
// A step is at most kPageBytesMax, so that it fits into an answer: where its results take more they are cut, the largest first, and each cut text ends with
// the number of the event that holds it whole. Only a decision that is about as large as that by itself makes its step larger, to twice the decision and
// 64 short results at most.
class StepFolder {
 public:
  explicit StepFolder(RunId run) : run_(run) {}
  void Add(const v1::Event& event);
  // Steps that are complete: a later one has begun. Taken out.
  std::vector<v1::Step> TakeComplete();
  // The last step, if there is one. Nothing may be added afterwards.
  std::vector<v1::Step> Finish();

 private:
  void Close();
  // Position of a call in the open step.
  std::optional<int> Find(const std::string& call_id) const;

  const RunId run_;
  std::vector<v1::Step> complete_;
  std::vector<v1::Step> open_;         // none or one
  std::vector<Sequence> finished_;     // event of each result of the open step; 0: none yet
  google::protobuf::Timestamp asked_;  // when the model was first asked for the next step
  int64_t asked_sequence_ = 0;
};

}  // namespace agentruntime
