// search_docs: full-text search over a folder of documents.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <string>

#include "runtime/tools/documents.h"
#include "runtime/tools/tool.h"

namespace agentruntime {

// Arguments: {"query": text of 1-1,000 characters, "limit": 1-50, default 8}.
// Result, one JSON part:
//   {"summary": "8 passages from 4 documents",
//    "hits": [{"document", "line", "number": in the document from 0, "heading", "text", "score", "words": [those found]}, ...],      best first
//    "words": [{"word", "passages": how many contain it}, ...],                                    of the query, without stop words
//    "documents": n, "passages": n,                                                                in the folder
//    "skipped": [{"document", "why"}, ...]}                                                        only if there are any, at most 10
// Hits that do not fit into kResultBytesMax are left out from the end. READ_ONLY, local.
class SearchDocs final : public Tool {
 public:
  // Borrows `documents`. `pool` runs what blocks.
  SearchDocs(std::string name, Documents& documents, boost::asio::any_io_executor pool);

  const ToolSpec& spec() const override { return spec_; }
  boost::asio::awaitable<ToolOutcome> Call(ToolRequest request, ProgressSink& progress) override;

 private:
  ToolSpec spec_;
  Documents& documents_;
  const boost::asio::any_io_executor pool_;
};

}  // namespace agentruntime
