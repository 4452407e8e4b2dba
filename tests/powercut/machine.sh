# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# machine.sh - a disk that loses its cache under the running kernel; sourced by the power cuts.
#
#   fault_disk (FUSE) -> loop device -> ext4, xfs or btrfs at $mnt
#
# A "boot" is a loop device without a page cache, an empty /dev/shm and another boot id. Everything
# is mounted in a mount namespace of its own, so that nothing is left when this ends in any way.
#
# From the environment: BUILD (build/release), ALLOW_SKIP, SEED, PART.
# Sets: $programs, $seed, $part; $work (in memory), $mnt. Whoever sources it defines failed WHAT,
# and calls machine_enter SYSTEMS "$@" first.

programs=${BUILD:-build/release}/tests/powercut
seed=${SEED:-$(($(date +%s%N) / 1000 % 1000000007))}
part=${PART:-0}

# Where root has FUSE and loop devices this runs, or has failed.
machine_can_be() {
    [ "$(id -u)" = 0 ] && [ -c /dev/fuse ] && [ -c /dev/loop-control ] &&
        unshare --mount true 2>/dev/null
}

missing() {
    if [ "${ALLOW_SKIP:-0}" = 1 ] && ! machine_can_be; then
        echo "skip: powercut: $1"
        exit 77
    fi
    echo "powercut: $1; this must run where it can; ALLOW_SKIP=1 is for machines that cannot"
    exit 1
}

machine_enter() { # machine_enter SYSTEMS ARGUMENT...: starts the script again in its own namespace
    local system systems=$1
    shift
    if [ "${POWERCUT_INSIDE:-}" != 1 ]; then
        [ "$(id -u)" = 0 ] || missing "needs root"
        [ -c /dev/fuse ] || missing "no /dev/fuse"
        [ -c /dev/loop-control ] || missing "no loop devices"
        unshare --mount true 2>/dev/null || missing "no mount namespaces"
        for system in $systems; do
            command -v "mkfs.$system" >/dev/null || missing "no mkfs.$system: make deps-powercut"
        done
        SEED=$seed POWERCUT_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
    fi
    machine_begin
}

work=
disk_pid=
program_pid=

unmount_all() {
    [ -z "$program_pid" ] || program_kill
    umount "$mnt" 2>/dev/null || umount -l "$mnt" 2>/dev/null
    if [ -n "$disk_pid" ]; then
        umount "$disk" 2>/dev/null || umount -l "$disk" 2>/dev/null
        kill "$disk_pid" 2>/dev/null
        wait "$disk_pid" 2>/dev/null
        disk_pid=
    fi
}

finish() {
    unmount_all
    umount /proc/sys/kernel/random/boot_id 2>/dev/null
    umount -l "$work" 2>/dev/null
    rmdir "$work" 2>/dev/null
}

machine_begin() {
    work=$(mktemp -d) || exit 1
    disk=$work/disk
    mnt=$work/mnt
    trap finish EXIT
    trap 'exit 130' INT TERM HUP
    mount -t tmpfs -o size=4G powercut "$work" && mkdir "$disk" "$mnt" || exit 1
    cat /proc/sys/kernel/random/uuid >"$work/boot" || exit 1
    mount --bind "$work/boot" /proc/sys/kernel/random/boot_id || missing "cannot play another boot"
}

ctl() {
    echo "$*" >"$disk/ctl"
}

counter() { # counter NAME: its value, in $value
    value=$(<"$disk/ctl")
    value=${value##*"$1"=}
    value=${value%% *}
}

disk_new() { # disk_new FILE-SYSTEM
    rm -f "$work"/acks* "$work/platter"
    truncate -s 512M "$work/platter"
    case $1 in
    ext4) mkfs.ext4 -q -F "$work/platter" ;;
    xfs) mkfs.xfs -q -f "$work/platter" ;;
    btrfs) mkfs.btrfs -q -f "$work/platter" >/dev/null 2>&1 ;;
    *) echo "powercut: no file system $1" && exit 1 ;;
    esac || exit 1
    "$programs/fault_disk" "$work/platter" "$disk" 2>"$work/disk.err" &
    disk_pid=$!
    for _ in {1..100}; do
        [ -e "$disk/ctl" ] && return
        sleep 0.05
    done
    missing "FUSE does not mount: $(cat "$work/disk.err")"
}

disk_end() {
    unmount_all
    rm -f "$work/platter"
}

disk_mount() {
    for _ in {1..40}; do
        mount -o loop "$disk/disk" "$mnt" 2>"$work/mount.err" && return 0
        sleep 0.05
    done
    failed "mount: $(<"$work/mount.err")"
}

boot() { # what was in memory is gone
    mountpoint -q /dev/shm && umount /dev/shm 2>/dev/null
    mount -t tmpfs powercut-shm /dev/shm || exit 1
    cat /proc/sys/kernel/random/uuid >"$work/boot"
    disk_mount
}

power_back() { # after a cut, when no program runs any more
    for _ in {1..200}; do
        umount "$mnt" 2>/dev/null && break
        sleep 0.02
    done
    ctl reset
    ctl revive
    boot
}

# Where both may be used, a check sometimes opens with the other one; on btrfs mmap is refused.
declare -A other=(['ext4 staged']=mmap ['ext4 mmap']=staged ['xfs staged']=mmap ['xfs mmap']=staged)

# ---- what runs on it ------------------------------------------------------------------------

# RANDOM is of the seed: the same seed draws the same rounds.
rnd() { # rnd BELOW: in $value
    value=$(((RANDOM << 15 | RANDOM) % $1))
}

draw_cut() { # a kind of cut, in $cut
    local survive
    rnd 10
    case $value in
    0 | 1 | 2) cut=drop ;;
    3) cut=keep ;;
    *)
        rnd 3
        survive=$((20 + value * 30))
        rnd 1000000
        cut="random $value $survive"
        ;;
    esac
}

cut_while_it_runs() { # cuts the power under what runs; says how in $what, counts $total_cuts
    local tick
    draw_cut
    what="cut $cut"
    rnd 2
    if [ "$value" = 0 ]; then
        rnd 300
        ctl "arm write $((value + 1)) $cut"
        what="$what at write $((value + 1))"
        rnd 60
        for ((tick = 0; tick < 20 + value; tick++)); do
            counter off
            [ "$value" = 1 ] && break
            sleep 0.01
        done
    else
        rnd 45
        sleep "0.$((100 + value * 10))"
    fi
    counter off
    [ "$value" = 1 ] || ctl "cut $cut"
    total_cuts=$((total_cuts + 1))
}

program_start() { # program_start OUT PROGRAM ARGUMENT...
    local out=$1
    shift
    timeout -k 1 60 "$@" >"$work/$out.out" 2>&1 &
    program_pid=$!
}

program_wait() { # its exit status, in $status
    wait "$program_pid" 2>/dev/null # a shell tells how a program died; we do too
    status=$?
    program_pid=
}

program_kill() { # it, and the timeout above it
    kill -9 $(pgrep -P "$program_pid") "$program_pid" 2>/dev/null
    program_wait
}

alive() {
    kill -0 "$program_pid" 2>/dev/null
}

writable() {
    touch "$mnt/writable" 2>/dev/null && rm "$mnt/writable"
}
