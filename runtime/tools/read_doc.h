// read_doc: lines of a document.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <string>

#include "runtime/tools/folder.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

// Arguments: {"path": the document's name, "from_line": from 1, default 1, "to_line": inclusive, default the last}.
// Result, one JSON part: {"document", "from_line", "to_line", "lines": of the document, "text", "next_line": where to go on, only if not all
// fitted, "cut": true, only if the first line alone was too long and ends early}.
// At most 32 KiB of text, 48 KiB of it once escaped; nothing outside of the folder can be read. READ_ONLY, local.
class ReadDoc final : public Tool {
 public:
  // Borrows `folder`. `pool` runs what blocks.
  ReadDoc(std::string name, const Folder& folder, boost::asio::any_io_executor pool);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
  const Folder& folder_;
  const boost::asio::any_io_executor pool_;
};

}  // namespace agentruntime
