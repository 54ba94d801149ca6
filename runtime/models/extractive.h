// extractive: the built-in model. It writes nothing of its own: it searches the documents and quotes what they say, or says that they do not.
#pragma once

#include <string>

#include "runtime/models/model.h"

namespace agentruntime {

// A pure function of the messages. Without results since the newest input it asks for search_docs, once for each sentence of that input (at most 3, in one
// decision, words that only say what to do left out). With them it answers:
//   a passage has at least half of what is asked (scoring.h)   at most 3 passages, verbatim, in document order, each with [document:line]
//   a quarter                                                  "No direct answer; the closest passage is:" and that one
//   less                                                       "I found nothing about X in N documents."
// Every sentence it quotes stands in a document. It fails only (MODEL_REFUSED) where it needs search_docs and the agent has none. Uses no tokens.
class Extractive final : public Model {
 public:
  explicit Extractive(std::string name);

  const ModelInfo& info() const override { return info_; }
  boost::asio::awaitable<ModelOutcome> Decide(ModelRequest request, DeltaSink& deltas) override;

 private:
  ModelInfo info_;
};

}  // namespace agentruntime
