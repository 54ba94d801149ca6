#include "runtime/models/extractive.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/base/text.h"
#include "proto/util/limits.h"
#include "runtime/models/scoring.h"
#include "runtime/part_text.h"
#include "runtime/text/nested_json.h"
#include "runtime/text/sentences.h"
#include "runtime/text/words.h"

namespace agentruntime {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr char kSearchTool[] = "search_docs";
constexpr size_t kSearchesMax = 3;
constexpr size_t kPassagesMax = 3;
constexpr size_t kQueryWordsMax = 32;
constexpr size_t kQueryBytesMax = 1000;        // what search_docs takes
constexpr size_t kAlignedCharactersMax = 100;  // sources stand in a column if no passage is longer
constexpr char kNoQuestion[] = "I quote documents, and there is nothing to search for in the input. Ask about something that they may say.";

std::string TextOf(const Parts& parts) {
  std::string text;
  for (const v1::Part& part : parts) absl::StrAppend(&text, text.empty() ? "" : "\n\n", PartText(part, ""));
  return text;
}

// What to search for: the topics of at most kSearchesMax sentences, questions before others if there are more.
std::vector<std::string> Queries(absl::string_view input) {
  struct Topic {
    std::string words;
    bool question;
  };
  std::vector<Topic> topics;
  for (const Sentence& sentence : SplitSentences(input)) {
    const std::string words = absl::StrJoin(TopicWords(sentence.text, kQueryWordsMax), " ");
    const auto same = [&](const Topic& topic) { return topic.words == words; };
    if (words.empty() || std::any_of(topics.begin(), topics.end(), same)) continue;
    topics.push_back({std::string(CutUtf8(words, kQueryBytesMax)), absl::EndsWith(sentence.text, "?")});
  }
  std::vector<std::string> queries;
  const bool questions_first = topics.size() > kSearchesMax;
  for (const bool question : {true, false}) {
    for (Topic& topic : topics) {
      if (questions_first ? topic.question == question : question) queries.push_back(std::move(topic.words));
      if (queries.size() == kSearchesMax) return queries;
    }
  }
  return queries;
}

// A search and what came back of it.
struct Search {
  std::string query;
  std::optional<Finding> finding;
  std::string failure;  // if there is no finding
};

// Nothing unless `text` is what search_docs returns.
std::optional<Finding> ReadFinding(const std::string& text) {
  try {
    const json result = ParseNestedJson(text, kJsonDepthMax);
    Finding finding;
    finding.documents = result.at("documents").get<int64_t>();
    finding.passages = result.at("passages").get<int64_t>();
    for (const json& word : result.at("words")) finding.words.push_back({word.at("word").get<std::string>(), word.at("passages").get<int64_t>()});
    for (const json& hit : result.at("hits")) {
      finding.hits.push_back({hit.at("document").get<std::string>(), hit.at("line").get<int64_t>(), hit.at("number").get<int64_t>(),
                              hit.at("heading").get<std::string>(), hit.at("text").get<std::string>(), hit.at("score").get<double>(),
                              hit.at("words").get<std::vector<std::string>>()});
    }
    return finding;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

Search ReadSearch(const ToolMessage& message) {
  Search search;
  if (message.call_index < message.decision->tool_calls_size()) {
    const json arguments = ParseNestedJson(message.decision->tool_calls(message.call_index).arguments(), kJsonDepthMax);
    if (arguments.is_object()) search.query = arguments.value("query", json()).is_string() ? arguments["query"].get<std::string>() : "";
  }
  const Parts& result = message.finished->result();
  if (message.finished->outcome() != v1::CALL_OUTCOME_OK) {
    search.failure = result.empty() ? "it was not run" : TextOf(result);
  } else {
    if (!result.empty()) search.finding = ReadFinding(PartText(result[0], ""));
    if (!search.finding) search.failure = "its result is not of the form that it documents";
  }
  return search;
}

// A passage with its source, on one line if it is prose.
std::string Quote(const FoundPassage& passage, size_t column) {
  const std::string source = absl::StrCat("[", passage.document, ":", passage.line, "]");
  if (absl::StrContains(passage.text, "\n")) return absl::StrCat(passage.text, "\n", source, "\n");
  const size_t characters = std::count_if(passage.text.begin(), passage.text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  return absl::StrCat(passage.text, std::string(column > characters ? column - characters : 1, ' '), source, "\n");
}

std::string Quotes(const std::vector<FoundPassage>& passages) {
  size_t longest = 0;
  for (const FoundPassage& passage : passages) longest = std::max(longest, passage.text.size());
  const size_t column = longest > kAlignedCharactersMax ? 0 : longest + 3;
  std::string text;
  for (const FoundPassage& passage : passages) absl::StrAppend(&text, Quote(passage, column));
  return text;
}

void AddNew(std::vector<FoundPassage>& passages, std::vector<FoundPassage> more) {
  for (FoundPassage& passage : more) {
    const auto same = [&](const FoundPassage& other) { return other.document == passage.document && other.number == passage.number; };
    if (std::none_of(passages.begin(), passages.end(), same)) passages.push_back(std::move(passage));
  }
}

std::string Answer(const std::vector<Search>& searches) {
  std::vector<Choice> choices;
  size_t answered = 0;
  for (const Search& search : searches) {
    choices.push_back(search.finding ? Choose(*search.finding, kPassagesMax) : Choice{});
    if (choices.back().verdict == Verdict::kAnswer) ++answered;
  }
  std::vector<FoundPassage> direct;
  std::string rest;
  size_t left = kPassagesMax;
  for (size_t i = 0, answers = 0; i < searches.size(); ++i) {
    if (choices[i].verdict == Verdict::kAnswer) {
      // Each question gets its part of the sentences, the first ones what remains.
      const size_t part = kPassagesMax / answered + (answers++ < kPassagesMax % answered ? 1 : 0);
      AddNew(direct, answered == 1 ? std::move(choices[i].passages) : Choose(*searches[i].finding, part).passages);
      left = kPassagesMax - std::min(kPassagesMax, direct.size());
    }
  }
  for (size_t i = 0; i < searches.size(); ++i) {
    const std::string about = searches.size() == 1 ? "" : absl::StrCat(" about ", searches[i].query);
    if (!searches[i].finding) {
      absl::StrAppend(&rest, "I could not search", about, ": ", searches[i].failure, "\n");
    } else if (choices[i].verdict == Verdict::kClosest && left > 0) {
      --left;
      absl::StrAppend(&rest, "No direct answer", about, "; the closest passage is:\n", Quotes(choices[i].passages));
    } else if (choices[i].verdict == Verdict::kClosest) {
      absl::StrAppend(&rest, "No direct answer", about, ".\n");
    } else if (choices[i].verdict == Verdict::kNothing) {
      absl::StrAppend(&rest, "I found nothing about ", searches[i].query, " in ", searches[i].finding->documents,
                      searches[i].finding->documents == 1 ? " document.\n" : " documents.\n");
    }
  }
  std::string answer = absl::StrCat(Quotes(direct), rest);
  answer.pop_back();  // the last line's end
  return answer;
}

}  // namespace

Extractive::Extractive(std::string name) {
  info_.name = std::move(name);
  info_.provider = "extractive";
  info_.description = "built in, quotes documents, no language model";
  info_.local = true;
  info_.counts_tokens = false;
  info_.attempts_max = 1;
  info_.required_tool = kSearchTool;
}

asio::awaitable<ModelOutcome> Extractive::Decide(ModelRequest request, DeltaSink& deltas) {
  std::string input;
  std::vector<Search> searches;  // since the newest input
  size_t newest = request.messages.size();
  while (newest > 0 && !std::holds_alternative<UserMessage>(request.messages[newest - 1])) --newest;
  if (newest > 0) input = TextOf(*std::get<UserMessage>(request.messages[newest - 1]).parts);
  for (size_t i = newest; i < request.messages.size(); ++i) {
    if (const auto* tool = std::get_if<ToolMessage>(&request.messages[i])) searches.push_back(ReadSearch(*tool));
  }
  ModelOutcome outcome;
  outcome.usage.emplace();
  v1::Decision decision;
  const std::vector<std::string> queries = searches.empty() ? Queries(input) : std::vector<std::string>();
  if (queries.empty()) {
    const std::string answer = searches.empty() ? kNoQuestion : Answer(searches);
    decision.set_finish_reason(v1::FINISH_REASON_ANSWER);
    decision.add_content()->set_text(answer);
    deltas.Text(answer);
  } else {
    const auto is_search = [](const std::shared_ptr<const ToolSpec>& tool) { return tool->name == kSearchTool; };
    if (std::none_of(request.tools.begin(), request.tools.end(), is_search)) {
      outcome.error.set_reason("MODEL_REFUSED");
      outcome.error.set_message("the extractive model needs the tool search_docs: add it to the agent's tools");
      co_return outcome;
    }
    decision.set_finish_reason(v1::FINISH_REASON_TOOL_CALLS);
    for (const std::string& query : queries) {
      v1::ToolCall* const call = decision.add_tool_calls();
      call->set_tool(kSearchTool);
      call->set_arguments(absl::StrCat("{\"query\":\"", EscapeJson(query), "\"}"));
      deltas.ToolCall(decision.tool_calls_size(), call->tool(), call->arguments());
    }
  }
  outcome.decision = std::move(decision);
  co_return outcome;
}

}  // namespace agentruntime
