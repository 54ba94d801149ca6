#include "server/rpc/codec.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/string_view.h"
#include "agentruntime/v1/agent_service.pb.h"
#include "agentruntime/v1/run_service.pb.h"
#include "proto/util/errors.h"
#include "proto/util/limits.h"

namespace agentruntime::rpc {
namespace {

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// The encoded message with `from` replaced by as many bytes that are no UTF-8.
std::string Spoil(const google::protobuf::Message& message, absl::string_view from) {
  std::string bytes = message.SerializeAsString();
  const size_t at = bytes.find(from.data(), 0, from.size());
  EXPECT_NE(at, std::string::npos);
  return bytes.replace(at, from.size(), std::string(from.size(), '\xff'));
}

std::string Refusal(const std::string& bytes, google::protobuf::Message&& message) {
  const absl::Status status = Decode(ToBuffer(bytes), message);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_INVALID_FIELD);
  return std::string(status.message());
}

TEST(CodecTest, DecodesWhatWasEncoded) {
  v1::CreateRunRequest request;
  request.mutable_run()->set_agent("agents/a");
  const auto bytes = Encode(request);
  ASSERT_TRUE(bytes.ok());
  v1::CreateRunRequest decoded;
  ASSERT_TRUE(Decode(*bytes, decoded).ok());
  EXPECT_EQ(decoded.SerializeAsString(), request.SerializeAsString());
}

TEST(CodecTest, NamesTheFieldThatIsNotUtf8) {
  v1::CreateRunRequest request;
  request.set_request_id("good");
  request.mutable_run()->set_agent("agents/a");
  request.mutable_run()->add_input()->set_text("fine");
  request.mutable_run()->add_input()->set_text("SPOIL");
  (*request.mutable_run()->mutable_labels())["key"] = "VALUE";
  EXPECT_EQ(Refusal(Spoil(request, "SPOIL"), v1::CreateRunRequest()), "run.input[1].text: is not valid UTF-8; send text as UTF-8");
  EXPECT_EQ(Refusal(Spoil(request, "VALUE"), v1::CreateRunRequest()), "run.labels: is not valid UTF-8; send text as UTF-8");
  EXPECT_EQ(Refusal(Spoil(request, "good"), v1::CreateRunRequest()), "request_id: is not valid UTF-8; send text as UTF-8");

  v1::CreateAgentRequest agent;
  agent.mutable_agent()->add_tools("fine");
  agent.mutable_agent()->add_tools("SPOIL");
  EXPECT_EQ(Refusal(Spoil(agent, "SPOIL"), v1::CreateAgentRequest()), "agent.tools[1]: is not valid UTF-8; send text as UTF-8");
}

TEST(CodecTest, DropsWhatThisServerDoesNotKnow) {
  v1::CreateRunRequest request;
  request.mutable_run()->set_agent("agents/a");
  request.mutable_run()->mutable_limits()->set_max_steps(3);
  v1::CreateRunRequest more = request;
  const auto add = [](google::protobuf::Message& message) { message.GetReflection()->MutableUnknownFields(&message)->AddVarint(999, 1); };
  add(more);
  add(*more.mutable_run());
  add(*more.mutable_run()->mutable_limits());
  v1::CreateRunRequest decoded;
  ASSERT_TRUE(Decode(ToBuffer(more.SerializeAsString()), decoded).ok());
  EXPECT_EQ(decoded.SerializeAsString(), request.SerializeAsString());
}

TEST(CodecTest, RefusesWhatIsNoProtobuf) {
  const std::string expected = "request: is not a agentruntime.v1.CreateRunRequest in protobuf's encoding";
  EXPECT_EQ(Refusal(std::string(100, '\xff'), v1::CreateRunRequest()), expected);
  EXPECT_EQ(Refusal("\x0a\x7f", v1::CreateRunRequest()), expected);
  EXPECT_EQ(Refusal(std::string("\x0a\xff\xff\xff\xff\x0f", 6), v1::CreateRunRequest()), expected);
}

TEST(CodecTest, AnAnswerThatIsTooLargeIsAnErrorOfItsOwn) {
  v1::Step step;
  step.mutable_decision()->add_content()->set_text(std::string(kResponseBytesMax, 'x'));
  EXPECT_EQ(ReasonOf(Encode(step).status()), v1::ERROR_REASON_MESSAGE_TOO_LARGE);
}

TEST(CodecTest, SharedBytesAreNotCopiedAndOutliveTheirMaker) {
  auto memory = std::make_shared<char[]>(100'000, 'x');
  const std::weak_ptr<char[]> watch = memory;
  const char* data = memory.get();
  {
    grpc::ByteBuffer buffer = Share(EncodedResponse(std::move(memory), {data, 100'000}));
    EXPECT_FALSE(watch.expired());
    std::vector<grpc::Slice> slices;
    ASSERT_TRUE(buffer.Dump(&slices).ok());
    ASSERT_EQ(slices.size(), 1u);
    EXPECT_EQ(reinterpret_cast<const char*>(slices[0].begin()), data);
  }
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace agentruntime::rpc
