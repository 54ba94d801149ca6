// The extractive model with the real search_docs and text index, over the documents that the project ships and over others.
#include "runtime/models/extractive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "runtime/json_schema.h"
#include "runtime/tools/documents.h"
#include "runtime/tools/search_docs.h"
#include "storage/sqlite/text_index.h"
#include "tests/support/coroutine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tool_calls.h"

namespace agentruntime {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Deltas final : public DeltaSink {
 public:
  void Text(absl::string_view text) override { absl::StrAppend(&this->text, text); }
  void Reasoning(absl::string_view) override {}
  void ToolCall(int32_t, absl::string_view, absl::string_view) override { ++calls; }
  std::string text;
  int calls = 0;
};

std::shared_ptr<const Parts> Input(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  parts->Add()->set_text(text);
  return parts;
}

// A conversation of the model with the tool, as the runtime leads it.
class Conversation {
 public:
  explicit Conversation(const std::string& folder) : folder_(folder) {}
  ~Conversation() { pool_.join(); }

  void Say(const std::string& text) { messages_.push_back(UserMessage{Input(text)}); }

  v1::Decision Decide() {
    ModelRequest request;
    request.step = ++step_;
    request.messages = Messages(messages_);
    request.tools.push_back(std::make_shared<ToolSpec>(search_.spec()));
    deltas_ = Deltas();
    ModelOutcome outcome = testing::RunCoroutine<ModelOutcome>([&] { return model_.Decide(request, deltas_); });
    EXPECT_TRUE(outcome.decision.has_value()) << outcome.error.message();
    if (!outcome.decision) return {};
    messages_.push_back(AssistantMessage{std::make_shared<v1::Decision>(*outcome.decision)});
    return *outcome.decision;
  }

  // Runs the calls of `decision`; as the runtime, checks the arguments first.
  void Act(const v1::Decision& decision) {
    const auto shared = std::make_shared<v1::Decision>(decision);
    for (int i = 0; i < decision.tool_calls_size(); ++i) {
      const auto schema = JsonSchema::Compile(search_.spec().input_schema);
      ASSERT_TRUE(schema.ok());
      const absl::Status fits = schema->Check(decision.tool_calls(i).arguments());
      EXPECT_TRUE(fits.ok()) << fits;
      const ToolOutcome outcome = testing::CallTool(search_, decision.tool_calls(i).arguments());
      auto finished = std::make_shared<v1::CallFinished>();
      finished->set_outcome(std::holds_alternative<ToolDone>(outcome) ? v1::CALL_OUTCOME_OK : v1::CALL_OUTCOME_ERROR);
      if (const auto* done = std::get_if<ToolDone>(&outcome)) {
        for (const v1::Part& part : done->parts) *finished->add_result() = part;
      } else {
        finished->add_result()->set_text(testing::ResultOf(outcome));
      }
      messages_.push_back(ToolMessage{shared, i, finished});
    }
  }

  std::string Ask(const std::string& question) {
    Say(question);
    v1::Decision decision = Decide();
    if (decision.finish_reason() == v1::FINISH_REASON_TOOL_CALLS) {
      Act(decision);
      decision = Decide();
    }
    EXPECT_EQ(decision.finish_reason(), v1::FINISH_REASON_ANSWER);
    EXPECT_EQ(decision.content_size(), 1);
    const std::string answer = decision.content_size() == 1 ? decision.content(0).text() : "";
    EXPECT_EQ(deltas_.text, answer);
    return answer;
  }

 private:
  boost::asio::thread_pool pool_{1};
  Folder folder_;
  SystemClock clock_;
  std::unique_ptr<TextIndex> index_ = *sqlite::OpenTextIndex(":memory:");
  Documents documents_{folder_, *index_, clock_};
  SearchDocs search_{"search_docs", documents_, pool_.get_executor()};
  Extractive model_{"extractive"};
  Deltas deltas_;
  std::vector<ModelMessage> messages_;
  int step_ = 0;
};

const char kDocs[] = EXAMPLE_DOCS;

TEST(ExtractiveTest, AnswersTheShippedQuestion) {
  EXPECT_EQ(Conversation(kDocs).Ask("Find current API rate limit requirements and summarize briefly"),
            "Each key may send 600 requests a minute, in bursts of at most 100.     [rate-limits.md:9]\n"
            "Above that the API answers 429 with a Retry-After header in seconds.   [rate-limits.md:11]");
}

TEST(ExtractiveTest, AsksOneCleanQueryForIt) {
  Conversation conversation(kDocs);
  conversation.Say("Find current API rate limit requirements and summarize briefly");
  const v1::Decision decision = conversation.Decide();
  ASSERT_EQ(decision.tool_calls_size(), 1);
  EXPECT_EQ(decision.tool_calls(0).tool(), "search_docs");
  EXPECT_EQ(decision.tool_calls(0).arguments(), R"({"query":"API rate limit requirements"})");
}

struct Answerable {
  const char* question;
  const char* quote;
};
class AnswerableTest : public ::testing::TestWithParam<Answerable> {};

TEST_P(AnswerableTest, QuotesTheDocument) {
  const std::string answer = Conversation(kDocs).Ask(GetParam().question);
  EXPECT_THAT(answer, AllOf(HasSubstr(GetParam().quote), Not(HasSubstr("No direct answer")), Not(HasSubstr("I found nothing"))));
}

INSTANTIATE_TEST_SUITE_P(
    Questions, AnswerableTest,
    ::testing::Values(Answerable{"How long are logs kept?", "Request logs are kept for 30 days, then they are deleted."},
                      Answerable{"What should I do with a leaked key?", "Delete a leaked key at once: it stops working within five seconds."},
                      Answerable{"How do I rotate a key?", "To rotate a key, create a second one, switch your clients over, then delete the first."},
                      Answerable{"When is support open?", "Support is open from Monday to Friday, 8:00 to 18:00 Central European Time."},
                      Answerable{"How many webhook endpoints can a project have?", "A project can have up to 5 webhook endpoints."},
                      Answerable{"How many times is a failed delivery tried again?", "A failed delivery is tried again up to 8 times over 24 hours"},
                      Answerable{"Which errors are worth a retry?", "408, 429, 502, 503 and 504 are worth a retry with growing pauses."}));

class UnanswerableTest : public ::testing::TestWithParam<const char*> {};

TEST_P(UnanswerableTest, SaysThatNothingWasFound) {
  const std::string answer = Conversation(kDocs).Ask(GetParam());
  EXPECT_THAT(answer, AllOf(StartsWith("I found nothing about "), HasSubstr(" in 6 documents.")));
}

INSTANTIATE_TEST_SUITE_P(Questions, UnanswerableTest,
                         ::testing::Values("What is the pricing in Japan?", "Who is the chief executive officer of the company?",
                                           "Does the mobile app run on Windows tablets?"));

TEST(ExtractiveTest, SaysThatTheClosestPassageIsNoAnswer) {
  const std::string answer = Conversation(kDocs).Ask("Are request logs encrypted?");
  EXPECT_THAT(answer, StartsWith("No direct answer; the closest passage is:\n"));
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(answer, '\n')), ::testing::SizeIs(2));
}

TEST(ExtractiveTest, EverySentenceStandsInADocument) {
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator(kDocs)) {
    std::ifstream file(entry.path());
    all += std::string(std::istreambuf_iterator<char>(file), {}) + "\n";
  }
  all = absl::StrReplaceAll(all, {{"\n", " "}});
  int quotes = 0;
  for (const char* question :
       {"How long are logs kept?", "webhooks", "What does support need?", "Which scopes are there for parcels?", "errors and timeouts"}) {
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(Conversation(kDocs).Ask(question), '\n'))) {
      const size_t source = line.rfind(" [");
      if (source == std::string::npos) continue;
      ++quotes;
      std::string quote = line.substr(0, source);
      quote.erase(quote.find_last_not_of(' ') + 1);
      EXPECT_THAT(all, HasSubstr(quote)) << question;
    }
  }
  EXPECT_GE(quotes, 5);
}

TEST(ExtractiveTest, SearchesOncePerSentenceAtMostThree) {
  Conversation conversation(kDocs);
  conversation.Say("We ship parcels. Our boss is curious. How long are logs kept? Is there a sandbox? When is support open?");
  const v1::Decision decision = conversation.Decide();
  std::vector<std::string> queries;
  for (const v1::ToolCall& call : decision.tool_calls()) queries.push_back(nlohmann::json::parse(call.arguments())["query"]);
  EXPECT_THAT(queries, ElementsAre("logs kept", "sandbox", "support open"));
}

TEST(ExtractiveTest, AnswersEachQuestionAndNamesTheOneWithoutAnswer) {
  const std::string answer = Conversation(kDocs).Ask("How long are request logs kept? What is the pricing in Japan?");
  EXPECT_THAT(answer, AllOf(HasSubstr("Request logs are kept for 30 days"), HasSubstr("I found nothing about pricing Japan in 6 documents.")));
}

TEST(ExtractiveTest, AnswersTheNewestInput) {
  Conversation conversation(kDocs);
  EXPECT_THAT(conversation.Ask("How long are logs kept?"), HasSubstr("30 days"));
  EXPECT_THAT(conversation.Ask("When is support open?"), AllOf(HasSubstr("Monday to Friday"), Not(HasSubstr("30 days"))));
}

TEST(ExtractiveTest, AnotherFolderGivesAnotherAnswer) {
  TempDir folder;
  std::ofstream(folder.File("cabin.md")) << "# Cabin rules\n\nGuests may bring two dogs.\n\nQuiet hours are from 22:00 to 7:00.\n";
  EXPECT_EQ(Conversation(folder.path()).Ask("When are the quiet hours?"), "Quiet hours are from 22:00 to 7:00.   [cabin.md:5]");
  EXPECT_EQ(Conversation(folder.path()).Ask("What is the API rate limit?"), "I found nothing about API rate limit in 1 document.");
}

TEST(ExtractiveTest, SaysWhyItCouldNotSearch) {
  TempDir folder;
  EXPECT_THAT(Conversation(folder.path()).Ask("How long are logs kept?"), AllOf(StartsWith("I could not search: "), HasSubstr("holds no *.md or *.txt")));
}

TEST(ExtractiveTest, InputWithoutAQuestionNeedsNoSearch) {
  for (const char* input : {"", "...", "please summarize briefly", "\xF0\x9F\x91\x8D?!"}) {
    Conversation conversation(kDocs);
    const std::string answer = conversation.Ask(input);
    EXPECT_THAT(answer, ::testing::AnyOf(HasSubstr("nothing to search for"), StartsWith("I found nothing"))) << input;
  }
}

TEST(ExtractiveTest, CodeIsQuotedWithItsLines) {
  TempDir folder;
  std::ofstream(folder.File("install.md")) << "# Installing the gadget\n\n```sh\nmake gadget\nmake install\n```\n";
  EXPECT_EQ(Conversation(folder.path()).Ask("installing gadget?"), "make gadget\nmake install\n[install.md:4]");
}

// `arguments`: of the call before, which another model may have made. What the extractive model says then.
std::string AnswerAfter(const std::string& arguments, const std::string& result) {
  Extractive model("extractive");
  Deltas deltas;
  auto decision = std::make_shared<v1::Decision>();
  decision->add_tool_calls()->set_arguments(arguments);
  auto finished = std::make_shared<v1::CallFinished>();
  finished->set_outcome(v1::CALL_OUTCOME_OK);
  finished->add_result()->set_json(result);
  ModelRequest request;
  request.messages = {UserMessage{Input("q")}, AssistantMessage{decision}, ToolMessage{decision, 0, finished}};
  const ModelOutcome outcome = testing::RunCoroutine<ModelOutcome>([&] { return model.Decide(request, deltas); });
  return outcome.decision ? outcome.decision->content(0).text() : outcome.error.message();
}

TEST(ExtractiveTest, SurvivesResultsThatAreNotSearchResults) {
  for (const char* result : {"", "[]", "{}", "{\"documents\":\"x\"}", "not json", "{\"documents\":1,\"passages\":1,\"words\":[],\"hits\":[{}]}"}) {
    EXPECT_EQ(AnswerAfter("[not an object", result), "I could not search: its result is not of the form that it documents") << result;
  }
}

TEST(ExtractiveTest, SurvivesAnyDepth) {
  const std::string nested = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_EQ(AnswerAfter("{\"query\":" + nested + "}", nested), "I could not search: its result is not of the form that it documents");
}

TEST(ExtractiveTest, NeedsSearchDocs) {
  Extractive model("extractive");
  EXPECT_EQ(model.info().required_tool, "search_docs");
  EXPECT_TRUE(model.info().local);
  EXPECT_FALSE(model.info().counts_tokens) << "it reads and writes no tokens, so none are reserved";
  Deltas deltas;
  ModelRequest request;
  request.messages = {UserMessage{Input("How long are logs kept?")}};
  const ModelOutcome outcome = testing::RunCoroutine<ModelOutcome>([&] { return model.Decide(request, deltas); });
  EXPECT_FALSE(outcome.decision.has_value());
  EXPECT_EQ(outcome.error.reason(), "MODEL_REFUSED");
  EXPECT_FALSE(outcome.error.retryable());
}

}  // namespace
}  // namespace agentruntime
