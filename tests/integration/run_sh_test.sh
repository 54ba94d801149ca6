#!/usr/bin/env bash
# deploy/run.sh as a newcomer types it, with a state folder and a port of its own: run_sh_test.sh SOURCE_DIR BIN_DIR
set -euo pipefail
source="$1"
export AGENTRUNTIME_BIN="$2"
scratch="$(mktemp -d)"
export AGENTRUNTIME_STATE="$scratch/state of a test" # a name with spaces on purpose
export AGENTRUNTIME_PORT=0
run="$source/deploy/run.sh"
printed="AGENTRUNTIME_STATE=state\\ of\\ a\\ test $run" # in the commands that it prints
cd "$scratch" # from anywhere

# Nothing that this test started outlives it; a failure shows what was said last.
ended() {
  local code=$?
  if ((code != 0)); then
    echo "--- failed; last output:"
    cat "$scratch/out" 2>/dev/null || true
    echo "--- agentd.log:"
    tail -n 20 "$AGENTRUNTIME_STATE/agentd.log" 2>/dev/null || true
  fi
  "$run" --stop >/dev/null 2>&1 || true
  AGENTRUNTIME_STATE="$scratch/other" "$run" --stop >/dev/null 2>&1 || true
  rm -rf "$scratch"
  exit "$code"
}
trap ended EXIT

checks=0
# says TEXT: the last output has it.
says() {
  if ! grep -qF -- "$1" "$scratch/out"; then echo "not said: $1" && exit 1; fi
  checks=$((checks + 1))
}
never_says() {
  if grep -qF -- "$1" "$scratch/out"; then echo "said, but should not be: $1" && exit 1; fi
  checks=$((checks + 1))
}
# expect CODE COMMAND...: its exit code; output in $scratch/out.
expect() {
  local wanted="$1" code=0
  shift
  "$@" >"$scratch/out" 2>&1 </dev/null || code=$?
  if ((code != wanted)); then echo "exit code $code instead of $wanted: $*" && exit 1; fi
  checks=$((checks + 1))
}
pid() { cat "$AGENTRUNTIME_STATE/agentd.pid"; }

echo "the example: its answer is quoted from the shipped documents"
expect 0 "$run"
says "[3/4] agentd    listening on 127.0.0.1:"
says "; --port 0 is kept in state of a test/agentd.yaml, pid "
says "Find current API rate limit requirements and summarize briefly"
says FINAL_ANSWER
says search_docs
says "        stop: $printed --stop"
says "Next:  $printed \"How long are logs kept?\""
citation="$(grep -oE '\[[A-Za-z0-9_./-]+\.md:[0-9]+\]' "$scratch/out" | head -n 1)"
file="${citation#[}" file="${file%:*}"
line="${citation##*:}" line="${line%]}"
cited="$(sed -n "${line}p" "$source/deploy/examples/docs/$file")"
if [[ -z "$cited" ]]; then echo "the cited place $citation is empty" && exit 1; fi
first="$(pid)"

echo "another question over another folder gets another answer, from a server that restarted for it"
mkdir -p "$scratch/my docs"
printf '# Kitchen\n\nThe kettle in the kitchen holds exactly 17 litres of water.\n' >"$scratch/my docs/kitchen.md"
expect 0 "$run" "How much water does the kettle hold?" --docs "my docs"
says "restarted for a changed agentd.yaml"
says "The kettle in the kitchen holds exactly 17 litres of water."
says "kitchen.md:3"
never_says "${citation%:*}"
second="$(pid)"
if [[ "$second" == "$first" ]]; then echo "the server did not restart" && exit 1; fi

echo "a server that runs already is used again"
expect 0 "$run" "How much water does the kettle hold?"
says "already listening on"
never_says "is kept in"
says "17 litres"
if [[ "$(pid)" != "$second" ]]; then echo "the server restarted without a reason" && exit 1; fi

echo "a file that is put back with its old time is a change, one that is only touched is none"
cp -p "$AGENTRUNTIME_STATE/agents/docs.yaml" "$scratch/old docs.yaml"
touch -d "1 hour ago" "$scratch/old docs.yaml"
sed -i 's/^description: .*/description: Another one./' "$AGENTRUNTIME_STATE/agents/docs.yaml"
expect 0 "$run" "How much water does the kettle hold?"
says "restarted for a changed docs.yaml, listening on"
cp -p "$scratch/old docs.yaml" "$AGENTRUNTIME_STATE/agents/docs.yaml"
expect 0 "$run" "How much water does the kettle hold?"
says "restarted for a changed docs.yaml, listening on"
touch "$AGENTRUNTIME_STATE/agents/docs.yaml" "$AGENTRUNTIME_STATE/agentd.yaml"
expect 0 "$run" "How much water does the kettle hold?"
says "already listening on"
second="$(pid)"

echo "the commands that it names work in a shell without its variables, and the journal has all seven runs"
expect 0 env -u AGENTRUNTIME_STATE -u AGENTRUNTIME_PORT bash -c "$printed --stop"
says "stopped (pid $second)"
expect 0 env -u AGENTRUNTIME_STATE -u AGENTRUNTIME_PORT bash -c "$printed 'How much water does the kettle hold?'"
says "17 litres"
second="$(pid)"
address="$(cat "$AGENTRUNTIME_STATE/address")"
port="${address##*:}"
expect 0 "$AGENTRUNTIME_STATE/bin/agentctl" --server "$address" watch last
says "17 litres"
expect 0 "$AGENTRUNTIME_STATE/bin/agentctl" --server "$address" runs
if (($(grep -c FINAL_ANSWER "$scratch/out") != 7)); then echo "not seven runs" && exit 1; fi

echo "a taken port is named with its owner, who stays alive, and is not kept for the next start"
other() { AGENTRUNTIME_STATE="$scratch/other" "$run" "$@"; }
expect 1 other --port "$port"
says "port $port is taken by agentd (pid $second)"
kill -0 "$second"
expect 0 other
other_pid="$(cat "$scratch/other/agentd.pid")"
cp -p "$scratch/other/agentd.yaml" "$scratch/other.yaml"
expect 1 other --port "$port"
says "port $port is taken by agentd (pid $second)"
expect 0 cmp "$scratch/other.yaml" "$scratch/other/agentd.yaml"
unset AGENTRUNTIME_PORT
expect 0 other
says "already listening on"
says "pid $other_pid, "
export AGENTRUNTIME_PORT=0
expect 0 other --stop

echo "a configuration that does not hold is refused, and the server that runs stays"
cp "$AGENTRUNTIME_STATE/agentd.yaml" "$scratch/good.yaml"
echo 'nonsense: 1' >>"$AGENTRUNTIME_STATE/agentd.yaml"
expect 1 "$run" "How much water does the kettle hold?"
says nonsense
says "run.sh: agentd refused its configuration; mend state of a test/agentd.yaml as said above"
never_says remove
kill -0 "$second"
cp "$scratch/good.yaml" "$AGENTRUNTIME_STATE/agentd.yaml"

echo "the file that is at fault is named, and a variable that is not set, or holds no key, is no fault of a file"
cp "$AGENTRUNTIME_STATE/agents/docs.yaml" "$scratch/docs.yaml"
sed -i 's/^model: .*/model: extractiv/' "$AGENTRUNTIME_STATE/agents/docs.yaml"
expect 1 "$run" "How much water does the kettle hold?"
says "run.sh: agentd refused its configuration; mend state of a test/agents/docs.yaml as said above"
cp "$scratch/docs.yaml" "$AGENTRUNTIME_STATE/agents/docs.yaml"
sed -i '/^models:/a\  - {name: gpt, openai: {base_url: "http://127.0.0.1:1/v1", model: m, api_key: {env: RUN_SH_TEST_UNSET}}}' "$AGENTRUNTIME_STATE/agentd.yaml"
expect 1 "$run" "How much water does the kettle hold?"
says "run.sh: agentd refused its configuration; set the variable in front of the command: RUN_SH_TEST_UNSET=... $printed"
expect 1 env RUN_SH_TEST_UNSET=short "$run" "How much water does the kettle hold?"
says "run.sh: agentd refused its configuration; set the variable in front of the command: RUN_SH_TEST_UNSET=... $printed"
kill -0 "$second"
cp "$scratch/good.yaml" "$AGENTRUNTIME_STATE/agentd.yaml"

echo "a changed API key is a new start, whether a variable or a file holds it; the same key, or none in sight, is not"
cat >"$AGENTRUNTIME_STATE/model.yaml" <<'END'
  - {name: by-variable, openai: {base_url: "http://127.0.0.1:1/v1", model: m, api_key: {env: RUN_SH_TEST_KEY}}}
  - name: by-file
    openai:
      base_url: "http://127.0.0.1:1/v1"
      model: m
      api_key:
        file: "api key.txt"   # beside this file
END
sed -i "/^models:/r $AGENTRUNTIME_STATE/model.yaml" "$AGENTRUNTIME_STATE/agentd.yaml"
echo "first-of-the-file" >"$AGENTRUNTIME_STATE/api key.txt"
kettle=("$run" "How much water does the kettle hold?")
expect 0 env RUN_SH_TEST_KEY=first-of-the-variable "${kettle[@]}"
says "restarted for a changed agentd.yaml"
expect 0 env RUN_SH_TEST_KEY=first-of-the-variable "${kettle[@]}"
says "already listening on"
expect 0 "${kettle[@]}"
says "already listening on"
expect 0 env RUN_SH_TEST_KEY=second-of-the-variable "${kettle[@]}"
says "restarted for a changed RUN_SH_TEST_KEY, listening on"
never_says "of-the-variable"
echo "second-of-the-file" >"$AGENTRUNTIME_STATE/api key.txt"
expect 0 env RUN_SH_TEST_KEY=second-of-the-variable "${kettle[@]}"
says "restarted for a changed api key.txt, listening on"
never_says "of-the-file"
if grep -rq --include=* -e of-the-variable "$AGENTRUNTIME_STATE"; then echo "a key was written down" && exit 1; fi
second="$(pid)"

echo "wrong use says what is right"
expect 2 "$run" "one" "two"
says "put quotes around it"
expect 2 "$run" "a question" --docs "$scratch/no such folder"
says "is not a folder"
mkdir "$scratch/empty"
expect 2 "$run" "a question" --docs "$scratch/empty"
says "holds no Markdown or text file"

echo "--stop says whom it waits for while another run.sh is at work, and how long a call under way may take"
cat >"$AGENTRUNTIME_STATE/script.json" <<'END'
{"rules": [{"steps": [{"delay": "30m", "text": ["late"]}]}]}
END
sed -i '/^models:/a\  - {name: hangs, scripted: {file: script.json}}' "$AGENTRUNTIME_STATE/agentd.yaml"
sed -i 's/^drain_grace: .*/drain_grace: 4s/' "$AGENTRUNTIME_STATE/agentd.yaml"
printf 'name: hangs\nmodel: hangs\n' >"$scratch/hangs.yaml"
expect 0 env RUN_SH_TEST_KEY=second-of-the-variable "${kettle[@]}"
second="$(pid)"
ctl=("$AGENTRUNTIME_STATE/bin/agentctl" --server "$(cat "$AGENTRUNTIME_STATE/address")")
expect 0 "${ctl[@]}" agents apply -f "$scratch/hangs.yaml"
expect 0 "${ctl[@]}" run hangs "a question" --detach
until_said() { # TEXT COMMAND...: the command says it within 20 s
  local text="$1" tries=0
  shift
  until "$@" 2>&1 | grep -qF -- "$text"; do
    if ((++tries > 400)); then echo "never said: $text" && exit 1; fi
    sleep 0.05
  done
  checks=$((checks + 1))
}
until_said "model hangs asked" "${ctl[@]}" events last
flock "$AGENTRUNTIME_STATE/lock" -c "echo 4242 >'$AGENTRUNTIME_STATE/lock'; until [ -e '$scratch/go' ]; do sleep 0.05; done" &
holder=$!
until_said 4242 cat "$AGENTRUNTIME_STATE/lock"
"$run" --stop >"$scratch/out" 2>&1 </dev/null &
stopper=$!
until_said "another run.sh of this folder (pid 4242) installs, builds or starts: waiting for it" cat "$scratch/out"
kill -0 "$second"
touch "$scratch/go"
wait "$holder" "$stopper"
says "agentd (pid $second) ends: calls of models and tools under way get drain_grace, 4s"
says "stopped (pid $second)"
expect 0 env RUN_SH_TEST_KEY=second-of-the-variable "${kettle[@]}"
second="$(pid)"

echo "the folder of another user is named with its owner, and how to make it one's own"
as_other=()
if ((EUID == 0)) && setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$run" -a -x "$AGENTRUNTIME_BIN/agentd"; then
  as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chmod 711 "$scratch"
elif ((EUID != 0)); then
  chmod a-w "$AGENTRUNTIME_STATE/lock" # as near as it gets
fi
if ((EUID != 0 || ${#as_other[@]} > 0)); then
  expect 1 "${as_other[@]}" "$run" --stop
  says "belongs to $(id -un), and you are $("${as_other[@]}" id -un): go on as $(id -un), or make it yours: sudo $printed --stop && sudo chown -R "
  never_says denied
  chmod u+w "$AGENTRUNTIME_STATE/lock"
fi

echo "--stop ends it, twice does no harm"
expect 0 "$run" --stop
says "stopped (pid $second)"
if readlink "/proc/$second/exe" >/dev/null; then echo "agentd still runs" && exit 1; fi
expect 7 "$AGENTRUNTIME_STATE/bin/agentctl" --server "$address" info
expect 0 "$run" --stop
says "nothing to stop"

echo "run_sh_test: $checks checks passed"
