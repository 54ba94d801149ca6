#include "runtime/part_text.h"

#include "absl/strings/str_cat.h"

namespace agentruntime {

std::string PartText(const v1::Part& part, absl::string_view artifact_reader) {
  if (part.kind_case() == v1::Part::kJson) return part.json();
  if (part.kind_case() != v1::Part::kArtifact) return part.text();
  const v1::Artifact& artifact = part.artifact();
  const bool begun = !artifact.excerpt().empty();  // else it was cleared
  std::string text = begun ? absl::StrCat(artifact.excerpt(), "\n[the first ", artifact.excerpt().size(), " of ", artifact.bytes(), " bytes of ")
                           : absl::StrCat("[not shown: ", artifact.bytes(), " bytes of ");
  absl::StrAppend(&text, artifact.name(), ", ", artifact.media_type());
  if (artifact_reader.empty()) {
    absl::StrAppend(&text, "; you have no tool that reads ", begun ? "the rest]" : "it]");
  } else {
    absl::StrAppend(&text, begun ? "; read on: " : "; read it: ", artifact_reader, " {\"artifact\":\"", artifact.name(),
                    "\",\"offset\":", artifact.excerpt().size(), "}]");
  }
  return text;
}

}  // namespace agentruntime
