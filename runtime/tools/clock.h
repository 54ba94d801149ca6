// clock: what time it is.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <string>

#include "proto/base/clock.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

// Arguments: {"zone": IANA name such as Europe/Berlin, default UTC}.
// Result, one JSON part: {"utc": RFC 3339, "zone", "local": RFC 3339 with the zone's offset, "weekday": in the zone, "unix_seconds"}. READ_ONLY, local.
class ClockTool final : public Tool {
 public:
  // Borrows `clock`. `pool` runs what blocks: the system's time zone files are read.
  ClockTool(std::string name, const Clock& clock, boost::asio::any_io_executor pool);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
  const Clock& clock_;
  const boost::asio::any_io_executor pool_;
};

}  // namespace agentruntime
