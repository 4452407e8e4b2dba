#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# python.sh - the Python binding's own tests, over the shared library as it stands.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$(BUILD=${BUILD:-build/release} python3 bindings/python/test_commitlog.py 2>&1)
code=$?
[ "$code" = 0 ] || echo "$out"
echo "checks: $(echo "$out" | sed -n 's/^Ran \([0-9]*\) test.*/\1/p')"
exit "$code"
