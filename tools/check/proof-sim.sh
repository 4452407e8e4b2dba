#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# proof-sim.sh - every fault of nth_test and every moment of powercut_sim, in parts: a part that is
# done is not done again, so it can be stopped and called again.
#
#   proof-sim.sh BUILD
#
# SEED (1), PARTS (8), OUTCOMES of each moment (24). Logs and what is done: BUILD/proof. To begin
# anew, remove that folder; a program that was built anew begins anew too.
set -u

build=$1
seed=${SEED:-1}
parts=${PARTS:-8}
mkdir -p "$build/proof"
failed=0

for program in nth_test powercut_sim; do
    part=0
    while [ "$part" -lt "$parts" ]; do
        log=$build/proof/$program-$seed-$part-of-$parts.log
        if [ ! "$log.done" -nt "$build/tests/fault/$program" ]; then
            if SEED=$seed PARTS=$parts PART=$part EVERY=1 OUTCOMES=${OUTCOMES:-24} \
                "$build/tests/fault/$program" >"$log" 2>&1; then
                touch "$log.done"
            else
                failed=1
            fi
        fi
        echo "$program $((part + 1))/$parts: $(grep -aE 'injected|moments, [0-9]+ outcomes|FAILED' \
            "$log" | cut -c1-220)"
        part=$((part + 1))
    done
done
exit $failed
