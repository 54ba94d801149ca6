#!/usr/bin/env bash
# Includes run one way: proto <- storage <- runtime <- server; clients see proto alone; proto/base sees only itself.
source "$(dirname "$0")/lib.sh"
cd "$1"
count=0

# may FOLDER PATTERN: files below FOLDER include only our headers that match the extended regular expression.
may() {
  local file line header
  while IFS= read -r file; do
    count=$((count + 1))
    while IFS= read -r line; do
      header="${line#*\"}" header="${header%%\"*}"
      if [[ ! "$header" =~ ^(agentruntime|clients|proto|runtime|server|storage|tests)/ ]]; then
        if [[ -e "$(dirname "$file")/$header" ]]; then problem "$file includes $header: write its path from the top of the tree"; fi
        continue
      fi
      if [[ ! "$header" =~ $2 ]]; then problem "$file includes $header: $1 may see $2 only"; fi
    done < <(grep -E '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file" || true)
  done < <(find "$1" -name '*.h' -o -name '*.cc')
}
# never FOLDER PATTERN REASON: no file below FOLDER includes a header that matches, ours or another's.
never() {
  local hit
  while IFS= read -r hit; do
    if [[ -n "$hit" ]]; then problem "$hit: $3"; fi
  done < <(grep -rnE --include='*.h' --include='*.cc' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" "$1" || true)
}

messages='agentruntime/[a-z]*/v1/[a-z_]*\.pb\.h$|^agentruntime/v1/[a-z_]*\.pb\.h$'
may proto/base '^proto/base/'
may proto/util "^proto/(base|util)/|^$messages"
may storage "^(proto|storage)/|^$messages"
may runtime "^(proto|storage|runtime)/|^$messages"
may server '^(proto|storage|runtime|server|agentruntime)/'
may clients '^(proto|clients|agentruntime)/'
for folder in proto storage runtime; do
  never "$folder" 'grpc|agentruntime/.*grpc\.pb\.h' "the loop and the store know nothing of gRPC"
  never "$folder" 'absl/synchronization/|absl/log/' "the race detector cannot judge it: proto/base/mutex.h, proto/base/log.h"
done
never runtime 'sqlite3|storage/sqlite/' "the loop knows no SQL"
never server 'sqlite3' "SQL lives in storage/sqlite"
never clients 'sqlite3' "SQL lives in storage/sqlite"
while IFS= read -r hit; do
  problem "$hit: too heavy for a header: use it in .cc files"
done < <(grep -rnE --include='*.h' 'include <(boost/asio/(co_spawn|detached|experimental/|steady_timer)|nlohmann/json\.hpp|grpcpp/grpcpp)' proto storage runtime clients || true)
done_with "$count" "files" 40
