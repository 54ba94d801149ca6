#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "proto/util/names.h"
#include "proto/util/time.h"
#include "runtime/load.h"
#include "storage/sqlite/stores.h"
#include "tests/bench/agentd.h"
#include "tests/bench/calls.h"
#include "tests/bench/fail.h"
#include "tests/bench/statistics.h"
#include "tests/bench/workloads.h"

namespace agentruntime::bench {
namespace {

constexpr int kAround = 5;  // step N is measured with so many steps before and after it
constexpr int kMany = 200;  // so many steps of one run, where it is long enough

// A step is a decision with a text and a call of the calculator.
std::string Script(const std::vector<int>& lengths, size_t text_bytes) {
  std::string rules;
  for (const int steps : lengths) {
    absl::StrAppendFormat(&rules,
                          R"(%s{"input_contains": "steps %d.", "steps": [{"repeat": %d, "text": "%s", "calls": [{"tool": "tool", "arguments": )"
                          R"({"expression": "{step} + 1"}}]}, {"text": "Done."}]})",
                          rules.empty() ? "" : ",\n", steps, steps - 1, std::string(text_bytes, 'x'));
  }
  return absl::StrCat(R"({"context_tokens": 100000000, "rules": [)", rules, "]}\n");
}

std::unique_ptr<ServerProcess> Start(const Setting& setting, const std::string& folder, const std::vector<int>& lengths, size_t text_bytes) {
  return StartAgentd({.program = setting.agentd(),
                      .folder = folder,
                      .script = Script(lengths, text_bytes),
                      .agent_settings = "limits: {max_steps: 10_000, max_tool_calls: 100_000, max_tokens: 1_000_000_000, timeout: 1h}\n"});
}

std::string Run(const Stubs& stubs, int steps) {
  const std::string name = CreateRuns(stubs, 1, [&](int) { return absl::StrCat("steps ", steps, "."); })[0];
  AwaitAnswer(*stubs[0], name);
  return name;
}

// Milliseconds from asking the model in each step to asking it in the next, by the events' own times.
std::vector<double> StepMillis(const std::vector<v1::Event>& events) {
  std::vector<double> millis;
  absl::Time before = absl::InfinitePast();
  for (const v1::Event& event : events) {
    if (!event.has_model_called()) continue;
    const absl::Time asked = FromProto(event.time());
    if (before != absl::InfinitePast()) millis.push_back(absl::ToDoubleMilliseconds(asked - before));
    before = asked;
  }
  return millis;
}

void AddAround(const std::vector<double>& steps, int step, std::vector<double>& sample) {
  for (int i = step - kAround; i < step + kAround; ++i) sample.push_back(steps[static_cast<size_t>(i)]);
}

void StepCost(const Setting& setting, Report& report) {
  const auto server = Start(setting, setting.Folder("steps"), {50, 1010}, 0);
  const Stubs stubs = Connect(server->address(), 1);
  Run(stubs, 50);
  std::vector<double> at_10;
  std::vector<double> at_1000;
  std::vector<double> cpu_50;
  std::vector<double> cpu_1000;
  for (int round = 0; round < (setting.quick ? 8 : 40); ++round) {
    absl::Duration cpu = server->CpuTime();
    for (int run = 0; run < 20; ++run) Run(stubs, 50);
    cpu_50.push_back(absl::ToDoubleMicroseconds(server->CpuTime() - cpu) / (20 * 50));
    cpu = server->CpuTime();
    const std::string name = Run(stubs, 1010);
    cpu_1000.push_back(absl::ToDoubleMicroseconds(server->CpuTime() - cpu) / 1010);
    const std::vector<double> steps = StepMillis(EventsOf(*stubs[0], name));
    AddAround(steps, 10, at_10);
    AddAround(steps, 1000, at_1000);
  }
  const double ratio = Median(at_1000) / Median(at_10);
  report.Add({.name = "long.step_at_10", .value = Median(at_10) * 1000, .unit = "us"});
  report.Add({.name = "long.step_at_1000",
              .value = Median(at_1000) * 1000,
              .unit = "us",
              .floor = Median(at_10) * 1000,
              .target = "at most 1.1 times a step at 10",
              .met = ratio <= 1.1});
  report.Add({.name = "long.cpu_per_step.50_steps", .value = Median(cpu_50), .unit = "us"});
  report.Add({.name = "long.cpu_per_step.1010_steps", .value = Median(cpu_1000), .unit = "us", .floor = Median(cpu_50)});
}

struct Payload {
  double content = 0;  // what model and tool said: texts, arguments, results
  double bodies = 0;   // the events as they are stored
};

Payload PayloadOf(const std::vector<v1::Event>& events) {
  Payload payload;
  const auto add = [&payload](const auto& parts) {
    for (const v1::Part& part : parts) payload.content += static_cast<double>(part.text().size() + part.json().size());
  };
  for (v1::Event event : events) {
    add(event.decision_made().decision().content());
    for (const v1::ToolCall& call : event.decision_made().decision().tool_calls()) {
      payload.content += static_cast<double>(call.tool().size() + call.arguments().size());
    }
    add(event.call_finished().result());
    event.clear_sequence(), event.clear_time(), event.clear_active_us(), event.clear_step(), event.clear_epoch();
    payload.bodies += static_cast<double>(event.ByteSizeLong());
  }
  return payload;
}

// One run in a store of its own; the size of the file after the server has ended, less that of a store without runs.
void BytesPerStep(const Setting& setting, Report& report, int steps, size_t text_bytes) {
  const std::string folder = setting.Folder(absl::StrCat("bytes.", steps, ".", text_bytes));
  const std::string empty = setting.Folder(absl::StrCat("empty.", steps, ".", text_bytes));
  Start(setting, empty, {steps}, text_bytes);
  Payload payload;
  {
    const auto server = Start(setting, folder, {steps}, text_bytes);
    const Stubs stubs = Connect(server->address(), 1);
    payload = PayloadOf(EventsOf(*stubs[0], Run(stubs, steps)));
  }
  const auto size = [](const std::string& path) { return static_cast<double>(std::filesystem::file_size(path + "/bench.db")); };
  const double stored = (size(folder) - size(empty)) / steps;
  const double content = payload.content / steps;
  const std::string name = absl::StrCat("long.bytes_per_step.", steps, "_steps.", text_bytes, "_text");
  report.Add({.name = name,
              .value = stored,
              .unit = "bytes",
              .floor = content,
              .target = absl::StrFormat("at most 1.5 times its payload of %.0f bytes + 300 bytes, that is %.0f", content, 1.5 * content + 300),
              .met = stored <= 1.5 * content + 300});
  report.Add({.name = name + ".bodies", .value = payload.bodies / steps, .unit = "bytes"});
}

void Fold(const Setting& setting, Report& report, int steps) {
  const std::string folder = setting.Folder("fold");
  std::string name;
  {
    const auto server = Start(setting, folder, {steps}, 0);
    const Stubs stubs = Connect(server->address(), 1);
    const absl::Time began = absl::Now();
    name = Run(stubs, steps);
    report.Add({.name = absl::StrCat("long.run.", steps, "_steps"), .value = absl::ToDoubleMilliseconds(absl::Now() - began), .unit = "ms"});
    const absl::Time listed = absl::Now();
    const std::vector<v1::Event> events = EventsOf(*stubs[0], name);
    report.Add({.name = absl::StrCat("long.list_events.", steps, "_steps"), .value = absl::ToDoubleMilliseconds(absl::Now() - listed), .unit = "ms"});
    const std::vector<double> taken = StepMillis(events);
    const std::vector<double> first(taken.begin() + kAround, taken.begin() + kAround + kMany);
    const std::vector<double> last(taken.end() - kMany, taken.end());
    report.Add({.name = absl::StrCat("long.last_steps_of_", steps), .value = Median(last) * 1000, .unit = "us", .floor = Median(first) * 1000});
  }
  const auto stores = sqlite::OpenStores({.path = folder + "/bench.db"});
  if (!stores.ok()) Fail(stores.status().ToString());
  std::vector<double> millis;
  for (int round = 0; round < 7; ++round) {
    const absl::Time began = absl::Now();
    const auto state = LoadState(*stores->store, *ParseRunName(name));
    if (!state.ok() || state->usage.steps() != steps) Fail("the journal does not fold to all of its steps");
    millis.push_back(absl::ToDoubleMilliseconds(absl::Now() - began));
  }
  report.Add({.name = absl::StrCat("long.fold.", steps, "_steps"), .value = Median(millis), .unit = "ms"});
}

}  // namespace

void LongRun(const Setting& setting, Report& report) {
  StepCost(setting, report);
  BytesPerStep(setting, report, 1000, 0);
  BytesPerStep(setting, report, 1000, 300);
  BytesPerStep(setting, report, 1000, 2000);
  if (!setting.quick) BytesPerStep(setting, report, 5000, 0);
  Fold(setting, report, 5000);
}

}  // namespace agentruntime::bench
