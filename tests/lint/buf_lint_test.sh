#!/usr/bin/env bash
# The contract obeys buf's STANDARD and COMMENTS rules (proto/buf.yaml) and buf's format.
source "$(dirname "$0")/lib.sh"
cd "$1"
case "$(uname -m)" in
  x86_64) buf=tests/peers/node_modules/@bufbuild/buf-linux-x64/bin/buf ;;
  *) buf=tests/peers/node_modules/@bufbuild/buf-linux-aarch64/bin/buf ;;
esac
if [[ ! -x "$buf" ]]; then
  echo "$buf is missing: run ./deploy/test.sh, or npm ci --ignore-scripts in tests/peers"
  exit 1
fi
HOME="$(mktemp -d)"
export HOME
trap 'rm -rf "$HOME"' EXIT
findings="$("$buf" lint proto 2>&1)" || problem "$findings"
findings="$("$buf" format -d proto 2>&1)" || problem "$findings"
if [[ -n "$findings" ]]; then problem "buf format would change: $findings"; fi
done_with "$(our_files .proto | wc -l)" "proto files" 9
