#include "tests/simulation/simulation.h"

#include "absl/strings/str_join.h"
#include "proto/base/log.h"
#include "tests/simulation/stage.h"
#include "tests/simulation/world.h"

namespace agentruntime::simulation {

Verdict Simulate(uint64_t seed, bool print) {
  World world(seed, print);
  Judge judge(world);
  SetLogSink([&judge](absl::string_view line) { judge.SeenLine(line); });
  {
    Stage stage(world, judge);
    stage.Play();
  }
  SetLogSink({});
  Verdict verdict;
  verdict.seed = seed;
  verdict.hash = world.hash();
  verdict.failure = world.failure();
  if (world.failed()) verdict.trace = absl::StrJoin(world.last_lines(), "\n");
  verdict.counts = judge.counts;
  return verdict;
}

}  // namespace agentruntime::simulation
