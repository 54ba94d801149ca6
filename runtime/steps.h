// Events folded to the steps that callers list.
#pragma once

#include <vector>

#include "agentruntime/v1/run.pb.h"
#include "storage/types.h"

namespace agentruntime {

// Takes the events of a run in order and gives each step when it is complete, or, by Finish, as far as it came.
class StepFolder {
 public:
  explicit StepFolder(RunId run) : run_(run) {}
  void Add(const v1::Event& event);
  // Steps that are complete: a later one has begun. Taken out.
  std::vector<v1::Step> TakeComplete();
  // The last step, if there is one. Nothing may be added afterwards.
  std::vector<v1::Step> Finish();

 private:
  v1::ToolCallRecord* Find(const std::string& call_id);

  const RunId run_;
  std::vector<v1::Step> complete_;
  std::vector<v1::Step> open_;         // none or one
  google::protobuf::Timestamp asked_;  // when the model was first asked for the next step
  int64_t asked_sequence_ = 0;
};

}  // namespace agentruntime
