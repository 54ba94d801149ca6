#include "runtime/tools/read_doc.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/blocking_pool.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::ordered_json;

namespace {

constexpr size_t kTextBytesMax = 32 << 10;
constexpr size_t kEscapedBytesMax = 48 << 10;

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"path":{"type":"string","minLength":1,"maxLength":1024,"description":"The document, as search_docs names it."},)json"
    R"json("from_line":{"type":"integer","minimum":1,"description":"First line, from 1; 1 if left out."},)json"
    R"json("to_line":{"type":"integer","minimum":1,"description":"Last line; to the end if left out."}},"required":["path"],"additionalProperties":false})json";

int64_t LineArgument(const ordered_json& arguments, const char* key, int64_t otherwise) {
  return arguments.contains(key) && arguments[key].is_number_integer() ? arguments[key].get<int64_t>() : otherwise;
}

std::string Missing(const Folder& folder, absl::string_view path, absl::string_view why) {
  const absl::StatusOr<FolderListing> listing = folder.List();
  if (!listing.ok()) return std::string(why);
  std::vector<std::string> names;
  for (const IndexedDocument& document : listing->documents) names.push_back(document.name);
  const std::string nearest = NearestName(path, names);
  return nearest.empty() ? std::string(why) : absl::StrCat(why, "; did you mean \"", nearest, "\"?");
}

ToolOutcome Read(const Folder& folder, const std::string& arguments_text) {
  const ordered_json arguments = ordered_json::parse(arguments_text, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("path") || !arguments["path"].is_string())
    return ToolFailed{.message = "path: give the name of a document"};
  const auto path = arguments["path"].get<std::string>();
  const absl::StatusOr<std::string> text = folder.Read(path);
  if (absl::IsNotFound(text.status())) return ToolFailed{.message = Missing(folder, path, text.status().message())};
  if (!text.ok())
    return ToolFailed{.message = std::string(text.status().message()),
                      .retryable = absl::IsUnavailable(text.status()) || absl::IsResourceExhausted(text.status())};

  std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  if (lines.back().empty()) lines.pop_back();
  const auto count = static_cast<int64_t>(lines.size());
  const int64_t from = LineArgument(arguments, "from_line", 1);
  const int64_t to = LineArgument(arguments, "to_line", count);
  if (from < 1 || to < from) {
    if (count > 0 || from < 1) return ToolFailed{.message = absl::StrCat("from_line: ", from, " to ", to, " is no range of lines; the document has ", count)};
  }
  if (from > count && count > 0) return ToolFailed{.message = absl::StrCat("from_line: ", from, " lies beyond the end; the document has ", count, " lines")};

  std::string read;
  size_t escaped = 0;
  bool cut = false;
  int64_t line = from;
  for (; line <= std::min(to, count); ++line) {
    absl::string_view next = absl::StripSuffix(lines[static_cast<size_t>(line - 1)], "\r");
    const size_t next_escaped = EscapeJson(next).size() + 2;
    if (read.size() + next.size() + 1 > kTextBytesMax || escaped + next_escaped > kEscapedBytesMax) {
      if (line > from) break;
      next = CutUtf8(next, kTextBytesMax / 4);  // one very long line: its beginning, whatever escaping makes of it
      cut = true;
    }
    escaped += next_escaped;
    absl::StrAppend(&read, next, "\n");
  }
  ordered_json result{{"document", path}, {"from_line", from}, {"to_line", line - 1}, {"lines", count}, {"text", read}};
  if (cut) result["cut"] = true;
  if (line <= std::min(to, count)) result["next_line"] = line;
  ToolDone done;
  done.parts.emplace_back().set_json(result.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  return done;
}

}  // namespace

ReadDoc::ReadDoc(std::string name, const Folder& folder, asio::any_io_executor pool) : folder_(folder), pool_(std::move(pool)) {
  spec_.name = std::move(name);
  spec_.description = "Reads a document, or some lines of it. Long ones come in pieces: go on at next_line.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = true;
}

asio::awaitable<ToolOutcome> ReadDoc::Call(ToolRequest request, ProgressSink&) {
  co_return co_await RunBlocking(pool_, [this, arguments = std::move(request.arguments)] { return Read(folder_, arguments); });
}

}  // namespace agentruntime
