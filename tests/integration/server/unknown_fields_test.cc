// Fields that the server does not know, large, in each message of a request: they end neither the server nor in a journal.
#include <google/protobuf/message.h>

#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include "proto/util/time.h"
#include "tests/integration/server/fixture.h"

namespace agentruntime::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Stub = v1::RunService::Stub;

constexpr int kUnknownField = 999;
constexpr size_t kUnknownBytes = 2 << 20;  // over an event's bound, below a message's
constexpr size_t kKeptBytesMost = 64 << 10;

// `message` and every message in it. Not the entries of maps, which keep no unknown fields.
void Collect(Message& message, std::vector<Message*>& found) {
  found.push_back(&message);
  std::vector<const FieldDescriptor*> fields;
  const auto* const reflection = message.GetReflection();
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      Collect(*reflection->MutableMessage(&message, field), found);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) Collect(*reflection->MutableRepeatedMessage(&message, field, i), found);
  }
}

// The request once for each message in it, which then has the unknown field.
template <typename Request, typename Send>
void ForEachMessage(const Request& request, const Send& send) {
  for (size_t i = 0;; ++i) {
    Request spoiled = request;
    std::vector<Message*> messages;
    Collect(spoiled, messages);
    if (i == messages.size()) return;
    messages[i]->GetReflection()->MutableUnknownFields(messages[i])->AddLengthDelimited(kUnknownField, std::string(kUnknownBytes, 'x'));
    send(spoiled, messages[i]->GetTypeName());
  }
}

v1::Limits SomeLimits() {
  v1::Limits limits;
  limits.set_max_steps(9);
  limits.mutable_timeout()->set_seconds(60);
  return limits;
}

google::protobuf::Timestamp Tomorrow() { return ToProto(absl::Now() + absl::Hours(24)); }

class UnknownFieldsTest : public ::testing::Test {
 protected:
  UnknownFieldsTest() {
    server_.Write("agentd.yaml", R"(listen: {grpc: "127.0.0.1:0"}
store: {sqlite: {path: data/agentd.db}}
models: [{name: script, scripted: {file: script.json}}]
agents: [tester.yaml]
tools: [{name: calculator, calculator: {}}, {name: ask, ask_person: {}}]
)");
    server_.Write("tester.yaml", "name: tester\nmodel: script\ntools: [calculator, ask]\napprove_tools: [calculator]\n");
    server_.Write("script.json", R"({"rules": [
      {"input_contains": "approve", "steps": [{"calls": [{"tool": "calculator", "arguments": {"expression": "1+1"}}]}, {"text": ["2"]}]},
      {"input_contains": "ask", "steps": [{"repeat": 100, "calls": [{"tool": "ask", "arguments": {"question": "{step}?"}}]}]},
      {"input_contains": "", "steps": [{"text": ["done"]}]}]})");
    server_.Start();
    stubs_ = std::make_unique<Stubs>(server_.Connect());
  }

  // A run that waits for a person.
  v1::Run Waiting(const std::string& input) {
    const auto created = Create(*stubs_, Submit(input));
    const auto run = created.ok() ? AwaitStop(*stubs_, created->name()) : created;
    EXPECT_TRUE(run.ok() && run->state() == v1::RUN_STATE_WAITING) << run.status();
    return run.ok() ? *run : v1::Run();
  }
  void Cancel(const std::string& run) {
    v1::CancelRunRequest request;
    request.set_name(run);
    ASSERT_TRUE(Call(stubs_->run, &Stub::CancelRun, request).ok());
    const auto stopped = AwaitStop(*stubs_, run);
    ASSERT_TRUE(stopped.ok() && stopped->state() == v1::RUN_STATE_STOPPED) << stopped.status();
  }
  // The request was taken for what is known of it, and that is all that is kept.
  void ExpectKept(const absl::StatusOr<v1::Run>& run, const std::string& where) {
    ASSERT_TRUE(run.ok()) << where << ": " << run.status();
    EXPECT_LT(run->ByteSizeLong(), kKeptBytesMost) << where;
    v1::ListEventsRequest request;
    request.set_parent(run->name());
    const auto events = Call(stubs_->run, &Stub::ListEvents, request);
    ASSERT_TRUE(events.ok()) << where << ": " << events.status();
    for (const v1::Event& event : events->events()) EXPECT_LT(event.ByteSizeLong(), kKeptBytesMost) << where << ", event " << event.sequence();
  }

  TestServer server_;
  std::unique_ptr<Stubs> stubs_;
};

TEST_F(UnknownFieldsTest, CreateRun) {
  v1::CreateRunRequest request = Submit("hello");
  *request.mutable_run()->mutable_limits() = SomeLimits();
  *request.mutable_run()->mutable_deadline() = Tomorrow();
  *request.mutable_run()->mutable_not_before_time() = ToProto(absl::Now() - absl::Hours(1));
  ForEachMessage(request, [&](const auto& spoiled, const std::string& where) { ExpectKept(Create(*stubs_, spoiled), where); });
}

TEST_F(UnknownFieldsTest, ResumeRun) {
  v1::ResumeRunRequest request;
  request.set_name(Waiting("ask").name());
  *request.mutable_limits() = SomeLimits();
  *request.mutable_deadline() = Tomorrow();
  request.add_input()->set_text("go on");
  ForEachMessage(request, [&](const auto& spoiled, const std::string& where) {
    Cancel(request.name());
    ExpectKept(Call(stubs_->run, &Stub::ResumeRun, spoiled), where);
  });
}

TEST_F(UnknownFieldsTest, ResolveCall) {
  const auto resolve = [&](const std::string& input, const v1::CallAnswer& answer) {
    v1::ResolveCallRequest request;
    request.set_call_id("1.1");
    *request.mutable_answer() = answer;
    ForEachMessage(request, [&](v1::ResolveCallRequest spoiled, const std::string& where) {
      spoiled.set_name(Waiting(input).name());
      ExpectKept(Call(stubs_->run, &Stub::ResolveCall, spoiled), where);
    });
  };
  v1::CallAnswer answer;
  answer.mutable_allow();
  resolve("approve", answer);
  answer.mutable_deny()->set_reason("no");
  resolve("approve", answer);
  answer.mutable_result()->add_parts()->set_text("yes");
  resolve("ask", answer);
  answer.mutable_give_up();
  resolve("ask", answer);
}

TEST_F(UnknownFieldsTest, ForkRun) {
  v1::ForkRunRequest request;
  request.set_name(Waiting("ask").name());
  *request.mutable_limits() = SomeLimits();
  *request.mutable_deadline() = Tomorrow();
  request.add_input()->set_text("otherwise");
  ForEachMessage(request, [&](const auto& spoiled, const std::string& where) { ExpectKept(Call(stubs_->run, &Stub::ForkRun, spoiled), where); });
}

TEST_F(UnknownFieldsTest, UpdateAgent) {
  v1::UpdateAgentRequest request;
  request.mutable_agent()->set_name("agents/tester");
  request.mutable_agent()->set_model("script");
  *request.mutable_agent()->mutable_limits() = SomeLimits();
  request.mutable_agent()->mutable_model_settings()->set_max_output_tokens(100);
  request.mutable_agent()->mutable_call_wait()->set_seconds(60);
  ForEachMessage(request, [&](const auto& spoiled, const std::string& where) {
    const auto agent = Call(stubs_->agent, &v1::AgentService::Stub::UpdateAgent, spoiled);
    ASSERT_TRUE(agent.ok()) << where << ": " << agent.status();
    EXPECT_LT(agent->ByteSizeLong(), kKeptBytesMost) << where;
    EXPECT_EQ(agent->revision(), "agents/tester/revisions/2") << where << ": what is unknown makes no other content";
  });
}

}  // namespace
}  // namespace agentruntime::testing
