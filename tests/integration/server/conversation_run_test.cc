// Conversations of a real server.
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using Stub = v1::RunService::Stub;

class ConversationRunTest : public SharedServer {
 protected:
  static v1::CreateRunRequest In(const std::string& conversation, const std::string& text) {
    v1::CreateRunRequest request = Submit(text);
    request.mutable_run()->set_conversation(conversation);
    return request;
  }
};

TEST_F(ConversationRunTest, GoesOnRunAfterRun) {
  const auto first = Create(stubs(), In("a", "add"));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(AwaitStop(stubs(), first->name()).ok());
  const auto second = Create(stubs(), In("a", "hang"));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->conversation(), "a");
  AwaitEvents(stubs(), second->name(), 2);
  v1::ListEventsRequest events;
  events.set_parent(second->name());
  events.set_page_size(1);
  const auto created = Call(stubs().run, &Stub::ListEvents, events);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_THAT(created->events(0).run_created().earlier_runs(), ::testing::ElementsAre(first->name()));

  EXPECT_EQ(Say(Create(stubs(), In("a", "add")).status()),
            absl::StrCat("FAILED_PRECONDITION CONVERSATION_BUSY: run.conversation: ", second->name(),
                         " of this conversation has not stopped; wait for its stop, cancel it, or tell it more with SendInput"));
  EXPECT_TRUE(Create(stubs(), In("b", "add")).ok());
  v1::ListRunsRequest list;
  list.set_conversation("a");
  const auto listed = Call(stubs().run, &Stub::ListRuns, list);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->runs_size(), 2);
  // Two runs of one millisecond are listed in either order.
  EXPECT_THAT((std::vector<std::string>{listed->runs(0).name(), listed->runs(1).name()}), ::testing::UnorderedElementsAre(first->name(), second->name()));
  EXPECT_EQ(listed->runs(1).conversation(), "a");
}

TEST_F(ConversationRunTest, RefusesAKeyThatIsNone) {
  EXPECT_EQ(Say(Create(stubs(), In("caf\xc3\xa9", "add")).status()),
            "INVALID_ARGUMENT INVALID_FIELD: run.conversation: is not 1-128 printable ASCII characters; shorten or hash your key");
}

}  // namespace
}  // namespace agentruntime::testing
