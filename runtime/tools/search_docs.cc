#include "runtime/tools/search_docs.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/util/limits.h"
#include "runtime/blocking_pool.h"
#include "runtime/text/words.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::ordered_json;

namespace {

constexpr int32_t kHitsDefault = 8;
constexpr size_t kWordsMax = 32;
constexpr size_t kSkippedMax = 10;

constexpr char kSchema[] =
    R"json({"type":"object","properties":{"query":{"type":"string","minLength":1,"maxLength":1000,"description":"What to look for, in a few words."},)json"
    R"json("limit":{"type":"integer","minimum":1,"maximum":50,"description":"Most passages to return; 8 if left out."}},)json"
    R"json("required":["query"],"additionalProperties":false})json";

std::string Plural(size_t count, absl::string_view one) { return absl::StrCat(count, " ", one, count == 1 ? "" : "s"); }

std::string Summary(const std::vector<SearchHit>& hits) {
  std::set<absl::string_view> documents;
  for (const SearchHit& hit : hits) documents.insert(hit.document);
  if (hits.empty()) return "nothing found";
  return absl::StrCat(Plural(hits.size(), "passage"), " from ", Plural(documents.size(), "document"));
}

std::string Result(DocumentSearch search) {
  for (;;) {
    ordered_json result{{"summary", Summary(search.hits)}, {"hits", ordered_json::array()}, {"words", ordered_json::array()}};
    for (const SearchHit& hit : search.hits) {
      result["hits"].push_back({{"document", hit.document},
                                {"line", hit.passage.line},
                                {"number", hit.number},
                                {"heading", hit.passage.heading},
                                {"text", hit.passage.text},
                                {"score", hit.score},
                                {"words", hit.words}});
    }
    for (const TermCount& count : search.words) result["words"].push_back({{"word", count.term}, {"passages", count.passages}});
    result["documents"] = search.documents;
    result["passages"] = search.passages;
    for (size_t i = 0; i < search.skipped.size() && i < kSkippedMax; ++i) {
      result["skipped"].push_back({{"document", search.skipped[i].name}, {"why", search.skipped[i].why}});
    }
    std::string text = result.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    if (text.size() <= static_cast<size_t>(kResultBytesMax) || search.hits.empty()) return text;
    search.hits.pop_back();
  }
}

ToolOutcome Search(Documents& documents, const std::string& arguments_text, const std::stop_token& stop) {
  const ordered_json arguments = ordered_json::parse(arguments_text, nullptr, false);
  if (!arguments.is_object() || !arguments.contains("query") || !arguments["query"].is_string()) return ToolFailed{.message = "query: give what to look for"};
  const std::vector<std::string> words = SearchWords(arguments["query"].get_ref<const std::string&>(), kWordsMax);
  if (words.empty()) return ToolFailed{.message = "query: there is no word in it"};
  const auto limit = arguments.contains("limit") && arguments["limit"].is_number_integer() ? arguments["limit"].get<int32_t>() : kHitsDefault;
  absl::StatusOr<DocumentSearch> search = documents.Search(words, limit, stop);
  if (!search.ok())
    return ToolFailed{.message = std::string(search.status().message()),
                      .retryable = absl::IsUnavailable(search.status()) || absl::IsResourceExhausted(search.status())};
  ToolDone done;
  done.parts.emplace_back().set_json(Result(*std::move(search)));
  return done;
}

}  // namespace

SearchDocs::SearchDocs(std::string name, Documents& documents, asio::any_io_executor pool) : documents_(documents), pool_(std::move(pool)) {
  spec_.name = std::move(name);
  spec_.description =
      "Searches the documents and returns the passages that fit best, each with its document and line. Passages are single sentences; read_doc shows what "
      "stands around them.";
  spec_.input_schema = kSchema;
  spec_.side_effect = v1::SIDE_EFFECT_READ_ONLY;
  spec_.attempts_max = kToolAttemptsMax;
  spec_.local = true;
}

asio::awaitable<ToolOutcome> SearchDocs::Call(ToolRequest request, ProgressSink&) {
  co_return co_await RunStoppable(
      pool_, [this, arguments = std::move(request.arguments)](const std::stop_token& stop) { return Search(documents_, arguments, stop); });
}

}  // namespace agentruntime
