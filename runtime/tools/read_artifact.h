// read_artifact: more of a large result.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <string>

#include "runtime/tools/tool.h"
#include "storage/store.h"

namespace agentruntime {

// Arguments: {"artifact": its name, or its number within the run, "offset": first byte, default 0, "length": bytes at most, default 16,384, 1 to 49,152}.
// Result, one text: a line in brackets that says what was read and where to go on, and the content from there on, whole characters.
// Only artifacts that the run's own journal names. READ_ONLY; not local in the sense of running ahead of the disk, for it reads what is durable.
class ReadArtifact final : public Tool {
 public:
  // Borrows `store`. `pool` runs what blocks.
  ReadArtifact(std::string name, Store& store, boost::asio::any_io_executor pool);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
  Store& store_;
  const boost::asio::any_io_executor pool_;
};

}  // namespace agentruntime
