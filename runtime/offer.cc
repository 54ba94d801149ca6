#include "runtime/offer.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agentruntime/internal/v1/rpc_error.pb.h"
#include "proto/util/names.h"

namespace agentruntime {
namespace {

template <typename Names>
std::string Unknown(absl::string_view kind, absl::string_view name, const Names& names) {
  std::string text = absl::StrCat("no ", kind, " named \"", name, "\" on this server");
  if (const std::string nearest = NearestName(name, names); !nearest.empty()) {
    absl::StrAppend(&text, "; did you mean \"", nearest, "\"?");
  } else if (names.empty()) {
    absl::StrAppend(&text, ", which has no ", kind, "s; configure one in agentd.yaml");
  } else {
    absl::StrAppend(&text, "; there is ", absl::StrJoin(names, ", "));
  }
  return text;
}

}  // namespace

std::vector<FieldViolation> WhyUnusable(const Offer& offer, const v1::Agent& agent) {
  std::vector<FieldViolation> why;
  const auto model = offer.models.find(agent.model());
  if (model == offer.models.end()) {
    std::vector<std::string> names;
    for (const auto& [name, tool] : offer.models) names.push_back(name);
    why.push_back({"model", Unknown("model", agent.model(), names)});
  } else if (const std::string& needed = model->second;
             !needed.empty() && std::find(agent.tools().begin(), agent.tools().end(), needed) == agent.tools().end()) {
    why.push_back({"tools", absl::StrCat("model \"", agent.model(), "\" cannot work without the tool \"", needed, "\"; add it")});
  }
  for (int i = 0; i < agent.tools_size(); ++i) {
    if (std::find(offer.tools.begin(), offer.tools.end(), agent.tools(i)) == offer.tools.end()) {
      why.push_back({absl::StrCat("tools[", i, "]"), Unknown("tool", agent.tools(i), offer.tools)});
    }
  }
  return why;
}

absl::Status CheckUsable(const Offer& offer, const v1::Agent& agent) {
  const std::vector<FieldViolation> why = WhyUnusable(offer, agent);
  if (why.empty()) return absl::OkStatus();
  internal::v1::BadRequest bad_request;
  std::vector<std::string> sentences;
  for (const FieldViolation& violation : why) {
    auto* added = bad_request.add_field_violations();
    added->set_field(absl::StrCat("agent.", violation.field));
    added->set_description(violation.description);
    sentences.push_back(absl::StrCat(violation.field, ": ", violation.description));
  }
  absl::Status status = AgentUnusable(agent.name(), absl::StrJoin(sentences, "; "));
  status.SetPayload(kBadRequestTypeUrl, absl::Cord(absl::string_view(bad_request.SerializeAsString())));
  return status;
}

}  // namespace agentruntime
