#!/usr/bin/env bash
# The crash tests with their long numbers, in the release build, which is brought up to date first: a result names the revision that it is of.
#   ./tests/crash/long.sh [FACTOR]      FACTOR of the numbers, such as 0.1; default 1
# Environment: CRASH_BINARIES   a folder with the tests and agentd: nothing is built, and CRASH_REVISION says what they were built of (default: unknown)
# Every test appends a line of JSON (what was run, date, build, revision, seed, count, figures, result) to build/crash-results.jsonl. Exit code 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
factor="${1:-1}"
if [[ -z "${CRASH_BINARIES:-}" ]]; then
  cmake --build build/release
  CRASH_REVISION="$(git describe --always --dirty 2>/dev/null || echo unknown)"
fi
binaries="${CRASH_BINARIES:-build/release/bin}"
export CRASH_REVISION="${CRASH_REVISION:-unknown}"
export CRASH_STRICT=1
export CRASH_RESULTS="${CRASH_RESULTS:-$PWD/build/crash-results.jsonl}"
failed=0

# run COUNT LEAST TEST [FILTER]: COUNT times the factor, and LEAST at least.
run() {
  local count
  count="$(awk -v n="$1" -v f="$factor" -v l="$2" 'BEGIN { c = int(n * f); print c < l ? l : c }')"
  shift
  printf '%s\n' "== $2 ${3:-} with $count"
  if ! CRASH_COUNT="$count" "$binaries/$2" --gtest_filter="${3:-*}" --gtest_brief=1; then failed=1; fi
}

run 200000 600 write_points_test '*NothingIsHalf'
run 4000 60 write_points_test '*LeavesNothing'
run 20000 200 write_points_test '*FirstMoments*'
run 10000 200 write_points_test '*ItsLogWasMade'
run 10000 100 write_points_test '*Renewed'
run 300 300 write_points_test '*FoundOut'
run 2000 60 call_faults_test
run 5000 60 damage_test
run 5000 100 text_index_damage_test
run 500 10 power_cut_test '*IsThere'
run 5 5 power_cut_test '*DoesNotSync*'
run 20 5 power_cut_test '*SynchronousNormal*'
run 100 4 disk_full_test 'DiskFullTest.OfMemory:DiskFullTest.OfExt4'
run 20 2 disk_full_test '*WithoutInodes'
run 1000 10 kill_load_test '*AskedAgain'
run 500 3 kill_load_test '*PowerCut'
run 400 8 failing_disk_test
GTEST_REPEAT=2 run 1 1 clock_test
run 10000 10000 recovery_test
run 5000 2000 watchers_test '*Buffer*'
run 100000 10000 watchers_test '*FullRate*'
run 10000 10000 idle_watchers_test '*TenThousand*:*IdleOnes*'
run 1800 30 idle_watchers_test '*Churn*:*IdleOnes*'
printf 'results: %s\n' "$CRASH_RESULTS"
exit "$failed"
