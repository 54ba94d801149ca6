#include "server/config.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proto/util/time.h"
#include "proto/util/yaml.h"
#include "tests/support/temp_dir.h"

namespace agentruntime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ConfigTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = dir_.File(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  absl::StatusOr<LoadedConfig> Load(const std::string& text, const ConfigOverrides& overrides = {}) {
    return LoadConfig(Write("agentd.yaml", text), overrides);
  }
  // The message, with the test's folder as DIR.
  std::string Refusal(const std::string& text, const ConfigOverrides& overrides = {}) {
    const auto loaded = Load(text, overrides);
    return loaded.ok() ? "accepted" : absl::StrReplaceAll(std::string(loaded.status().message()), {{dir_.path(), "DIR"}});
  }

  TempDir dir_;
};

TEST_F(ConfigTest, AnEmptyFileIsAWorkingServer) {
  const auto loaded = Load("");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->listen.ToString(), "127.0.0.1:7070");
  EXPECT_EQ(loaded->config.store().sqlite().path(), dir_.File("agentd.db"));
  EXPECT_EQ(loaded->config.limits().defaults().max_steps(), 25);
  EXPECT_EQ(loaded->config.limits().maxima().max_steps(), 10'000);
  EXPECT_EQ(FromProto(loaded->config.limits().defaults().timeout()), absl::Minutes(10));
  EXPECT_EQ(FromProto(loaded->config.limits().maxima().timeout()), absl::Hours(720));
  EXPECT_EQ(FromProto(loaded->config.drain_grace()), absl::Seconds(20));
  ASSERT_EQ(loaded->config.models_size(), 1);
  EXPECT_EQ(loaded->offer.models.at("extractive"), "search_docs");
  EXPECT_THAT(loaded->offer.tools, ::testing::IsEmpty());
}

TEST_F(ConfigTest, PathsAreRelativeToTheFile) {
  std::filesystem::create_directories(dir_.File("docs"));
  Write("agents/a.yaml", "name: a\nmodel: extractive\ntools: [search_docs]\n");
  const auto loaded = Load("store: {sqlite: {path: data/x.db}}\ntools: [{name: search_docs, search_docs: {folder: docs}}]\nagents: [agents/a.yaml]\n");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.store().sqlite().path(), dir_.File("data/x.db"));
  EXPECT_EQ(loaded->config.tools(0).search_docs().folder(), dir_.File("docs"));
  ASSERT_EQ(loaded->agents.size(), 1u);
  EXPECT_EQ(loaded->agents[0].name(), "agents/a");
}

TEST_F(ConfigTest, AMaximumLowersTheDefaultThatNobodySet) {
  const auto loaded = Load("limits: {maxima: {max_steps: 7, max_repeats: 3, timeout: 90s}}");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.limits().defaults().max_repeats(), 3);
  EXPECT_EQ(loaded->config.limits().defaults().max_steps(), 7);
  EXPECT_EQ(FromProto(loaded->config.limits().defaults().timeout()), absl::Seconds(90));
  EXPECT_EQ(FromProto(loaded->config.limits().maxima().timeout()), absl::Seconds(90));
}

TEST_F(ConfigTest, ABudgetOfMoneyIsADefaultOnlyWhereTheOperatorBoundsIt) {
  auto loaded = Load("");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(loaded->config.limits().defaults().has_max_cost_micros());
  loaded = Load("limits: {maxima: {max_cost_micros: 5_000_000}}");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.limits().defaults().max_cost_micros(), 5'000'000);
  loaded = Load("limits: {defaults: {max_cost_micros: 1_000_000}, maxima: {max_cost_micros: 5_000_000}}");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->config.limits().defaults().max_cost_micros(), 1'000'000);
}

TEST_F(ConfigTest, RefusalsNameThePlaceAndTheRemedy) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"listen: {grpc: \"0.0.0.0:7070\"}",
       "DIR/agentd.yaml:1:16: listen.grpc: \"0.0.0.0:7070\" is not a loopback address. TLS and authentication do not exist yet, so whoever reached it could do "
       "everything; use 127.0.0.1:7070, and from elsewhere an ssh tunnel of your own"},
      {"listen: {grpc: \"7070\"}", "DIR/agentd.yaml:1:16: listen.grpc: \"7070\" is not host:port; write it like 127.0.0.1:7070"},
      {"sessions: {threads: 0}", "DIR/agentd.yaml:1:21: sessions.threads: 0 is not in 1 to 256"},
      {"sessions: {threads: -3, queued_max: 0}",
       "DIR/agentd.yaml:1:21: sessions.threads: -3 is not in 1 to 256\nDIR/agentd.yaml:1:37: sessions.queued_max: 0 is not in 1 to 10000000"},
      {"limits: {defaults: {max_steps: 50}, maxima: {max_steps: 40}}", "DIR/agentd.yaml:1:32: limits.defaults.max_steps: 50 is not in 1 to 40"},
      {"limits: {defaults: {max_repeats: 1}}", "DIR/agentd.yaml:1:34: limits.defaults.max_repeats: 1 is not in 2 to 10000"},
      {"limits: {maxima: {timeout: 9000h}}", "DIR/agentd.yaml:1:28: limits.maxima.timeout: 9000h is not in 1ms to 720h"},
      {"drain_grace: 0.0000000001s", "DIR/agentd.yaml:1:14: drain_grace: 0.0000000001s is shorter than 1ms; give that or more, or 0s"},
      {"drain_grace: 2h", "DIR/agentd.yaml:1:14: drain_grace: 2h is not in 0 to 1h"},
      {"models:\n  - {name: a, extractive: {}}\n  - {name: a, extractive: {}}", "DIR/agentd.yaml:3:12: models[1].name: \"a\" is there twice; names are unique"},
      {"models: [{name: \"a b\", extractive: {}}]", "DIR/agentd.yaml:1:17: models[0].name: \"a b\" is not 1-64 characters of [a-zA-Z0-9_-]"},
      {"models: [{name: a}]", "DIR/agentd.yaml:1:10: models[0]: has no kind; give one of extractive, scripted, openai"},
      {"models: [{name: a, scripted: {file: gone.yaml}}]",
       "DIR/agentd.yaml:1:37: models[0].scripted.file: there is no file DIR/gone.yaml; make it or correct the path"},
      {"models: [{name: a, openai: {base_url: \"ftp://x\", model: m}}]", "DIR/agentd.yaml:1:39: models[0].openai.base_url: "},
      {"models: [{name: a, openai: {base_url: \"127.0.0.1:18080\", model: m}}]",
       "DIR/agentd.yaml:1:39: models[0].openai.base_url: the URL does not begin with http:// or https://; put one of them in front"},
      {"models: [{name: a, openai: {base_url: \"https://x.example/v1/chat/completions\", model: m}}]",
       "DIR/agentd.yaml:1:39: models[0].openai.base_url: ends with /chat/completions, which is added to it; leave that out"},
      {"models: [{name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: {env: AGENTRUNTIME_TEST_UNSET}}}]",
       "DIR/agentd.yaml:1:88: models[0].openai.api_key.env: the environment variable AGENTRUNTIME_TEST_UNSET is not set; export it before agentd starts"},
      {"models: [{name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: {file: gone}}}]",
       "DIR/agentd.yaml:1:89: models[0].openai.api_key.file: there is no such file; a key itself does not belong here, but in a file of its own"},
      {"tools: [{name: t, search_docs: {folder: gone}}]",
       "DIR/agentd.yaml:1:41: tools[0].search_docs.folder: there is no folder DIR/gone; make it or correct the path"},
      {"tools: [{name: t, http_get: {}}]", "DIR/agentd.yaml:1:29: tools[0].http_get.allow_hosts: is missing; name the hosts that may be asked"},
      {"tools: [{name: t, timeout: 0s, clock: {}}]", "DIR/agentd.yaml:1:28: tools[0].timeout: 0 is not in 1ms to 1h"},
      {"agents: [gone.yaml]", "DIR/agentd.yaml:1:10: agents[0]: there is no file DIR/gone.yaml"},
      {"limits: {maxima: {max_cost_micros: 0}}", "DIR/agentd.yaml:1:36: limits.maxima.max_cost_micros: 0 is not in 1 to 1000000000000000"},
      {"models: [{name: a, price: {input_micros: 1, output_micros: 1}, extractive: {}}]",
       "DIR/agentd.yaml: currency_code: is missing, and a model has a price; give the currency of it, such as USD"},
      {"currency_code: usd", "DIR/agentd.yaml:1:16: currency_code: \"usd\" is not three capital letters (ISO 4217), such as USD"},
      {"currency_code: USD\nmodels: [{name: a, price: {input_micros: -1, cached_input_micros: 3, output_micros: 1}, extractive: {}}]",
       "DIR/agentd.yaml:2:42: models[0].price.input_micros: -1 is not in 0 to 1000000000000\n"
       "DIR/agentd.yaml:2:67: models[0].price.cached_input_micros: 3 is not in 0 to -1"},
      {"node: \"a b\"", "DIR/agentd.yaml:1:7: node: is not 1-64 printable ASCII characters without spaces"},
  };
  for (const auto& refused : kCases) EXPECT_THAT(Refusal(refused.text), ::testing::StartsWith(refused.message)) << refused.text;
}

TEST_F(ConfigTest, AnHttpCallToolIsChecked) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{description: d}", "1:30: tools[0].http_call.url: is missing; give the URL that is called, such as https://billing.example.com/charge"},
      {"{url: \"ftp://x.example/\", description: d}", "1:36: tools[0].http_call.url: the URL's scheme is \"ftp\"; only http and https are asked"},
      {"{url: \"https://u:p@x.example/\", description: d}", "1:36: tools[0].http_call.url: the URL contains a user name or password"},
      {"{url: \"https://x.example/#here\", description: d}", "1:36: tools[0].http_call.url: has a fragment, which is never sent; leave out what begins with #"},
      {"{url: \"http://x.example/\", description: d, token: {env: AGENTRUNTIME_TEST_KEY}}",
       "1:36: tools[0].http_call.url: would send the token without encryption; use https://, or leave token out"},
      {"{url: \"https://x.example/\"}", "1:30: tools[0].http_call.description: is missing; tell the model what the tool does and when to use it"},
      {"{url: \"https://x.example/\", description: d, input_schema: \"{\"}", "1:88: tools[0].http_call.input_schema: schema: "},
      {"{url: \"https://x.example/\", description: d, input_schema: '{\"type\":\"objekt\"}'}", "1:88: tools[0].http_call.input_schema: schema: "},
      {"{url: \"https://x.example/\", description: d, input_schema: '{\"type\":\"string\"}'}",
       "1:88: tools[0].http_call.input_schema: does not say that arguments are an object, as every tool's are; add \"type\": \"object\""},
      {"{url: \"https://x.example/\", description: d, side_effect: harmless}", "1:87: tools[0].http_call.side_effect: "},
      {"{url: \"https://x.example/\", description: d, token: sk-secret}", "tools[0].http_call.token: write {env: NAME} or {file: PATH}"},
      {"{url: \"https://x.example/\", description: d, token: {env: AGENTRUNTIME_TEST_UNSET}}", "1:87: tools[0].http_call.token.env: "},
      {"{url: \"https://x.example/\", description: d, response_bytes_max: 0}", "1:94: tools[0].http_call.response_bytes_max: 0 is not in 1 to 10000000"},
      {"{url: \"https://x.example/\", description: d, connections_max: 10_001}", "1:91: tools[0].http_call.connections_max: 10001 is not in 1 to 10000"},
  };
  setenv("AGENTRUNTIME_TEST_KEY", "sk-of-a-test", 1);
  for (const auto& [tool, message] : kCases) {
    EXPECT_THAT(Refusal(absl::StrCat("tools: [{name: t, http_call: ", tool, "}]")), HasSubstr(message)) << tool;
  }
  EXPECT_THAT(Refusal(absl::StrCat("tools: [{name: t, http_call: {url: \"https://x.example/\", description: ", std::string(4097, 'd'), "}}]")),
              HasSubstr("tools[0].http_call.description: has 4097 bytes; at most 4096"));
}

TEST_F(ConfigTest, ASubAgentToolIsChecked) {
  const std::pair<const char*, const char*> kCases[] = {
      {"sub_agent: {description: d}", "tools[0].sub_agent.agent: is missing; name the agent that answers, as agents/{agent}"},
      {"sub_agent: {agent: docs, description: d}", "tools[0].sub_agent.agent: \"docs\" is not agents/{agent} or agents/{agent}/revisions/{revision}"},
      {"sub_agent: {agent: agents/docs}", "tools[0].sub_agent.description: is missing; tell the model what the tool does and when to use it"},
      {"sub_agent: {agent: agents/docs, description: d, limits: {max_steps: 0}}", "tools[0].sub_agent.limits.max_steps: 0 is not in 1 to 10000"},
      {"timeout: 721h, sub_agent: {agent: agents/docs, description: d}", "tools[0].timeout: 721h is not in 1ms to 720h"},
  };
  for (const auto& [tool, message] : kCases) EXPECT_THAT(Refusal(absl::StrCat("tools: [{name: t, ", tool, "}]")), HasSubstr(message)) << tool;
  const auto loaded = Load("tools: [{name: t, sub_agent: {agent: agents/docs/revisions/2, description: d}}]");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(FromProto(loaded->config.tools(0).timeout()), absl::Hours(24));
}

TEST_F(ConfigTest, AnHttpCallToolMayLeadToThisMachine) {
  Write("secrets/token", "t0ken-of-a-test\n");
  const auto loaded = Load(
      "tools:\n"
      "  - {name: t, http_call: {url: \"http://127.0.0.1:9/x?v=1\", description: d, token: {file: secrets/token}}}\n"
      "  - {name: u, http_call: {url: \"https://10.1.2.3/\", description: d, side_effect: read_only}}\n");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto& tool = loaded->config.tools(0).http_call();
  EXPECT_EQ(tool.input_schema(), R"({"type":"object"})");
  EXPECT_EQ(tool.side_effect(), v1::SIDE_EFFECT_UNSAFE);
  EXPECT_EQ(tool.response_bytes_max(), 1'000'000);
  EXPECT_EQ(tool.connections_max(), 64);
  EXPECT_EQ(FromProto(loaded->config.tools(0).timeout()), absl::Seconds(30));
  EXPECT_EQ(loaded->config.tools(1).http_call().side_effect(), v1::SIDE_EFFECT_READ_ONLY);
  EXPECT_EQ(loaded->keys.tools.at("t").Reveal(), "t0ken-of-a-test");
  EXPECT_THAT(PrintConfig(loaded->config), Not(HasSubstr("t0ken")));
}

TEST_F(ConfigTest, AScriptThatIsNoneIsRefused) {
  Write("s.json", R"({"rules": []})");
  EXPECT_THAT(Refusal("models: [{name: a, scripted: {file: s.json}}]"), ::testing::StartsWith("DIR/s.json: "));
  Write("s.json", "no script");
  EXPECT_THAT(Refusal("models: [{name: a, scripted: {file: s.json}}]"), ::testing::StartsWith("DIR/s.json: not JSON: parse error at line 1"));
}

TEST_F(ConfigTest, AnAgentFileIsCheckedAgainstTheConfiguration) {
  std::filesystem::create_directories(dir_.File("docs"));
  Write("a.yaml", "name: a\nmodel: extractiv\ntools: [search_docs, raed_doc]\n");
  EXPECT_EQ(Refusal("tools:\n  - {name: search_docs, search_docs: {folder: docs}}\n  - {name: read_doc, read_doc: {folder: docs}}\nagents: [a.yaml]\n"),
            "DIR/a.yaml:2:8: model: no model named \"extractiv\" on this server; did you mean \"extractive\"?\n"
            "DIR/a.yaml:3:22: tools[1]: no tool named \"raed_doc\" on this server; did you mean \"read_doc\"?");
}

TEST_F(ConfigTest, WhatNeedsAPersonsWordIsAmongTheAgentsTools) {
  const std::string config =
      "models: [{name: gpt, openai: {base_url: \"https://x.example/v1\", model: m}}]\n"
      "tools: [{name: ask, ask_person: {}}, {name: clock, clock: {}}]\nagents: [a.yaml]\n";
  Write("a.yaml", "name: a\nmodel: gpt\ntools: [ask, clock]\napprove_tools: [clokc]\nlimits: {max_repeats: 1}\n");
  EXPECT_EQ(Refusal(config),
            "DIR/a.yaml:4:17: approve_tools[0]: \"clokc\" is not among the agent's tools; did you mean \"clock\"?\n"
            "DIR/a.yaml:5:23: limits.max_repeats: 1 is below 2");
  Write("a.yaml", "name: a\nmodel: gpt\ntools: [ask, clock]\napprove_tools: [clock]\nlimits: {max_repeats: 20}\n");
  const auto loaded = Load(config);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->agents.at(0).approve_tools(0), "clock");
  EXPECT_EQ(loaded->config.limits().defaults().max_repeats(), 10);
  EXPECT_EQ(loaded->config.limits().maxima().max_repeats(), 10'000);
}

TEST_F(ConfigTest, TheExtractiveModelNeedsItsTool) {
  Write("a.yaml", "name: a\nmodel: extractive\n");
  EXPECT_EQ(Refusal("agents: [a.yaml]"), "DIR/a.yaml: tools: model \"extractive\" cannot work without the tool \"search_docs\"; add it");
}

TEST_F(ConfigTest, AnAgentHasOneFile) {
  Write("a.yaml", "name: a\nmodel: gpt\n");
  Write("b.yaml", "name: a\nmodel: gpt\n");
  EXPECT_EQ(Refusal("models: [{name: gpt, openai: {base_url: \"https://x.example/v1\", model: m}}]\nagents: [a.yaml, b.yaml]"),
            "DIR/agentd.yaml:2:18: agents[1]: agents/a is in DIR/a.yaml already; an agent has one file");
}

TEST_F(ConfigTest, AKeyIsReadAndNeverPrinted) {
  Write("key", "sk-secret-text\n");
  setenv("AGENTRUNTIME_TEST_KEY", "sk-other-secret", 1);
  const auto loaded = Load(
      "models:\n"
      "  - {name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: {file: key}}}\n"
      "  - {name: b, openai: {base_url: \"http://127.0.0.1:9/v1\", model: m, api_key: {env: AGENTRUNTIME_TEST_KEY}}}\n");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->keys.models.at("a").Reveal(), "sk-secret-text");
  EXPECT_EQ(loaded->keys.models.at("b").Reveal(), "sk-other-secret");
  EXPECT_THAT(PrintConfig(loaded->config), Not(HasSubstr("secret")));
}

TEST_F(ConfigTest, AKeyThatIsNoneIsRefusedWithoutShowingIt) {
  setenv("AGENTRUNTIME_TEST_KEY", "two words", 1);
  const std::string text = "models: [{name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: {env: AGENTRUNTIME_TEST_KEY}}}]";
  EXPECT_THAT(Refusal(text), HasSubstr("holds spaces or characters that are not ASCII"));
  EXPECT_THAT(Refusal(text), Not(HasSubstr("two words")));
}

// An endpoint's answer in which "ok" is blacked out everywhere is no answer.
TEST_F(ConfigTest, AKeyTooShortToBeBlackedOutIsRefusedWithoutShowingIt) {
  const std::string model = "models: [{name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: {env: AGENTRUNTIME_TEST_KEY}}}]";
  setenv("AGENTRUNTIME_TEST_KEY", "sk-qzx7", 1);
  EXPECT_THAT(Refusal(model), HasSubstr("models[0].openai.api_key.env: the environment variable AGENTRUNTIME_TEST_KEY holds a key of less than 8 characters, "
                                        "which cannot be blacked out without harm to other words; use a longer one, or leave the field out if the endpoint "
                                        "wants none"));
  EXPECT_THAT(Refusal(model), Not(HasSubstr("qzx7")));
  Write("token", " ok\n");
  EXPECT_THAT(Refusal("tools: [{name: t, http_call: {url: \"https://x.example/\", description: d, token: {file: token}}}]"),
              HasSubstr("tools[0].http_call.token.file: the file DIR/token holds a key of less than 8 characters, "));
  setenv("AGENTRUNTIME_TEST_KEY", "sk-qzx78", 1);
  EXPECT_TRUE(Load(model).ok());
}

TEST_F(ConfigTest, AKeyInTheConfigurationIsRefusedWithoutShowingIt) {
  const std::string write = "api_key: write {env: NAME} or {file: PATH}; a secret itself does not belong here";
  const std::pair<const char*, std::string> kCases[] = {
      {"sk-secret", write},
      {"[sk-secret]", write},
      {"{sk-secret}", write},
      {"{key: sk-secret}", write},
      {"{env: [sk-secret]}", write},
      {"{env: A, file: sk-secret}", write},
      {"", write},
      {"{}", "api_key: has no source; write {env: NAME} or {file: PATH}"},
      {"{env: sk-secret}", "api_key.env: is no name of an environment variable, which has letters, digits and _; a key itself does not belong here"},
      {"{env: 1secret}", "api_key.env: is no name"},
      {"{env: \"\"}", "api_key.env: is no name"},
      {"{file: sk-secret}", "api_key.file: there is no such file; a key itself does not belong here, but in a file of its own"},
  };
  for (const auto& [key, message] : kCases) {
    const std::string refusal = Refusal(absl::StrCat("models: [{name: a, openai: {base_url: \"https://x.example/v1\", model: m, api_key: ", key, "}}]"));
    EXPECT_THAT(refusal, HasSubstr(absl::StrCat("models[0].openai.", message)));
    EXPECT_THAT(refusal, Not(::testing::ContainsRegex("sk-|1secret"))) << refusal;
  }
}

TEST_F(ConfigTest, AKeyDoesNotTravelWithoutEncryption) {
  setenv("AGENTRUNTIME_TEST_KEY", "sk-of-a-test", 1);
  EXPECT_THAT(Refusal("models: [{name: a, openai: {base_url: \"http://x.example/v1\", model: m, api_key: {env: AGENTRUNTIME_TEST_KEY}}}]"),
              HasSubstr("models[0].openai.base_url: would send the key without encryption; use https://, or leave api_key out"));
}

TEST_F(ConfigTest, TheCommandLineReplacesTheFile) {
  const auto loaded = Load("listen: {grpc: \"127.0.0.1:1\"}", {.listen = "[::1]:0", .store = "/tmp/other.db"});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->listen.ToString(), "[::1]:0");
  EXPECT_EQ(loaded->config.store().sqlite().path(), "/tmp/other.db");
  EXPECT_THAT(Refusal("", {.listen = "192.0.2.1:7070"}), ::testing::StartsWith("--listen: \"192.0.2.1:7070\" is not a loopback address."));
}

TEST_F(ConfigTest, WhatIsPrintedReadsBackTheSame) {
  std::filesystem::create_directories(dir_.File("docs \"x\""));
  Write("script.yaml", R"({"rules": [{"steps": [{"text": "yes"}]}]})");
  const auto loaded = Load(
      "models:\n"
      "  - {name: extractive, extractive: {}}\n"
      "  - {name: s, scripted: {file: script.yaml}}\n"
      "  - {name: gpt, openai: {base_url: \"https://x.example/v1\", model: m, idle_timeout: 1500ms, parallel_tool_calls: true}}\n"
      "tools:\n"
      "  - {name: search_docs, search_docs: {folder: 'docs \"x\"'}}\n"
      "  - {name: http_get, http_get: {allow_hosts: [a.example, b.example]}}\n"
      "  - {name: clock, clock: {}}\n"
      "  - {name: call, http_call: {url: \"https://x.example/\", description: \"a \\\"call\\\"\", side_effect: idempotent, connections_max: 2}}\n"
      "log: {level: warn, format: json}\n"
      "drain_grace: 0s\n");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::string printed = PrintConfig(loaded->config);
  config::v1::ServerConfig again;
  ASSERT_TRUE(ReadYaml("printed", printed, again).ok()) << printed;
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(again, loaded->config)) << printed;
}

TEST(ListenAddressTest, OnlyLoopbackIsTaken) {
  for (const char* text : {"127.0.0.1:0", "127.8.9.1:65535", "[::1]:7070", "localhost:7070", "LOCALHOST:1"}) EXPECT_TRUE(ParseListenAddress(text).ok()) << text;
  for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1: 1", "0.0.0.0:1", "[::]:1", "::1:7070",
                           "example.com:1", "[::ffff:127.0.0.1]:1", "127.1:1", "2130706433:1", "unix:/tmp/x:1"}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
}

}  // namespace
}  // namespace agentruntime
