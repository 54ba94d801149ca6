#include "runtime/tools/read_artifact.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/blocking_pool.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr int64_t kLengthDefault = 16 << 10;
constexpr int64_t kLengthMax = 48 << 10;  // a piece is never so large that it becomes an artifact again
constexpr size_t kNamesMax = 8;           // of those there are, in a message

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"artifact":{"type":["string","integer"],"description":"Its name as in the result that was cut, or its number."},)json"
    R"json("offset":{"type":"integer","minimum":0,"description":"First byte, from 0; 0 if left out."},)json"
    R"json("length":{"type":"integer","minimum":1,"maximum":49152,"description":"Bytes at most; 16384 if left out."}},)json"
    R"json("required":["artifact"],"additionalProperties":false})json";

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// By its name, or the newest with the number.
const ArtifactRef* Find(const std::vector<ArtifactRef>& artifacts, const json& asked) {
  int64_t number = 0;
  std::optional<ArtifactName> name;
  if (asked.is_number_integer()) {
    number = asked.get<int64_t>();
  } else if (asked.is_string()) {
    name = ParseArtifactName(asked.get<std::string>());
    if (!name && !absl::SimpleAtoi(asked.get<std::string>(), &number)) return nullptr;
  }
  const auto found = std::find_if(artifacts.rbegin(), artifacts.rend(), [&](const ArtifactRef& ref) {
    return name ? ref.name.run == name->run && ref.name.number == name->number : ref.name.number == number;
  });
  return found == artifacts.rend() ? nullptr : &*found;
}

std::string NoSuchArtifact(const std::vector<ArtifactRef>& artifacts) {
  if (artifacts.empty()) return "artifact: the run has none";
  std::string text = "artifact: the run has none of this name; the last ones are";
  for (size_t i = artifacts.size() - std::min(artifacts.size(), kNamesMax); i < artifacts.size(); ++i) {
    absl::StrAppend(&text, " ", FormatArtifactName(artifacts[i].name.run, artifacts[i].name.number));
  }
  return text;
}

int64_t NumberIn(const json& arguments, const char* key, int64_t otherwise) {
  return arguments.contains(key) && arguments[key].is_number_integer() ? arguments[key].get<int64_t>() : otherwise;
}

ToolOutcome Read(Store& store, const ToolRequest& request) {
  const json arguments = json::parse(request.arguments, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("artifact")) return ToolFailed{.message = "artifact: give the name of an artifact"};
  const ArtifactRef* const artifact = Find(request.artifacts, arguments["artifact"]);
  if (artifact == nullptr) return ToolFailed{.message = NoSuchArtifact(request.artifacts)};
  const std::string name = FormatArtifactName(artifact->name.run, artifact->name.number);
  const int64_t offset = NumberIn(arguments, "offset", 0);
  const int64_t length = std::clamp<int64_t>(NumberIn(arguments, "length", kLengthDefault), 1, kLengthMax);
  if (offset < 0 || offset > artifact->bytes) {
    return ToolFailed{.message = absl::StrCat("offset: ", offset, " lies beyond the end; ", name, " has ", artifact->bytes, " bytes")};
  }
  // A character more on both sides, so that a small length still gives one.
  constexpr int64_t kCharacter = 4;
  auto piece = store.ReadArtifact(artifact->name.run, artifact->name.number, offset, length + 2 * kCharacter);
  if (!piece.ok())
    return ToolFailed{.message = std::string(piece.status().message()), .retryable = !absl::IsDataLoss(piece.status()) && !absl::IsNotFound(piece.status())};
  absl::string_view text = piece->data;
  int64_t begin = offset;
  for (; !text.empty() && Continues(text.front()); ++begin) text.remove_prefix(1);
  size_t size = std::min(text.size(), static_cast<size_t>(length));
  while (size < text.size() && Continues(text[size])) ++size;
  text = CutUtf8(text, size);
  const int64_t end = begin + static_cast<int64_t>(text.size());
  ToolDone done;
  const std::string rest = end < piece->total_bytes ? absl::StrCat("; go on at offset ", end) : "; that is its end";
  done.parts.emplace_back().set_text(absl::StrCat("[bytes ", begin, " to ", end, " of ", piece->total_bytes, " of ", name, rest, "]\n", text));
  return done;
}

}  // namespace

ReadArtifact::ReadArtifact(std::string name, Store& store, asio::any_io_executor pool) : store_(store), pool_(std::move(pool)) {
  spec_.name = std::move(name);
  spec_.description = "Reads more of a result that was too large to be shown whole. It comes in pieces: go on at the offset that the piece names.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.reads_artifacts = true;
}

asio::awaitable<ToolOutcome> ReadArtifact::Call(ToolRequest request, ProgressSink&) {
  co_return co_await RunBlocking(pool_, [this, request = std::move(request)] { return Read(store_, request); });
}

}  // namespace agentruntime
