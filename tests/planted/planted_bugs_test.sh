#!/usr/bin/env bash
# planted_bugs_test.sh FOLDER: for each planted bug, the test that is there to see it passes without it and fails with it.
set -uo pipefail
bin="$1"
seconds_max=200      # of a test, which takes a few
export CRASH_COUNT=3  # kills
failed=0
count=0
seen=()
passed=()  # without a bug

# sees BUG PROGRAM TEST
sees() {
  local output
  count=$((count + 1))
  if [[ " ${passed[*]} " != *" $2/$3 "* ]]; then
    if ! output="$(timeout "$seconds_max" "$bin/$2" --gtest_filter="$3" 2>&1)" || ! grep -q '\[  PASSED  \] [1-9]' <<<"$output"; then
      printf '%s: %s of %s does not pass without the bug\n%s\n' "$1" "$3" "$2" "$(tail -n 20 <<<"$output")"
      failed=1
      return
    fi
    passed+=("$2/$3")
  fi
  # Seen: the test began and did not pass. It may have ended its process; not by a name that is no bug's, and not by taking too long.
  output="$(AGENTRUNTIME_BUG="$1" timeout "$seconds_max" "$bin/$2" --gtest_filter="$3" 2>&1)"
  local code=$?
  if ((code != 0 && code != 124)) && grep -q '\[ RUN      \]' <<<"$output" && ! grep -q 'there is no planted bug\|\[  PASSED  \] [1-9]' <<<"$output"; then
    printf '%s: seen by %s of %s\n' "$1" "$3" "$2"
    seen+=("$1")
  else
    printf '%s: NOT SEEN by %s of %s\n%s\n' "$1" "$3" "$2" "$(tail -n 5 <<<"$output")"
    failed=1
  fi
}

sees publish_before_durable gate_test GateTest.NothingLeavesBeforeItIsDurable
sees call_before_durable gate_test GateTest.NothingLeavesBeforeItIsDurable
sees forget_unsafe_intent stop_test StopTest.ANewEpochRepeatsWhatIsSafeAndReportsWhatIsNot
# What only the world outside sees: the journal of a call that was sent twice under one intent reads well.
sees forget_unsafe_intent kill_load_test '*'
sees resend_unsafe kill_load_test '*'
sees repeat_step stop_test StopTest.EveryPrefixRecovers
sees drop_event store_conformance_test '*JournalSuite.ACompletionIsReadableAtOnce*'
sees repeat_event runtime_test RuntimeTest.LiveAndReplayedWatchesShowTheSameJournal
sees lose_stop_reason runtime_test RuntimeTest.ExampleRunIsNineEventsInOrder
sees ignore_failed_sync sqlite_disk_test SqliteFailStopTest.AFailedSyncOfTheLogEndsTheProcess
# Four rounds of all kinds of faults. A retry shows only where a sync fails once: one that fails for ever stops it as well.
CRASH_COUNT=80 sees ignore_failed_sync call_faults_test '*NothingIsAcknowledgedAndNothingIsLost'
CRASH_COUNT=80 sees retry_failed_sync call_faults_test '*NothingIsAcknowledgedAndNothingIsLost'
sees unbounded_watcher mailbox_test MailboxTest.OneThatIsNotReadHoldsABoundedBufferAndSaysSo
sees command_before_start runtime_test RuntimeTest.ACancelAfterARestartStartsNothing
sees forget_request_id store_conformance_test '*JournalSuite.RequestIdWithTheSameHashIsTheSameRun*'
sees book_nothing stop_test StopTest.UnreportedUsageIsBookedAtItsReservation
sees skip_approval approval_test ApprovalTest.ACallWaitsBeforeItsFirstAttempt
sees forget_child_usage grant_test GrantTest.WhatAChildUsedIsBookedAndTheRestOfItsGrantIsFree
sees ignore_restored restored_run_test RestoredTest.CallsUnderWayAreSettledAndNotRepeated
sees orphan_children child_run_test ChildRunTest.AKillBehindTheCancelLeavesNoChildThatGoesOn
# The judge of the simulation is not blind to what the runtime itself may do wrong.
for bug in publish_before_durable call_before_durable forget_unsafe_intent repeat_step lose_stop_reason repeat_event book_nothing command_before_start skip_approval; do
  sees "$bug" simulation_test SimulationTest.TheFixedSeedsKeepEveryPromise
done

# Every bug that a build can make stands above.
while read -r name; do
  if [[ " ${seen[*]} " != *" $name "* ]]; then
    printf '%s: no test above sees it\n' "$name"
    failed=1
  fi
done < <(sed -n 's/^    {"\([a-z_]*\)", Bug::.*/\1/p' "$(dirname "$0")/../../proto/base/planted_bug.cc")

printf '%s planted bugs, %s\n' "$count" "$( ((failed)) && echo 'some not seen' || echo 'all seen')"
exit "$failed"
