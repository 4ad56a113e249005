#!/usr/bin/env bash
# Imports point down only: messages <- runtime <- gpu <- {actors, gateways} <- horizons.cpp.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
failed=0
forbid() {  # ROOM ROOMS...
  local room=$1 found
  shift
  found=$(git ls-files "$room/*.hpp" "$room/*.cpp" "$room/*.ipp" "$room/*.cu" "$room/*.cuh" |
    xargs -r grep -nE "^#include \"($(IFS='|'; echo "$*"))/" || true)
  if [ -n "$found" ]; then
    printf '%s\n' "$found" "lint: $room must not import $*" >&2
    failed=1
  fi
}
forbid messages runtime gpu actors gateways
forbid runtime gpu actors gateways
forbid gpu actors gateways
forbid actors gateways
forbid gateways gpu actors
found=$(git ls-files 'messages/*.hpp' 'messages/*.cpp' | xargs -r grep -nE '^#include <(caf/|sqlite3|curl/|boost/|spdlog/)' || true)
if [ -n "$found" ]; then
  printf '%s\n' "$found" "lint: messages are plain values: no actors, no I/O" >&2
  failed=1
fi
exit $failed
