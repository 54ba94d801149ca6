#!/usr/bin/env bash
# What the tree says must make sense to whoever clones it: no paths of one machine, no unfinished marks, no pages that are not there.
# The patterns are written so that they do not match themselves.
source "$(dirname "$0")/lib.sh"
cd "$1"
mapfile -t files < <({ our_files .cc .h .proto .sh .txt .md .yaml .yml .json .mjs .js .svg; ls README.md CMakePresets.json CMakeLists.txt .ci/run .clang-format .clang-tidy; } | sort -u)

# forbid PATTERN REASON
forbid() {
  local hit
  while IFS= read -r hit; do
    if [[ -n "$hit" ]]; then problem "$hit    <- $2"; fi
  done < <(grep -nE "$1" "${files[@]}" | cut -c1-160 || true)
}
forbid '/wor[k]/|/roo[t]/|/hom[e]/[a-z]' "a path of one machine"
forbid '(^|[^a-zA-Z])[Ii]ssues? #?[0-9]' "numbers of a tracker that readers do not have: say what, not where it was asked"
forbid '(^|[^A-Za-z])(TOD[O]|FIXM[E]|XX[X]|HAC[K])([^A-Za-z]|$)' "unfinished"
forbid '"resolve[d]":|registr[y]\.|artifactor[y]' "an address of a package server"
while IFS=: read -r file number page; do
  if [[ ! -e "$page" && ! -e "$(dirname "$file")/$page" && -z "$(find . -name node_modules -prune -o -path ./build -prune -o -path "*/$page" -print -quit)" ]]; then
    problem "$file:$number names $page, which is not in the tree"
  fi
done < <(grep -nHoE '[A-Za-z0-9_/-]*[A-Z]{3,}[A-Za-z0-9_-]*\.md' "${files[@]}" || true)
done_with "${#files[@]}" "files" 50
