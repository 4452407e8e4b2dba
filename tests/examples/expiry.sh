#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# expiry.sh - the example program expiry: measurements expire by themselves and by word, the other
# topic keeps its messages, also in a second run on the same store.
#
# expiry.sh
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

section 'two runs'
store=$(new)
for run in 1 2; do
    run 0 "$(dirname "$commitlog")/examples/expiry" "$store"
    quiet "run $run"
    prints "run $run" "^all of them expired: $((run * 30)) to $((run * 30))$"
done
run 0 "$commitlog" topics "$store" --json
prints "the other topic" '"topic":"log".*"first_offset":0,"next_offset":60'
prints "its age" '"keep_age_ms":1000'
run 0 "$commitlog" verify "$store"
summary
