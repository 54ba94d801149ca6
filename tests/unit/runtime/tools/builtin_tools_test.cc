// Every built-in tool as the runtime calls it: arguments that fit the schema, arguments that do not, and what the model reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "proto/util/limits.h"
#include "proto/util/names.h"
#include "runtime/json_schema.h"
#include "runtime/tools/calculator.h"
#include "runtime/tools/clock.h"
#include "runtime/tools/documents.h"
#include "runtime/tools/read_doc.h"
#include "runtime/tools/search_docs.h"
#include "storage/sqlite/text_index.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tool_calls.h"

namespace agentruntime {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using testing::CallTool;
using ::testing::HasSubstr;
using testing::ResultOf;
using ::testing::StartsWith;

class FixedClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'366'400); }  // 2026-03-01 12:00:00 UTC, a Sunday
  absl::Duration Monotonic() const override { return absl::Seconds(10); }
};

class BuiltinToolsTest : public ::testing::Test {
 protected:
  ~BuiltinToolsTest() override { pool_.join(); }
  void Write(const std::string& name, const std::string& text) { std::ofstream(dir_.File(name)) << text; }
  std::string Result(Tool& tool, const std::string& arguments) { return ResultOf(CallTool(tool, arguments)); }

  TempDir dir_;
  boost::asio::thread_pool pool_{1};
  FixedClock clock_;
  const Folder folder_{dir_.path()};
  std::unique_ptr<TextIndex> index_ = *sqlite::OpenTextIndex(":memory:");
  Documents documents_{folder_, *index_, clock_};
  SearchDocs search_{"search_docs", documents_, pool_.get_executor()};
  ReadDoc read_{"read_doc", folder_, pool_.get_executor()};
  Calculator calculator_{"calculator"};
  ClockTool clock_tool_{"clock", clock_, pool_.get_executor()};
};

TEST_F(BuiltinToolsTest, SpecsAreUsable) {
  for (Tool* tool : std::initializer_list<Tool*>{&search_, &read_, &calculator_, &clock_tool_}) {
    const ToolSpec& spec = tool->spec();
    EXPECT_TRUE(IsToolName(spec.name));
    EXPECT_FALSE(spec.description.empty());
    const auto schema = JsonSchema::Compile(spec.input_schema);
    EXPECT_TRUE(schema.ok()) << spec.name << schema.status();
    EXPECT_FALSE(schema->Check(R"({"unknown":1})").ok()) << spec.name;
    EXPECT_EQ(spec.side_effect, v1::SIDE_EFFECT_READ_ONLY);
    EXPECT_EQ(spec.attempts_max, kToolAttemptsMax);
    EXPECT_TRUE(spec.local);
    for (const char* arguments : {"", "[]", "null", "{", "{\"query\":1,\"path\":1,\"expression\":1,\"zone\":1}", "\xff"}) {
      CallTool(*tool, arguments);  // the schema refuses these before; still nothing breaks
    }
  }
}

TEST_F(BuiltinToolsTest, SearchDocsReturnsHitsAndCounts) {
  Write("a.md", "# Fruit\n\nAn apple a day.\n\nPears are fine.\n");
  const json result = json::parse(Result(search_, R"({"query":"how many apples and plums?"})"));
  EXPECT_EQ(result["summary"], "1 passage from 1 document");
  ASSERT_EQ(result["hits"].size(), 1u);
  const json& hit = result["hits"][0];
  EXPECT_EQ(hit["document"], "a.md");
  EXPECT_EQ(hit["line"], 3);
  EXPECT_EQ(hit["number"], 0);
  EXPECT_EQ(hit["heading"], "Fruit");
  EXPECT_EQ(hit["text"], "An apple a day.");
  EXPECT_EQ(hit["words"], json({"apples"}));
  EXPECT_TRUE(hit["score"].is_number());
  EXPECT_EQ(result["words"], json::parse(R"([{"word":"apples","passages":1},{"word":"plums","passages":0}])"));
  EXPECT_EQ(result["documents"], 1);
  EXPECT_EQ(result["passages"], 2);
  EXPECT_FALSE(result.contains("skipped"));
}

TEST_F(BuiltinToolsTest, SearchDocsKeepsToItsLimits) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Apple " + std::string(1900, 'x') + " end.\n\n";
  Write("a.md", text);
  EXPECT_EQ(json::parse(Result(search_, R"({"query":"apple"})"))["hits"].size(), 8u);
  EXPECT_EQ(json::parse(Result(search_, R"({"query":"apple","limit":3})"))["hits"].size(), 3u);
  const std::string large = Result(search_, R"({"query":"apple","limit":50})");
  EXPECT_LE(large.size(), static_cast<size_t>(kResultBytesMax));
  EXPECT_GT(json::parse(large)["hits"].size(), 20u);
  EXPECT_EQ(json::parse(Result(search_, R"({"query":"plum"})"))["summary"], "nothing found");
}

TEST_F(BuiltinToolsTest, SearchDocsSaysWhatIsWrong) {
  EXPECT_THAT(Result(search_, R"({"query":"apple"})"), AllOf(StartsWith("FAILED: "), HasSubstr("holds no *.md or *.txt")));
  Write("a.md", "x\n");
  EXPECT_EQ(Result(search_, R"({"query":"?!"})"), "FAILED: query: there is no word in it");
  const auto schema = JsonSchema::Compile(search_.spec().input_schema);
  for (const char* bad :
       {"{}", R"({"query":""})", R"({"query":5})", R"({"query":"x","limit":0})", R"({"query":"x","limit":51})", R"({"query":"x","limit":1.5})"}) {
    EXPECT_FALSE(schema->Check(bad).ok()) << bad;
  }
}

TEST_F(BuiltinToolsTest, ReadDocReadsLines) {
  Write("a.md", "one\ntwo\r\nthree\n");
  EXPECT_EQ(Result(read_, R"({"path":"a.md"})"), R"({"document":"a.md","from_line":1,"to_line":3,"lines":3,"text":"one\ntwo\nthree\n"})");
  EXPECT_EQ(Result(read_, R"({"path":"a.md","from_line":2,"to_line":2})"), R"({"document":"a.md","from_line":2,"to_line":2,"lines":3,"text":"two\n"})");
  EXPECT_EQ(json::parse(Result(read_, R"({"path":"a.md","to_line":99})"))["to_line"], 3);
  Write("empty.md", "");
  EXPECT_EQ(json::parse(Result(read_, R"({"path":"empty.md"})"))["lines"], 0);
}

TEST_F(BuiltinToolsTest, ReadDocSaysWhatIsWrong) {
  Write("rate-limits.md", "one\n");
  EXPECT_EQ(Result(read_, R"({"path":"rate-limit.md"})"), "FAILED: there is no document \"rate-limit.md\" in the folder; did you mean \"rate-limits.md\"?");
  EXPECT_THAT(Result(read_, R"({"path":"../../etc/passwd"})"), StartsWith("FAILED: "));
  EXPECT_THAT(Result(read_, R"({"path":"/etc/passwd"})"), StartsWith("FAILED: "));
  EXPECT_EQ(Result(read_, R"({"path":"rate-limits.md","from_line":5})"), "FAILED: from_line: 5 to 1 is no range of lines; the document has 1");
  EXPECT_EQ(Result(read_, R"({"path":"rate-limits.md","from_line":5,"to_line":9})"), "FAILED: from_line: 5 lies beyond the end; the document has 1 lines");
}

TEST_F(BuiltinToolsTest, ReadDocComesInPiecesThatFit) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line \"" + std::to_string(i) + "\" \x01\x02\n";
  Write("long.md", text);
  std::string read;
  int pieces = 0;
  for (int64_t from = 1; from > 0; ++pieces) {
    const std::string result = Result(read_, json{{"path", "long.md"}, {"from_line", from}}.dump());
    ASSERT_LE(result.size(), static_cast<size_t>(kResultBytesMax));
    const json piece = json::parse(result);
    read += piece["text"].get<std::string>();
    from = piece.value("next_line", 0);
  }
  EXPECT_EQ(read, text);
  EXPECT_GT(pieces, 1);
  Write("wide.md", std::string(1 << 20, '\x01') + "\nsecond\n");
  const std::string wide = Result(read_, R"({"path":"wide.md"})");
  EXPECT_LE(wide.size(), static_cast<size_t>(kResultBytesMax));
  EXPECT_TRUE(json::parse(wide)["cut"]);
  EXPECT_EQ(json::parse(wide)["next_line"], 2);
}

TEST_F(BuiltinToolsTest, CalculatorTellsValueOrError) {
  EXPECT_EQ(Result(calculator_, R"({"expression":"2+3*4"})"), R"({"expression":"2+3*4","value":14})");
  EXPECT_EQ(Result(calculator_, R"({"expression":"0.1+0.2"})"), R"({"expression":"0.1+0.2","value":0.30000000000000004})");
  EXPECT_EQ(Result(calculator_, R"({"expression":"2^53"})"), R"({"expression":"2^53","value":9007199254740992})");
  EXPECT_EQ(Result(calculator_, R"({"expression":"10^300"})"), R"({"expression":"10^300","value":1e+300})");
  EXPECT_EQ(Result(calculator_, R"({"expression":"1/0"})"), "FAILED: expression: position 2: division by zero");
}

TEST_F(BuiltinToolsTest, ClockTellsTheTimeInAZone) {
  EXPECT_EQ(Result(clock_tool_, "{}"),
            R"({"utc":"2026-03-01T12:00:00Z","zone":"UTC","local":"2026-03-01T12:00:00+00:00","weekday":"Sunday","unix_seconds":1772366400})");
  EXPECT_EQ(json::parse(Result(clock_tool_, R"({"zone":"Asia/Tokyo"})"))["local"], "2026-03-01T21:00:00+09:00");
}

TEST_F(BuiltinToolsTest, ClockRefusesWhatIsNoZone) {
  for (const char* zone :
       {"Nowhere/Land", "../../../etc/localtime", "/etc/localtime", "file:/etc/localtime", "Europe", "Europe/../UTC", "libc:localtime", "zone.tab\\u0000"}) {
    EXPECT_THAT(Result(clock_tool_, std::string("{\"zone\":\"") + zone + "\"}"), AllOf(StartsWith("FAILED: zone: "), HasSubstr("Europe/Berlin"))) << zone;
  }
}

}  // namespace
}  // namespace agentruntime
