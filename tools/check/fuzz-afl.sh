#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# fuzz-afl.sh - fuzzes one target with AFL++ from its corpus: fuzz-afl.sh TARGET SECONDS
#
# `make fuzz-afl` builds what it needs. Crashes, hangs and the queue stay in build/afl/out/TARGET.
# Prints a line of figures; exit 1 on a finding or if nothing was executed.
set -u

target=$1
seconds=$2
out=build/afl/out/$target
rm -rf "$out"
mkdir -p build/afl/out

export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1
export ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0:quarantine_size_mb=16
case $target in
jsonl | filter | remoting) ;; # those are text and frames, not bundles
*)
    export AFL_CUSTOM_MUTATOR_LIBRARY=$PWD/build/release/fuzz/afl_mutator.so
    ;;
esac
log=build/afl/$target.log
if ! afl-fuzz -V "$seconds" -m none -t 20000 ${SEED:+-s "$SEED"} -i "fuzz/corpus/$target" \
    -o "$out" -- "build/afl/fuzz/$target" >"$log" 2>&1; then
    tail -n 20 "$log"
    exit 1
fi

stat() { # stat NAME: an integer of what afl-fuzz says at the end
    sed -n "s/^$1 *: *\([0-9]*\).*/\1/p" "$out/default/fuzzer_stats"
}

crashes=$(find "$out/default/crashes" -name 'id*' | wc -l)
hangs=$(find "$out/default/hangs" -name 'id*' | wc -l)
findings=$((crashes + hangs))
executions=$(stat execs_done)
echo "$target: AFL++, $(stat corpus_count) inputs in the queue, results in $out"
echo "figures: seconds=$(stat run_time) executions=$executions findings=$findings"
[ "$findings" = 0 ] && [ "${executions:-0}" -gt 0 ]
