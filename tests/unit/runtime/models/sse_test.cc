#include "runtime/models/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace agentruntime {
namespace {

using ::testing::ElementsAre;

// The events of `stream`, fed in pieces of `piece` bytes, as "type|data".
std::vector<std::string> Read(absl::string_view stream, size_t piece) {
  SseParser parser;
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size(); at += piece) {
    EXPECT_TRUE(parser
                    .Feed(stream.substr(at, piece),
                          [&](const SseEvent& event) {
                            events.push_back(event.type + "|" + event.data);
                            return true;
                          })
                    .ok());
  }
  return events;
}

TEST(SseParserTest, ReadsTheSameEventsHoweverTheStreamIsCutAndHoweverLinesEnd) {
  const std::string lines =
      "\xEF\xBB\xBF"
      ": ping\ndata: one\n\n"
      ":\n"
      "event: delta\ndata:two\ndata:  three\nid: 7\nretry: 10\nunknown: x\n\n"
      "\n\n"
      "event: nothing\n\n"
      "data\n\n"
      "data: gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\n\n"
      "data: cut off";
  for (const char* end : {"\n", "\r\n", "\r"}) {
    std::string stream;
    for (const char c : lines) c == '\n' ? stream.append(end) : stream.append(1, c);
    for (size_t piece = 1; piece <= stream.size(); ++piece) {
      EXPECT_THAT(Read(stream, piece), ElementsAre("|one", "delta|two\n three", "|", "|gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80")) << "pieces of " << piece;
    }
  }
}

TEST(SseParserTest, RefusesEventsLargerThanTheBound) {
  const auto take = [](const SseEvent&) { return true; };
  SseParser parser(100);
  EXPECT_TRUE(parser.Feed("data: " + std::string(90, 'x') + "\n\n", take).ok());
  EXPECT_TRUE(parser.Feed("data: " + std::string(90, 'x'), take).ok());
  EXPECT_EQ(parser.Feed(std::string(5, 'x'), take).code(), absl::StatusCode::kResourceExhausted);

  SseParser many_lines(100);
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = many_lines.Feed("data: 1234567890\n", take);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

TEST(SseParserTest, StopsWhereItIsTold) {
  SseParser parser;
  int events = 0;
  EXPECT_TRUE(parser.Feed("data: 1\n\ndata: 2\n\n", [&](const SseEvent&) { return ++events < 1; }).ok());
  EXPECT_EQ(events, 1);
}

}  // namespace
}  // namespace agentruntime
