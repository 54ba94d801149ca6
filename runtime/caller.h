// Who asks.
#pragma once

#include <string>

namespace agentruntime {

// Who calls. Until there are credentials everybody on loopback is "local".
struct Caller {
  std::string tenant;
  std::string principal = "local";
  std::string traceparent;
};

}  // namespace agentruntime
