#!/usr/bin/env bash
# deploy/packages.txt: each line has a reason; each library that CMake looks for has its package there; nothing is installed in another place.
source "$(dirname "$0")/lib.sh"
cd "$1"
list=deploy/packages.txt
count=0
while IFS= read -r line; do
  if [[ -z "$line" || "$line" == \#* || "$line" == \[* ]]; then continue; fi
  count=$((count + 1))
  if [[ ! "$line" =~ ^[a-z0-9.+-]+(\ unless\ [a-z0-9]+)?\ +#\ .{3,} ]]; then problem "$list: not 'NAME [unless COMMAND]  # reason': $line"; fi
done <$list
duplicates="$(sed -n 's/^\([a-z][a-z0-9.+-]*\).*/\1/p' $list | sort | uniq -d)"
if [[ -n "$duplicates" ]]; then problem "$list names twice: $duplicates"; fi

declare -A package_of=(
  [absl]=libabsl-dev [Boost]=libboost1.81-dev [CURL]=libcurl4-openssl-dev [OpenSSL]=libssl-dev [Protobuf]=libprotobuf-dev [SQLite3]=libsqlite3-dev
  [nlohmann_json]=nlohmann-json3-dev [valijson]=libvalijson-dev [yaml-cpp]=libyaml-cpp-dev [gRPC]=libgrpc++-dev [CLI11]=libcli11-dev
  [GTest]=libgtest-dev)
mapfile -t found < <(find CMakeLists.txt ./*/ -name node_modules -prune -o -path ./build -prune -o -name CMakeLists.txt -print0 |
  xargs -0 sed -n 's/^ *find_package(\([A-Za-z0-9_-]*\).*/\1/p' | sort -u)
for name in "${found[@]}"; do
  if [[ "$name" == Threads ]]; then continue; fi
  package="${package_of[$name]:-}"
  if [[ -z "$package" ]]; then
    problem "find_package($name): tell $0 its package, and $list too"
  elif ! grep -q "^$package " $list; then
    problem "find_package($name) needs $package, which $list lacks"
  fi
done
for name in "${!package_of[@]}"; do
  if [[ " ${found[*]} " != *" $name "* ]]; then problem "no CMakeLists.txt looks for $name any more: drop ${package_of[$name]} from $list and $name from $0"; fi
done
done_with $((count + ${#found[@]})) "packages and libraries" 25
