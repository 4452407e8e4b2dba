#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# pmem.sh - PMEM_IS_PMEM_FORCE makes libpmem say of every map that it is persistent. On an ordinary
# disk the mmap engine flushes all the same: no word in the environment makes an answer of "durable"
# out of nothing.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

ldd "$commitlog" | grep -q libpmem || {
    echo "skip: pmem: built without libpmem"
    exit 77
}
command -v strace >/dev/null || {
    echo "skip: pmem: strace is not installed"
    exit 77
}

append_traced() { # append_traced FORCE STORE: durable appends; prints the fdatasyncs of the log
    seq 100 | PMEM_IS_PMEM_FORCE=$1 strace -y -f -qq -e trace=fdatasync -o "$work/trace" \
        "$commitlog" append "$2" -t p --queue 0 --engine mmap --segment-size 64K --level durable \
        >"$out" 2>"$err"
    grep -c 'fdatasync(.*\.log>' "$work/trace"
}

section "the environment takes no flush away"
with=$(append_traced 1 "$work/forced")
without=$(append_traced 0 "$work/plain")
check "the log is flushed by system calls" [ "$without" -ge 1 ]
same "by as many, whatever the environment says" "$without" "$with"
export PMEM_IS_PMEM_FORCE=1
run 0 "$commitlog" read "$work/forced" -t p
check "all is there" cmp -s <(seq 100) "$out"
run 0 "$commitlog" verify "$work/forced"

section "kill -9"
seq 1000000 >"$work/numbers"
"$commitlog" append "$work/killed" -t p --queue 0 --engine mmap --segment-size 1M --level durable \
    --acks <"$work/numbers" >"$work/acks" 2>"$err" &
started+=($!)
check "it appends" wait_for lines_at_least "$work/acks" 2000
kill -9 $!
wait $! 2>/dev/null
acked=$(wc -l <"$work/acks")
run 0 "$commitlog" recover "$work/killed"
run 0 "$commitlog" read "$work/killed" -t p
check "all that was acknowledged ($acked) is there" \
    cmp -s <(seq "$acked") <(head -n "$acked" "$out")
run 0 "$commitlog" verify "$work/killed"

section "random histories"
model=$(dirname "$commitlog")/tests/model/model_test
checks=$((checks + 1))
HISTORIES=3 ENGINE=1 timeout -k 10 300 "$model" >"$work/model" 2>&1 ||
    fail "$(tail -n 5 "$work/model")"
summary
