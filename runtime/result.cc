#include "runtime/result.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/names.h"
#include "runtime/state.h"

namespace agentruntime {
namespace {

// So many parts never stand in an event, however small.
constexpr size_t kInlinePartsMax = 1024;
constexpr char kText[] = "text/plain";
constexpr char kJson[] = "application/json";

const std::string& ContentOf(const v1::Part& part) { return part.kind_case() == v1::Part::kJson ? part.json() : part.text(); }

std::string TakeContent(v1::Part& part) { return part.kind_case() == v1::Part::kJson ? std::move(*part.mutable_json()) : std::move(*part.mutable_text()); }

std::string Sha256(absl::string_view content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int length = 0;
  EVP_Digest(content.data(), content.size(), digest.data(), &length, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<const char*>(digest.data()), length);
}

void Join(std::vector<v1::Part>& parts) {
  std::string joined;
  joined.reserve(static_cast<size_t>(ContentBytes(parts)) + parts.size());
  for (const v1::Part& part : parts) absl::StrAppend(&joined, ContentOf(part), "\n");
  parts.resize(1);
  parts[0].set_text(std::move(joined));
}

// Half a JSON value is none: what is cut is text.
void Cut(std::vector<v1::Part>& parts, int64_t bytes_max) {
  int64_t left = bytes_max;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string& content = ContentOf(parts[i]);
    const auto size = static_cast<int64_t>(content.size());
    if (size <= left) {
      left -= size;
      continue;
    }
    const std::string note = absl::StrCat("\n[cut: ", size, " bytes, at most ", bytes_max, " are kept]");
    const int64_t room = std::max<int64_t>(0, left - static_cast<int64_t>(note.size()));
    parts[i].set_text(absl::StrCat(CutUtf8(content, static_cast<size_t>(room)), note));
    parts.resize(i + 1);
    return;
  }
}

}  // namespace

int64_t ContentBytes(const std::vector<v1::Part>& parts) {
  int64_t bytes = 0;
  for (const v1::Part& part : parts) bytes += static_cast<int64_t>(ContentOf(part).size());
  return bytes;
}

bool IsLarge(const std::vector<v1::Part>& parts, const ResultBounds& bounds) {
  return parts.size() > kInlinePartsMax || ContentBytes(parts) > bounds.inline_bytes_max;
}

void MakeValid(std::vector<v1::Part>& parts) {
  for (v1::Part& part : parts) {
    if (!IsValidUtf8(ContentOf(part))) part.set_text(MakeValidUtf8(ContentOf(part)));
  }
}

std::vector<LargePart> KeepApart(std::vector<v1::Part>& parts, const ResultBounds& bounds) {
  MakeValid(parts);
  if (parts.size() > static_cast<size_t>(kResultPartsMax)) Join(parts);
  Cut(parts, bounds.bytes_max);
  // Each excerpt is smaller than what it stands for: with so few parts the largest is above this while all of them are too large.
  const auto excerpt_max = static_cast<size_t>(std::min(bounds.excerpt_bytes_max, bounds.inline_bytes_max / 2 / static_cast<int64_t>(parts.size())));
  std::vector<LargePart> large;
  for (int64_t bytes = ContentBytes(parts); bytes > bounds.inline_bytes_max;) {
    const auto largest =
        std::max_element(parts.begin(), parts.end(), [](const v1::Part& a, const v1::Part& b) { return ContentOf(a).size() < ContentOf(b).size(); });
    const char* const media_type = largest->kind_case() == v1::Part::kJson ? kJson : kText;
    auto content = std::make_shared<const std::string>(TakeContent(*largest));
    v1::Artifact& artifact = *largest->mutable_artifact();
    artifact.set_bytes(static_cast<int64_t>(content->size()));
    artifact.set_media_type(media_type);
    artifact.set_excerpt(std::string(CutUtf8(*content, excerpt_max)));
    bytes -= artifact.bytes() - static_cast<int64_t>(artifact.excerpt().size());
    std::string hash = Sha256(*content);
    large.push_back({static_cast<size_t>(largest - parts.begin()), std::move(hash), std::move(content)});
  }
  // Numbers follow the order of the parts.
  std::sort(large.begin(), large.end(), [](const LargePart& a, const LargePart& b) { return a.part < b.part; });
  return large;
}

std::vector<StagedArtifact> NameArtifacts(const RunState& state, const ResultBounds& bounds, ArtifactIndex& index, std::vector<v1::Part>& parts,
                                          std::vector<LargePart> large) {
  std::vector<StagedArtifact> staged;
  int32_t last = state.own_artifacts;
  int64_t bytes = state.artifact_bytes;
  for (LargePart& item : large) {
    v1::Part& part = parts[item.part];
    const auto known = index.find(item.hash);
    if (known != index.end()) {
      part.mutable_artifact()->set_name(FormatArtifactName(state.id, known->second));
      continue;
    }
    if (bytes + part.artifact().bytes() > bounds.run_bytes_max) {
      const std::string note =
          absl::StrCat("\n[cut: ", part.artifact().bytes(), " bytes; the run keeps ", bytes, " bytes of large results, at most ", bounds.run_bytes_max, "]");
      part.set_text(absl::StrCat(part.artifact().excerpt(), note));
      continue;
    }
    bytes += part.artifact().bytes();
    part.mutable_artifact()->set_name(FormatArtifactName(state.id, ++last));
    index[item.hash] = last;
    staged.push_back({last, part.artifact().media_type(), item.hash, std::move(item.content)});
  }
  return staged;
}

}  // namespace agentruntime
