#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# pmem.sh - the persistent-memory path of the mmap engine, on ordinary files: a library that is
# loaded before takes MAP_SYNC out of mmap, so that the kernel seems to grant it. That shows that
# the path works and leaves out the system calls; it says nothing about durability, which needs the
# hardware. And that nothing but the kernel's word opens that path: PMEM_IS_PMEM_FORCE makes libpmem
# say of every map that it is persistent, and takes no flush away.
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

append_traced() { # append_traced STORE [VARIABLE=VALUE]: durable; prints the fdatasyncs of the log
    seq 100 | strace ${2:+-E "$2"} -y -f -qq -e trace=fdatasync -o "$work/trace" \
        "$commitlog" append "$1" -t p --queue 0 --engine mmap --segment-size 64K --level durable \
        >"$out" 2>"$err"
    grep -c 'fdatasync(.*\.log>' "$work/trace"
}

section "the environment takes no flush away"
without=$(append_traced "$work/plain")
forced=$(append_traced "$work/forced" PMEM_IS_PMEM_FORCE=1)
check "the log is flushed by system calls" [ "$without" -ge 1 ]
same "by as many with PMEM_IS_PMEM_FORCE" "$without" "$forced"

cat >"$work/grant.c" <<'END'
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t at)
{
    if ((flags & MAP_SYNC) != 0) {
        flags = (flags & ~(MAP_SYNC | MAP_SHARED_VALIDATE)) | MAP_SHARED;
    }
    return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, at);
}
END
if ldd "$commitlog" | grep -q 'lib[a-z]*san' ||
    ! ${CC:-cc} -shared -fPIC -o "$work/grant.so" "$work/grant.c" 2>"$err"; then
    echo "skip: pmem: no library can be loaded before this build's"
    summary
    exit
fi

section "persist instead of fdatasync"
with=$(append_traced "$work/granted" LD_PRELOAD="$work/grant.so")
same "the log is not flushed by system calls" 0 "$with"
export LD_PRELOAD=$work/grant.so
run 0 "$commitlog" read "$work/granted" -t p
check "all is there" cmp -s <(seq 100) "$out"
run 0 "$commitlog" verify "$work/granted"

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
