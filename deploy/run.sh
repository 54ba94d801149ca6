#!/usr/bin/env bash
# Installs what is missing, builds a release, starts a server of your own on loopback, and asks an agent a question:
#   ./deploy/run.sh                               the example: a question about the documents in deploy/examples/docs
#   ./deploy/run.sh "A question"                  the documents of the last question
#   ./deploy/run.sh "A question" --docs FOLDER    your own documents: Markdown and text, with subfolders
#   ./deploy/run.sh --stop                        ends the server; a call under way gets drain_grace of agentd.yaml (20s) to end; open runs go on at the next start
# Options: --port N (0 takes a free one; kept in agentd.yaml for later starts, which says 7070 at first), --help.
#
# The server lives in .run/: agentd.yaml and agents/docs.yaml (made once, yours to edit), data/, agentd.log, bin/. It restarts when the content
# of a YAML file or of bin/ changes, or an API key that agentd.yaml names: the environment variable is set to something else, or the file holds something else.
# Environment: AGENTRUNTIME_STATE   another folder instead of .run
#              AGENTRUNTIME_PORT    as --port
#              AGENTRUNTIME_BIN     a folder with agentd and agentctl: nothing is installed or built
# Exit code: agentctl's (0 answered, 3 a limit, 4 failed, 5 cancelled, 7 unreachable); 1 also when a stage before it failed.
source "$(dirname "$0")/setup.sh"

question="" docs="" stop=0 port="${AGENTRUNTIME_PORT:-}"
example="Find current API rate limit requirements and summarize briefly"
state="${AGENTRUNTIME_STATE:-$root/.run}"

usage() { fail 2 "$1; see ./deploy/run.sh --help"; }
while (($# > 0)); do
  case "$1" in
    -h | --help)
      sed -n '2,/^source/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    --stop) stop=1 ;;
    --docs | --port)
      if (($# < 2)); then usage "$1 needs a value"; fi
      if [[ "$1" == --docs ]]; then docs="$2"; else port="$2"; fi
      shift
      ;;
    --docs=*) docs="${1#*=}" ;;
    --port=*) port="${1#*=}" ;;
    -*) usage "unknown option '$1'" ;;
    *)
      if [[ -n "$question" ]]; then usage "one question only: put quotes around it"; fi
      if [[ -z "${1//[[:space:]]/}" ]]; then usage "the question is empty"; fi
      question="$1"
      ;;
  esac
  shift
done
if [[ -n "$port" ]] && { [[ ! "$port" =~ ^[0-9]{1,5}$ ]] || ((port > 65535)); }; then usage "--port: '$port' is not a port, 0 to 65535"; fi

# A path or command as the reader can use it from where he stands.
shown() { realpath --relative-base="$PWD" "$1"; }
script="$(printf '%q' "$(shown "$root/deploy/run.sh")")"
if [[ "$script" != /* ]]; then script="./$script"; fi

mkdir -p "$state/bin" "$state/agents" || fail 1 "cannot write to $state: use a folder of your own, or mend its permissions."
state="$(cd "$state" && pwd -P)"
config="$state/agentd.yaml"
log="$state/agentd.log"
if [[ -n "${AGENTRUNTIME_STATE:-}" ]]; then script="AGENTRUNTIME_STATE=$(printf '%q' "$(shown "$state")") $script"; fi # or it would reach another server

# After a start with sudo they are root's, and so is the server.
needed=("$state" "$state"/{lock,bin,agents,agents/docs.yaml,agentd.yaml,agentd.pid,agentd.log,data})
if [[ -z "${AGENTRUNTIME_BIN:-}" && "$stop" == 0 ]]; then needed+=("$root/build" "$root/build/release" "$root/build/release/build.ninja"); fi
for file in "${needed[@]}"; do
  if [[ ! -e "$file" || -w "$file" ]]; then continue; fi
  owned="$(printf '%q' "$(shown "$state")")"
  if [[ "$file" == "$root"/build* ]]; then owned+=" $(printf '%q' "$(shown "$root/build")")"; fi
  fail 1 "$(shown "$file") belongs to $(stat -c %U "$file"), and you are $(id -un): go on as $(stat -c %U "$file"), or make it yours:" \
    "sudo $script --stop && sudo chown -R $(id -un) $owned"
done
exec 9>>"$state/lock" # not emptied: it names who holds it

# One run.sh of a folder at a time; who waits says for whom. It lasts to the end of this process, or to release_lock.
take_lock() {
  local holder
  if ! flock -n 9; then
    holder="$(cat "$state/lock")"
    announce "another run.sh of this folder${holder:+ (pid $holder)} installs, builds or starts: waiting for it; Ctrl-C ends the waiting only"
    flock 9
    last_shown=$((SECONDS - 28)) # as begin has it: what follows may be worth a line soon
  fi
  echo $$ >"$state/lock"
}
release_lock() {
  : >"$state/lock"
  exec 9>&-
}

# --- the documents and the port, as agentd.yaml has them -----------------------------------------

count_documents() { find -L "$1" -type f \( -iname '*.md' -o -iname '*.txt' \) -not -path '*/.*' 2>/dev/null | wc -l; }

# set_in_config KEY VALUE: gives every `KEY: ...` of the file, in a line of its own or within braces, the value, as YAML text.
set_in_config() {
  local key="$1" value="$2" line quoted new=""
  quoted="${value//\\/\\\\}"
  quoted="\"${quoted//\"/\\\"}\""
  while IFS= read -r line || [[ -n "$line" ]]; do
    if [[ "$line" =~ ^([^#]*[^a-z_]"$key":\ *)(\"([^\"\\]|\\.)*\"|[^,}\ ]+)(.*)$ ]]; then line="${BASH_REMATCH[1]}$quoted${BASH_REMATCH[4]}"; fi
    new+="$line"$'\n'
  done <"$config"
  if [[ "$new" != "$(cat "$config")"$'\n' ]]; then printf '%s' "$new" >"$config.new" && mv "$config.new" "$config"; fi
}

# get_from_config KEY: the first value, unquoted.
get_from_config() {
  local line value
  while IFS= read -r line; do
    if [[ "$line" =~ ^([^#]*[^a-z_])?"$1":\ *(\"(([^\"\\]|\\.)*)\"|([^,}\ ]+)) ]]; then
      value="${BASH_REMATCH[3]:-${BASH_REMATCH[5]}}"
      value="${value//\\\"/\"}"
      printf '%s' "${value//\\\\/\\}"
      return
    fi
  done <"$config"
}

# write_config PID: a port is kept once it is known to be free, or that of this server, PID.
write_config() {
  if [[ -n "$port" ]]; then refuse_taken_port "$port" "$1"; fi
  if [[ ! -e "$config" ]]; then
    cp "$root/deploy/agentd.yaml" "$config"
    set_in_config folder "$root/deploy/examples/docs"
  fi
  if [[ ! -e "$state/agents/docs.yaml" ]]; then cp "$root/deploy/agents/docs.yaml" "$state/agents/docs.yaml"; fi
  if [[ -n "$docs" ]]; then set_in_config folder "$docs"; fi
  old_grpc="$(get_from_config grpc)"
  if [[ -n "$port" && "$old_grpc" != "127.0.0.1:$port" ]]; then
    set_in_config grpc "127.0.0.1:$port"
    kept_port="; --port $port is kept in $(shown "$config")"
  fi
}

# --- what the server reads as it starts: its configuration, agents, keys -------------------------

# What it started with is kept as hashes, a line for each: HASH env NAME, or HASH file PATH. Times would not do: a file that is put back keeps its old one.

# hash_input env|file NAME: fails if there is no such variable or file. A key is in no command line.
hash_input() {
  local hash
  if [[ "$1" == env ]]; then
    printenv -- "$2" >/dev/null || return 1
    hash="$(printenv -- "$2" | sha256sum)"
  else
    hash="$(sha256sum 2>/dev/null <"$2")" || return 1
  fi
  echo "${hash%% *}"
}

# Prints `env NAME` or `file PATH` for each, however the YAML writes its maps; a relative path is relative to agentd.yaml. The file of a script is one too.
named_keys() {
  local found kind value
  while IFS= read -r found; do
    [[ "$found" =~ (env|file)[\"\']?:\ *(.*) ]]
    kind="${BASH_REMATCH[1]}" value="${BASH_REMATCH[2]}"
    value="${value%"${value##*[![:space:]]}"}"
    value="${value#[\"\']}" value="${value%[\"\']}"
    if [[ "$kind" == file && "$value" != /* ]]; then value="$state/$value"; fi
    echo "$kind $value"
  done < <(sed -E 's/(^|[[:space:]])#.*//' "$config" | grep -oE "(^|[^A-Za-z_])(env|file)[\"']?: *(\"[^\"]*\"|'[^']*'|[^,}\"' ][^,}]*)")
}

# Prints `env NAME` or `file PATH` for each thing that it reads.
inputs() {
  local file
  for file in "$config" "$state"/agents/*.yaml; do echo "file $file"; done
  named_keys
}

# Prints a line for each that is not what the server started with. A variable that is not set now is no change: the server has its value.
changed_inputs() {
  local kind name hash
  while read -r kind name; do
    if ! hash="$(hash_input "$kind" "$name")"; then
      if [[ "$kind" == env ]]; then continue; fi
      hash="no file"
    fi
    if ! grep -qxF -- "$hash $kind $name" "$state/inputs.sha256" 2>/dev/null; then basename "$name"; fi
  done < <(inputs)
}

keep_input_hashes() {
  local kind name hash
  (
    umask 077
    while read -r kind name; do
      if hash="$(hash_input "$kind" "$name")"; then echo "$hash $kind $name"; fi
    done < <(inputs) >"$state/inputs.sha256"
  )
}

# --- the server ----------------------------------------------------------------------------------

# Prints the pid of the agentd that was started here, if it runs. A number alone is not trusted: it may belong to another process by now.
running_pid() {
  local pid
  if ! pid="$(cat "$state/agentd.pid" 2>/dev/null)"; then return; fi
  if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$config"; then echo "$pid"; fi
}

# Not a zombie: that has let go of its port and its files.
alive() { [[ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)" == [!ZX]* ]]; }

# seconds_of DURATION: such as 20s, 1h30m or 250ms, as YAML has it.
seconds_of() {
  local rest="$1" sum=0
  while [[ "$rest" =~ ^([0-9]+)(\.[0-9]+)?(ms|us|ns|h|m|s)(.*)$ ]]; do
    rest="${BASH_REMATCH[4]}"
    case "${BASH_REMATCH[3]}" in
      h) sum=$((sum + BASH_REMATCH[1] * 3600)) ;;
      m) sum=$((sum + BASH_REMATCH[1] * 60)) ;;
      s) sum=$((sum + BASH_REMATCH[1])) ;;
    esac
  done
  echo "$sum"
}

# Ends it as SIGTERM does: no new runs, open ones park; they go on at the next start.
stop_agentd() {
  local pid="$1" waited=$SECONDS grace most
  grace="$(get_from_config drain_grace)"
  grace="${grace:-20s}"
  most=$(($(seconds_of "$grace") + 40))
  kill -TERM "$pid" 2>/dev/null || true
  while alive "$pid"; do
    if ((SECONDS - waited > most)); then fail 1 "agentd (pid $pid) has been ending for $most s. See $log; a second 'kill $pid' ends it at once, and loses nothing."; fi
    progress "agentd (pid $pid) ends: calls of models and tools under way get drain_grace, $grace; what is open then goes on at the next start"
    sleep 0.1
  done
  rm -f "$state/agentd.pid"
}

# owner_of_port PORT: who listens there, in words; nothing if nobody does.
owner_of_port() {
  local hex inode fd pid
  hex="$(printf '%04X' "$1")"
  inode="$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port {print $10; exit}')"
  if [[ -z "$inode" ]]; then return; fi
  fd="$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null)"
  pid="${fd#/proc/}" pid="${pid%%/*}"
  if [[ -n "$pid" ]]; then
    echo "$(cat "/proc/$pid/comm" 2>/dev/null) (pid $pid)"
    return
  fi
  echo "a process of another user"
}

# refuse_taken_port PORT PID: unless nobody has it, or the server PID, which may be empty.
refuse_taken_port() {
  local owner
  owner="$(owner_of_port "$1")"
  if [[ "$1" != 0 && -n "$owner" && "$owner" != *"(pid ${2:-none})" ]]; then
    fail 1 "port $1 is taken by $owner, which was not started here. End it, or choose another port: $script --port 7071"
  fi
}

# What to do about check.log, whose lines are `agentd: FILE[:LINE:COLUMN]: what is wrong`: the fault may be in an agent's file, or in no file at all.
how_to_mend() {
  local file files="" variable
  if ! grep -qv ': the environment variable [A-Za-z0-9_]* ' "$state/check.log"; then # is not set, or holds no key
    variable="$(sed -n '1s/.*: the environment variable \([A-Za-z0-9_]*\) .*/\1/p' "$state/check.log")"
    echo "set the variable in front of the command: $variable=... $script"
    return
  fi
  while IFS= read -r file; do
    if [[ -f "$file" ]]; then files+="${files:+ and }$(shown "$file")"; fi
  done < <(sed 's/^agentd: //' "$state/check.log" | awk 'match($0, /(:[0-9]+:[0-9]+)?: /) {print substr($0, 1, RSTART - 1)}' | sort -u)
  if [[ -n "$files" ]]; then echo "mend $files as said above, then start this again."; else echo "what is said above is to be mended first."; fi
}

# Before a running server is ended for it: does the new configuration hold, is its port free?
check_config() {
  local wanted code=0
  "$state/bin/agentd" --check-config "$config" </dev/null >"$state/check.log" 2>&1 || code=$?
  if ((code != 0)); then
    tail -n 12 "$state/check.log" | show
    fail 1 "agentd refused its configuration; $(how_to_mend)"
  fi
  wanted="$(get_from_config grpc)"
  wanted="${wanted##*:}"
  refuse_taken_port "${wanted:-7070}" "$1"
}

start_agentd() {
  local pid code began=$SECONDS
  if [[ -e "$log" ]] && (($(stat -c %s "$log") > 16000000)); then mv "$log" "$log.1"; fi
  rm -f "$state/address"
  keep_input_hashes
  setsid "$state/bin/agentd" --config "$config" --port-file "$state/address" </dev/null >>"$log" 2>&1 9>&- &
  pid=$!
  echo "$pid" >"$state/agentd.pid"
  while [[ ! -s "$state/address" ]]; do
    if ! kill -0 "$pid" 2>/dev/null; then
      code=0
      wait "$pid" || code=$?
      rm -f "$state/agentd.pid"
      set_in_config grpc "$old_grpc" # with a port that it cannot have, such as 80, the next start would fail too
      tail -n 5 "$log" | show
      case "$code" in
        75) fail 1 "the port or the store in $state is in use by another agentd; end that one, or choose another --port or AGENTRUNTIME_STATE." ;;
        74) fail 1 "agentd could not open its store in $state/data; the line above says why." ;;
        *) fail 1 "agentd ended with code $code as it started; its last lines are above, all in $log." ;;
      esac
    fi
    if ((SECONDS - began > 60)); then fail 1 "agentd (pid $pid) has been starting for 60 s; see $log, then start this again."; fi
    progress "starting"
    sleep 0.05
  done
}

# The binaries that run are links beside the state: a build never changes the file that a server runs from.
# place NAME: true if the file changed.
place() {
  if [[ "$state/bin/$1" -ef "$bin/$1" ]] || cmp -s "$state/bin/$1" "$bin/$1"; then return 1; fi
  { ln -f "$bin/$1" "$state/bin/$1.new" 2>/dev/null || cp "$bin/$1" "$state/bin/$1.new"; } && mv -f "$state/bin/$1.new" "$state/bin/$1"
}

# --- the stages ----------------------------------------------------------------------------------

if ((stop)); then
  begin 1 1 agentd
  take_lock
  pid="$(running_pid)"
  if [[ -z "$pid" ]]; then
    finish "not running; nothing to stop"
  else
    stop_agentd "$pid"
    finish "stopped (pid $pid); open runs go on at the next start"
  fi
  exit 0
fi

# No question: the example, over its own documents.
if [[ -z "$question" ]]; then
  question="$example"
  docs="${docs:-$root/deploy/examples/docs}"
fi
if [[ -n "$docs" ]]; then
  if [[ ! -d "$docs" || ! -r "$docs" ]]; then fail 2 "--docs: $docs is not a folder that can be read"; fi
  docs="$(cd "$docs" && pwd -P)"
  if (($(count_documents "$docs") == 0)); then fail 2 "--docs: $docs holds no Markdown or text file (.md, .txt)"; fi
fi

printf 'Agent Runtime, %s, %s cores\n' "$(. /etc/os-release 2>/dev/null && echo "${ID^} ${VERSION_ID:-}")" "$cores"
begin 1 4 packages
take_lock
bin="${AGENTRUNTIME_BIN:-$root/build/release/bin}"
if [[ -n "${AGENTRUNTIME_BIN:-}" ]]; then
  finish "not looked at, because AGENTRUNTIME_BIN is set"
  begin 2 4 build
  if [[ ! -x "$bin/agentd" || ! -x "$bin/agentctl" ]]; then fail 1 "AGENTRUNTIME_BIN: $bin has no agentd and agentctl"; fi
  finish "nothing built, using $(shown "$bin")"
else
  install_packages run "$state/packages.log"
  begin 2 4 build
  need_space 1500 "$root"
  options=()
  if [[ ! -e "$root/build/release/CMakeCache.txt" ]]; then options=(-DBUILD_TESTING=OFF); fi
  build release "$state/build.log" "${options[@]}" -- agentd agentctl
  if ((built_objects == 0)); then
    finish "release, up to date"
  else
    finish "release, $built_objects steps $(bar 1 1)  $(duration $((SECONDS - stage_start)))   log: $(shown "$state/build.log")"
  fi
fi

begin 3 4 agentd
kept_port="" old_grpc=""
pid="$(running_pid)"
write_config "$pid"
changed=""
if place agentd; then changed="a new build"; fi
place agentctl || true
if [[ -n "$pid" && ! "/proc/$pid/exe" -ef "$state/bin/agentd" ]]; then changed="a new build"; fi
while IFS= read -r name; do changed="${changed:+$changed and }a changed $name"; done < <(changed_inputs)
how="listening on"
if [[ -z "$pid" || -n "$changed" ]]; then check_config "$pid"; fi
if [[ -n "$pid" && -n "$changed" ]]; then
  stop_agentd "$pid"
  start_agentd
  how="restarted for $changed, listening on"
elif [[ -n "$pid" ]]; then
  how="already listening on"
else
  start_agentd
fi
address="$(cat "$state/address")"
finish "$how $address$kept_port, pid $(cat "$state/agentd.pid"), data in $(shown "$state/data")        stop: $script --stop"
release_lock

begin 4 4 run
folder="$(get_from_config folder)"
model="$(sed -n 's/^model: *\([^ #]*\).*/\1/p' "$state/agents/docs.yaml" | head -n 1)"
if [[ "$model" == extractive ]]; then model="extractive (built in, quotes documents, no language model)"; fi
documents="$(count_documents "$folder")"
finish "agent docs, model $model, $documents document$( ((documents == 1)) || echo s) in $(shown "$folder")"
printf '\n'
ctl="$(shown "$state/bin/agentctl")"
if [[ "$ctl" != */* ]]; then ctl="./$ctl"; fi
code=0
(exec -a "$ctl" "$state/bin/agentctl" --server "$address" run docs -- "$question") || code=$? # its advice begins as it was called

ctl="$(printf '%q' "$ctl")"
if [[ "$address" != 127.0.0.1:7070 ]]; then ctl+=" --server $address"; fi
printf '\n'
next=("$script \"How long are logs kept?\"" "another question, the same documents"
  "$script \"A question\" --docs FOLDER" "your own documents"
  "$ctl watch last" "see this run again, from the journal"
  "README.md, \"Use a real model\"" "any OpenAI-compatible endpoint")
width=0
for ((i = 0; i < ${#next[@]}; i += 2)); do width=$((${#next[i]} > width ? ${#next[i]} : width)); done
head="Next:"
for ((i = 0; i < ${#next[@]}; i += 2)); do
  printf '%-6s %-*s   %s\n' "$head" "$width" "${next[i]}" "${next[i + 1]}"
  head=""
done
exit "$code"
