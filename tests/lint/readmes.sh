#!/usr/bin/env bash
# Every top-level folder says in a README what lives there, what it may import and where to start reading.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
failed=0
for folder in messages runtime gpu actors gateways tests bench configs docs; do
  if [ ! -s "$folder/README.md" ]; then
    echo "lint: $folder/README.md is missing" >&2
    failed=1
  fi
done
exit $failed
