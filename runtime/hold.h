// What somebody has of something bounded, such as a place among the requests under way.
#pragma once

namespace agentruntime {

// Given back when it is destroyed: by whatever thread, also after whoever gave it has gone.
class Hold {
 public:
  virtual ~Hold() = default;
};

}  // namespace agentruntime
