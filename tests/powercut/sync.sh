#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sync.sh - what the kernel answers to a flush during which the file system gives up.
#
#   sync.sh [TRIALS]     so many (50) for each file system of FS, each way to write and to flush
#
# A trial: sync_probe writes bare files, one request of the disk fails, the file system may shut
# down, the power goes, the pieces that were flushed are compared. Prints a table: trials; in how
# many something failed; flushes that returned 0 and whose bytes were not there (false). The kernel
# alone may have some, which is what lib/os/os_linux_flush.c is about; the library must have none.
#
# Environment: SEED, PART, FS, BUILD, ALLOW_SKIP, as powercut.sh; FLUSHES ("kernel library"); V=1
# for each trial.
set -u
. "$(dirname "$0")/machine.sh"

trials=${1:-50}
systems=${FS:-ext4 xfs btrfs}
flushes=${FLUSHES:-kernel library}
machine_enter "$systems" "$@"

failed() {
    echo "FAILED: $system $way seed $seed: $1"
    exit 1
}

word() { # word NAME: of the probe's last line, in $value
    value=$(sed -n "s/.*\b$1=\([A-Za-z0-9]*\).*/\1/p" "$work/probe.out" | tail -n 1)
}

trial() {
    local tick count
    rnd 3
    [ "$value" = 0 ] && kind=flush || kind=write
    rnd 4
    [ "$value" = 0 ] && count=20 || count=1
    rnd 100
    what="fail $kind $((value + 1)) $count"
    ctl "fail $kind $((value + 1)) $count"
    program_start probe "$programs/sync_probe" run "$mnt/probe" "$way" "$flush"
    for ((tick = 0; tick < 500; tick++)); do
        alive || break
        sleep 0.01
    done
    alive && program_kill || program_wait
    word by && by=$value
    word flushed && flushed=$value
    [ "$by" = end ] || [ "$by" = "" ] || hit=$((hit + 1))
    ctl "cut drop"
    power_back
    [ "${flushed:-0}" = 0 ] && return
    "$programs/sync_probe" check "$mnt/probe" "$flushed" >"$work/check.out" 2>&1
    case $? in
    0) ;;
    1)
        false_ok=$((false_ok + 1))
        echo "  $system $way $flush ($what): $(tail -n 1 "$work/probe.out"); $(<"$work/check.out")"
        ;;
    *) failed "$(cat "$work/check.out")" ;;
    esac
}

echo "sync: seed $seed part $part"
echo 'system  way    flush   trials failing  false'
total=0 kernel_false=0 library_false=0
for system in $systems; do
    for way in pwrite mmap; do
        for flush in $flushes; do
            RANDOM=$(((seed + part * 7919) % 32768))
            hit=0 false_ok=0
            disk_new "$system"
            boot
            for ((n = 0; n < trials; n++)); do
                trial
                [ "${V:-0}" = 1 ] &&
                    echo "  $system $way $flush ($what): $(tail -n 1 "$work/probe.out")"
            done
            printf '%-7s %-6s %-7s %6d %7d %6d\n' "$system" "$way" "$flush" "$trials" "$hit" \
                "$false_ok"
            disk_end
            total=$((total + hit))
            [ "$flush" = kernel ] && kernel_false=$((kernel_false + false_ok)) ||
                library_false=$((library_false + false_ok))
        done
    done
done
echo "figures: failing=$total kernel_false=$kernel_false library_false=$library_false"
[ "$library_false" = 0 ]
