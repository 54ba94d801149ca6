#!/usr/bin/env bash
# Heavy headers stay at home: a full build has to stay affordable on two cores. Reads what the compiler really opened (ninja -t deps).
# A rule is: header (extended regular expression) | who may see it (source files relative to the source folder) | what it costs a file.
# The home of each rule must be seen using the header, or the rule is dead and the test fails.
source "$(dirname "$0")/lib.sh"
source="$(cd "$1" && pwd -P)" build="$(cd "$2" && pwd -P)"
homes=(
  '/valijson/|^runtime/json_schema\.cc$|19 s'
  '/CLI/(App|CLI)\.hpp$|^(clients/cli/main\.cc$|tests/bench/)|12 s'
  '/grpcpp/|^(server/|clients/|tests/|gen/)|3 s'
  '/sqlite3\.h$|^(storage/sqlite/|tests/)|SQL has one home'
  '/curl/curl\.h$|^(runtime/http/|tests/)|libcurl has one home'
  '/yaml-cpp/|^proto/util/yaml[a-z_]*\.cc$|YAML has one home'
)
# Headers that only those files see which include them themselves: never through a header of ours.
direct=(
  '/nlohmann/json\.hpp$|nlohmann/'
  '/boost/asio/co_spawn\.hpp$|boost/asio/co_spawn.hpp'
  '/boost/asio/steady_timer\.hpp$|boost/asio/steady_timer.hpp'
)

# One line a pair: source file, tab, header that it opened. Sources below our folders only; generated ones are called gen/...
pairs="$(mktemp)"
trap 'rm -f "$pairs"' EXIT
ninja -C "$build" -t deps 2>/dev/null | awk -v source="$source/" -v build="$build/" '
  /^[^ ].*: #deps/ { first = 1; next }
  /^ / {
    path = substr($0, 5)
    if (path ~ /^\.\.\/\.\.\//) path = source substr(path, 7)
    if (path !~ /^\//) path = build path
    if (first) {
      if (path !~ /\.(cc|cpp|c)$/) next  # the sanitizers put a list of theirs in front of the source
      first = 0
      file = path
      if (index(file, build) == 1) file = "gen/" substr(file, length(build) + 1)
      else if (index(file, source) == 1) file = substr(file, length(source) + 1)
      else file = ""
      next
    }
    if (file != "") print file "\t" path
  }' | sort -u >"$pairs"

for rule in "${homes[@]}"; do
  cost="${rule##*|}" header="${rule%%|^*}" rest="${rule#"$header"|}" home="${rest%|*}"
  users="$(awk -F'\t' -v header="$header" '$2 ~ header {print $1}' "$pairs" | sort -u)"
  if ! grep -qE "$home" <<<"$users"; then problem "no file of $home uses $header: the rule is dead, or that file is not built"; fi
  while IFS= read -r file; do
    if [[ -n "$file" && -e "$source/$file" ]]; then problem "$file sees $header ($cost), which belongs to $home"; fi
  done < <(grep -vE "$home" <<<"$users")
done
for rule in "${direct[@]}"; do
  header="${rule%%|*}" include="${rule#*|}"
  users="$(awk -F'\t' -v header="$header" '$2 ~ header {print $1}' "$pairs" | sort -u)"
  if [[ -z "$users" ]]; then
    problem "nobody uses $header: the rule is dead, or nothing is built"
    continue
  fi
  while IFS= read -r file; do
    if [[ "$file" == gen/* || "$file" == tests/* || ! -e "$source/$file" ]]; then continue; fi
    if ! grep -q "#include <$include" "$source/$file"; then problem "$file sees $include through another header: keep it in .cc files"; fi
  done <<<"$users"
done
done_with "$(cut -f1 "$pairs" | sort -u | wc -l)" "compiled files" 60
