#!/usr/bin/env bash
# Every shell script parses and shellcheck has nothing to say.
source "$(dirname "$0")/lib.sh"
cd "$1"
mapfile -t files < <({ our_files .sh; echo .ci/run; })
for file in "${files[@]}"; do
  findings="$(bash -n "$file" 2>&1)" || problem "$findings"
  if [[ ! -x "$file" && "$(head -c 2 "$file")" == '#!' ]]; then problem "$file is not executable: chmod +x"; fi
done
findings="$(shellcheck --external-sources --source-path=SCRIPTDIR --format=gcc "${files[@]}" 2>&1)" || problem "$findings"
done_with "${#files[@]}" "scripts" 10
