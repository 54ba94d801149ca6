#include "server/rpc/hash.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "agentruntime/v1/run_service.pb.h"

namespace agentruntime::rpc {
namespace {

template <typename Request>
Request Parsed(const std::string& text) {
  Request request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

// Of the request that `text` says, in hexadecimal.
template <typename Request>
std::string HashOf(const std::string& text) {
  return absl::BytesToHexString(RequestHash(Parsed<Request>(text)));
}

TEST(HashTest, TheOrderOfLabelsDoesNotMatter) {
  v1::Run a, b;
  for (int i = 0; i < 32; ++i) (*a.mutable_labels())["k" + std::to_string(i)] = "v";
  for (int i = 31; i >= 0; --i) (*b.mutable_labels())["k" + std::to_string(i)] = "v";
  EXPECT_EQ(RequestHash(a), RequestHash(b));
  (*b.mutable_labels())["k0"] = "w";
  EXPECT_NE(RequestHash(a), RequestHash(b));
}

// Stored beside each run and each command: another value turns honest retries into ALREADY_EXISTS after an upgrade. Whoever changes one of these on purpose
// gives the hash a new version and compares a stored one of the old version in the old way. A new field changes none of them: requests without it are as they
// were.
TEST(HashTest, IsTheSameForEver) {
  // By hand: 01, then `printf 'agentruntime.v1.Run\0\x12\x08agents/a\x1a\x07\x0a\x05hello' | sha256sum`.
  EXPECT_EQ(HashOf<v1::Run>(R"(agent: "agents/a" input { text: "hello" })"), "015747fe32b6bb5d21e4b525cf1e1b2e443e1798a78f9e9dffc6d4ce4c4e36ca55");
  EXPECT_EQ(HashOf<v1::Run>(""), "0186317af8b2414826aec52f3f3bff86bb228c14437f88b9e3b95b3e52da5f5a6a");
  // Each kind of part, each limit, maps with several keys, times, signs, text beyond ASCII.
  EXPECT_EQ(HashOf<v1::Run>(R"(
              agent: "agents/a/revisions/3"
              input { text: "größer 😀" }
              input { json: "{\"a\": [1, 2.50, null]}" }
              input { artifact { name: "runs/x/artifacts/1" bytes: 70000 media_type: "text/plain" excerpt: "first" } }
              limits { max_steps: 10 max_tool_calls: 0 max_tokens: 9007199254740993 timeout { seconds: 90 nanos: 500000000 } max_cost_micros: 1000000 max_repeats: 3 }
              labels { key: "team" value: "x" }
              labels { key: "customer" value: "" }
              labels { key: "a/b.c-d" value: "größer" }
              labels { key: "z" value: "1" }
              labels { key: "Team" value: "y" }
              title: "A title"
              deadline { seconds: 1800000000 nanos: 1 }
              priority: -5
              not_before_time { seconds: 1799999999 }
              conversation: "conversations/c")"),
            "01fba9a9f339e6fab867c7738db350f4c2bb259405381fe6dc94093ef191f5e474");
  EXPECT_EQ(HashOf<v1::ForkRunRequest>(R"(
              name: "runs/x"
              step: 2
              agent: "agents/b"
              limits { max_steps: 5 }
              input { text: "again" }
              labels { key: "b" value: "2" }
              labels { key: "a" value: "1" }
              allow_side_effects: true
              deadline { seconds: 1800000000 })"),
            "01e2650d174b94a6431f0dc83a9bf17611c85f6633edd21a15fafddf67df2c59a7");
  EXPECT_EQ(HashOf<v1::ResumeRunRequest>(R"(name: "runs/x" limits { max_tokens: 5 } input { text: "more" } deadline { seconds: 1800000000 })"),
            "01e5747d5ca5564f86a1064dabe0d6c5858bc3f3985d02499f04166f448243c5d2");
  EXPECT_EQ(HashOf<v1::CancelRunRequest>(R"(name: "runs/x" cause: "no more")"), "01cfe794a98621cb80b799c47e4cb59bafb2e8a2903861e75b111f2ee641216e23");
  EXPECT_EQ(HashOf<v1::SendInputRequest>(R"(name: "runs/x" input { text: "by the way" } input { text: "" })"),
            "0159fb04c66b770b9873cdb8a2907c2ddcb5f231880e6e92d57c30e6d53a0ee1b5");
  EXPECT_EQ(HashOf<v1::ResolveCallRequest>(R"(name: "runs/x" call_id: "1.2" answer { allow { arguments: "{\"a\":1}" } })"),
            "016f84fa9625d8d07e16dde2cef49364aea03deba251b4c329a1e42debb68f937c");
  EXPECT_EQ(HashOf<v1::ResolveCallRequest>(R"(name: "runs/x" call_id: "1.2" answer { run_again {} })"),
            "016b98b8141d61b44a6049df4b693d146f86acec1733161423c695eb315eceea87");
}

}  // namespace
}  // namespace agentruntime::rpc
