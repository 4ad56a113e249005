#!/bin/sh
# Raw CAF stays inside runtime/kit: names each other file that includes or calls it, and exits 1.
cd "$(dirname "$0")/../.." || exit 2
found=$(grep -rnE '#include *[<"]caf/|\bcaf::' --include='*.hpp' --include='*.cpp' --include='*.ipp' \
  messages runtime gpu actors gateways horizons.cpp 2>/dev/null | grep -v '^runtime/kit/')
[ -z "$found" ] && exit 0
echo "$found"
echo "raw CAF outside of runtime/kit: use runtime/kit/kit.hpp (notes on the traps it guards: runtime/README.md)"
exit 1
