#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# plants.sh - shows that the fault tests fail when the library is wrong: builds it with one planted
# mistake after the other, and runs the programs of tests/fault until one of them fails.
#
#   plants.sh [MISTAKE...]     default: all of them
#
# MAKE, and SEEDS (how many seeds are tried before a mistake counts as not found; 5).
set -u

cd "$(dirname "$0")/../.." || exit 1
all="ACK_EARLY FLUSH_IGNORED NO_DIR_SYNC NO_EPOCH NO_REWRITE NO_ZERO"
build=build/plant
missed=0

for plant in ${*:-$all}; do
    ${MAKE:-make} B=$build CFLAGS=-DCLG_PLANT_"$plant" $build/tests/fault/nth_test \
        $build/tests/fault/powercut_sim $build/tests/crash/recovery_sim >/dev/null || exit 1
    found=
    seed=1
    while [ -z "$found" ] && [ "$seed" -le "${SEEDS:-5}" ]; do
        for run in fault/nth_test fault/powercut_sim "crash/recovery_sim 300 $seed"; do
            # The program and its arguments: meant to be split.
            # shellcheck disable=SC2086
            if ! SEED=$seed $build/tests/$run >$build/plant.log 2>&1; then
                found=${run%% *}
                break
            fi
        done
        seed=$((seed + 1))
    done
    if [ -n "$found" ]; then
        echo "CLG_PLANT_$plant: found by $found: $(grep -a FAILED $build/plant.log | cut -c1-160)"
    else
        echo "CLG_PLANT_$plant: NOT FOUND"
        missed=1
    fi
done
exit $missed
