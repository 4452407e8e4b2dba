#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# disk.sh - full disks, on small file systems of the running kernel: ENOSPC before anything is
# stored, no SIGBUS, reads and retention go on, appends resume, nothing acknowledged is lost.
#
#   disk.sh              every row, engine, flush and prewrite; about five minutes
#   disk.sh --short      one of these for each row and engine, drawn from the seed
#   disk.sh --control    only the control: what must be noticed is noticed
#
# What is tried is told in disk_full.c. A row is a file system and a way to fill it. After each case
# the file system is mounted again, and what was acknowledged must still be there.
#
# Needs root and loop devices; says what is missing and fails; where they are not there,
# with ALLOW_SKIP=1, it is 77.
# Everything is mounted in a mount namespace of its own, so that nothing is left when this ends.
#
# Environment: SEED, ROWS (names, as in the table), PART and PARTS (every PARTS-th case),
# BUILD (build/release), ALLOW_SKIP, V=1 (each case).
set -u

program=$(realpath "${BUILD:-build/release}/tests/disk/disk_full")
seed=${SEED:-$(($(date +%s%N) / 1000 % 1000000007))}
rows=${ROWS:-ext4 ext4-others ext4-inodes ext2-late xfs xfs-others btrfs btrfs-others mixed-late \
tmpfs tmpfs-others tmpfs-inodes}

# Where root has loop devices this runs, or has failed.
disks_can_be() {
    [ "$(id -u)" = 0 ] && [ -c /dev/loop-control ] && unshare --mount true 2>/dev/null
}

missing() {
    if [ "${ALLOW_SKIP:-0}" = 1 ] && ! disks_can_be; then
        echo "skip: disk: $1"
        exit 77
    fi
    echo "disk: $1; this must run where it can; ALLOW_SKIP=1 is for machines that cannot"
    exit 1
}

if [ "${DISK_INSIDE:-}" != 1 ]; then
    [ "$(id -u)" = 0 ] || missing "needs root"
    [ -c /dev/loop-control ] || missing "no loop devices"
    unshare --mount true 2>/dev/null || missing "no mount namespaces"
    for tool in mkfs.ext4 mkfs.ext2 mkfs.xfs mkfs.btrfs; do
        command -v $tool >/dev/null || missing "no $tool: make deps-powercut"
    done
    SEED=$seed DISK_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
fi

# ---- the disk ----------------------------------------------------------------------------------

work=$(mktemp -d) || exit 1
disk=$work/disk
mnt=$work/mnt

finish() {
    umount "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null
    umount /dev/shm 2>/dev/null
    umount -l "$work" 2>/dev/null
    rmdir "$work" 2>/dev/null
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

mount -t tmpfs -o size=4G disk-full "$work" && mkdir "$mnt" || exit 1
mount -t tmpfs -o size=1G disk-full-shm /dev/shm || exit 1

disk_mount() { # disk_mount ROW
    case $1 in
    tmpfs-inodes) mount -t tmpfs -o size=64m,nr_inodes=300 disk-full "$mnt" ;;
    tmpfs*) mount -t tmpfs -o size=64m disk-full "$mnt" ;;
    *) mount -o loop "$disk" "$mnt" 2>"$work/mount.err" ;;
    esac && return
    missing "mount $1: $(cat "$work/mount.err" 2>/dev/null)"
}

disk_new() { # disk_new ROW
    umount "$mnt" 2>/dev/null
    rm -f "$disk"
    case $1 in
    ext4-inodes) truncate -s 64M "$disk" && mkfs.ext4 -q -F -m 0 -N 300 "$disk" ;;
    ext4*) truncate -s 64M "$disk" && mkfs.ext4 -q -F -m 0 "$disk" ;;
    ext2*) truncate -s 64M "$disk" && mkfs.ext2 -q -F -m 0 "$disk" ;;
    xfs*) truncate -s 320M "$disk" && mkfs.xfs -q -f "$disk" ;;
    btrfs*) truncate -s 256M "$disk" && mkfs.btrfs -q -f "$disk" >/dev/null 2>&1 ;;
    mixed*) truncate -s 64M "$disk" && mkfs.btrfs -q -f --mixed "$disk" >/dev/null 2>&1 ;;
    tmpfs*) ;;
    *) echo "disk: no row $1" && exit 1 ;;
    esac || exit 1
    disk_mount "$1"
}

# ---- cases -------------------------------------------------------------------------------------

declare -A cells
cases=0 lost=0 sigbus=0 wrong=0 reopened=0 latched=0

verdict() { # verdict STATUS: a word in $word, counted
    case $1 in
    0) word=ok ;;
    3 | 135) word=SIGBUS sigbus=$((sigbus + 1)) ;;
    5) word=LOST lost=$((lost + 1)) ;;
    *) word=WRONG wrong=$((wrong + 1)) ;;
    esac
}

run_case() { # run_case ROW ENGINE FLUSH PREWRITE SEED
    local way=appends ok=ok status
    case $1 in
    *-others) way=others ;;
    *-inodes) way=inodes ;;
    *-late) way=late ;;
    esac
    disk_new "$1"
    rm -f "$work"/acks*
    timeout -k 1 200 "$program" "$mnt" "$work/acks" $way "$2" "$3" "$4" "$5" >"$work/out" 2>&1
    status=$?
    grep -q '^refused' "$work/out" && ok=refused
    # A tmpfs ends with its mount; what was refused has nothing to show.
    if [ "$status" = 0 ] && [[ $1 != tmpfs* ]] && [ "$ok" = ok ]; then
        umount "$mnt" && disk_mount "$1"
        timeout -k 1 60 "$program" "$mnt" "$work/acks" unmounted "$2" "$3" "$4" "$5" \
            >>"$work/out" 2>&1
        status=$?
    fi
    cases=$((cases + 1))
    verdict "$status"
    reopened=$((reopened + $(grep -c '^reopened' "$work/out")))
    latched=$((latched + $(grep -c '^latched' "$work/out")))
    if [ "$status" != 0 ]; then
        echo "FAILED: $1 $2 flush=$3 prewrite=$4 seed $5: status $status"
        tail -n 4 "$work/out" | sed 's/^/    /'
        cells[$1 $2 $3]=$word
    else
        [ "${V:-0}" = 1 ] && echo "  $1 $2 $3 $4 $5: $(tr '\n' ' ' <"$work/out")"
        : "${cells[$1 $2 $3]:=$ok}"
    fi
}

control_case() { # control_case TEXT STATUS ROW WAY [VARIABLE=VALUE]: must end so
    local text=$1 expected=$2 row=$3 way=$4 status
    disk_new "$row"
    rm -f "$work"/acks*
    shift 4
    timeout -k 1 200 env "$@" "$program" "$mnt" "$work/acks" "$way" staged none no 2 \
        >"$work/out" 2>&1
    status=$?
    if [ "$status" != "$expected" ]; then
        echo "FAILED: control: $text: status $status instead of $expected"
        tail -n 4 "$work/out"
        exit 1
    fi
    echo "control: $text: noticed"
}

control() {
    control_case "a store into a sparse map on a full disk" 3 ext4 naive
    control_case "an acknowledgement is hidden" 5 ext4 appends FORGET=1
    control_case "a full disk is latched" 1 ext2-late others
}

row_print() { # row_print ROW
    local engine flush
    printf '%-14s' "$1"
    for engine in staged mmap; do
        for flush in none async sync; do
            printf ' %-12s' "${cells[$1 $engine $flush]:-.}"
        done
    done
    echo
}

echo "disk: seed $seed"
control
[ "${1:-}" = --control ] && exit 0

RANDOM=$((seed % 32768))
number=0
for row in $rows; do
    for engine in staged mmap; do
        drawn=$((RANDOM % 6))
        for each in 0 1 2 3 4 5; do
            flush=none
            [ $((each / 2)) = 1 ] && flush=async
            [ $((each / 2)) = 2 ] && flush=sync
            [ $((each % 2)) = 0 ] && prewrite=no || prewrite=yes
            number=$((number + 1))
            [ "${1:-}" = --short ] && [ "$each" != "$drawn" ] && continue
            [ $((number % ${PARTS:-1})) = "${PART:-0}" ] || continue
            run_case "$row" $engine $flush $prewrite $((seed + number))
        done
    done
done

printf '%-14s %-12s %-12s %-12s %-12s %-12s %s\n' "" staged/none staged/async staged/sync \
    mmap/none mmap/async mmap/sync
for row in $rows; do
    row_print "$row"
done
echo "figures: cases=$cases reopened_while_full=$reopened latched=$latched lost=$lost" \
    "sigbus=$sigbus wrong=$wrong"
[ $((lost + sigbus + wrong)) = 0 ] && [ "$cases" -gt 0 ]
