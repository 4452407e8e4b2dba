#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# powercut.sh - power cuts under the running kernel: nothing acknowledged as durable is gone.
#
#   powercut.sh              the control, then CUTS cuts (40) on each file system of FS
#   powercut.sh --control    only the control: a writer that claims durable when it is written, and
#                            a disk that confirms flushes and does nothing, must both lose records
#
# Needs root, FUSE and loop devices; says what is missing and fails, with ALLOW_SKIP=1 it is 77.
#
#   fault_disk (FUSE) -> loop device -> ext4, xfs or btrfs -> cut_writer, cut_check
#
# A round: the writer runs, the power goes, the file system is mounted again on what the platter
# has, perhaps the power goes again while the store is recovered, and the checker compares it with
# the acknowledgements, which are not on that disk. A store lives through all rounds of its row. In
# some rounds a write or a flush fails instead: the store is opened again under the same kernel,
# whose page cache has more than the disk, and then the power goes.
#
# A "boot" is a loop device without a page cache, an empty /dev/shm and another boot id. Everything
# is mounted in a mount namespace of its own, so that nothing is left when this ends in any way.
#
# Environment: SEED, CUTS, FS ("ext4 xfs btrfs"), ENGINES ("staged mmap"), BUILD (build/release),
# ALLOW_SKIP, KEEP (where the platter and the acknowledgements of a failure go), V=1 (each round).
#
# The table: rounds; cuts; records acknowledged as durable, or before such a one; of these found
# equal in the next check, and dropped by retention before it (what was found is compared again in
# every later round, and what a recovery has served counts as acknowledged from then on);
# recoveries that cut a torn or an unprovable tail; cuts inside recovery; stores that latched a
# failed request; reopened in the same boot after one; writers that died of SIGBUS; rounds in which
# the kernel itself says that it lost what it had called durable (kernel_confesses); lost.
set -u

programs=${BUILD:-build/release}/tests/powercut
cuts=${CUTS:-40}
systems=${FS:-ext4 xfs btrfs}
engines=${ENGINES:-staged mmap}
seed=${SEED:-$(($(date +%s%N) / 1000 % 1000000007))}
keep=${KEEP:-build/powercut-failed}

missing() {
    echo "skip: powercut: $1"
    [ "${ALLOW_SKIP:-0}" = 1 ] && exit 77
    echo "powercut: this must run where it can; ALLOW_SKIP=1 says that it cannot"
    exit 1
}

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

# ---- the machine -------------------------------------------------------------------------------

work=$(mktemp -d) || exit 1
disk=$work/disk
mnt=$work/mnt
acks=$work/acks
store=$mnt/store
disk_pid=
program_pid=

unmount_all() {
    [ -z "$program_pid" ] || kill -9 "$program_pid" 2>/dev/null
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
trap finish EXIT
trap 'exit 130' INT TERM HUP

mount -t tmpfs -o size=4G powercut "$work" && mkdir "$disk" "$mnt" || exit 1
cat /proc/sys/kernel/random/uuid >"$work/boot" || exit 1
mount --bind "$work/boot" /proc/sys/kernel/random/boot_id || missing "cannot play another boot"

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

boot() { # what was in memory is gone
    mountpoint -q /dev/shm && umount /dev/shm 2>/dev/null
    mount -t tmpfs powercut-shm /dev/shm || exit 1
    cat /proc/sys/kernel/random/uuid >"$work/boot"
    for _ in {1..40}; do
        mount -o loop "$disk/disk" "$mnt" 2>"$work/mount.err" && return 0
        sleep 0.05
    done
    failed "mount: $(cat "$work/mount.err")"
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

# ---- one round ---------------------------------------------------------------------------------

# RANDOM is of the seed: the same seed draws the same rounds.
rnd() { # rnd BELOW: in $value
    value=$(((RANDOM << 15 | RANDOM) % $1))
}

failed() { # failed WHAT: ends everything, keeps what is needed to look at it
    echo "FAILED: $system $engine round $round seed $seed ($what): $1"
    rm -rf "$keep" && mkdir -p "$keep"
    cp --sparse=always "$work/platter" "$keep/platter" 2>/dev/null
    cp "$work"/acks* "$work"/*.out "$work"/*.err "$keep/" 2>/dev/null
    [ -e "$work/before" ] && cp --sparse=always "$work/before" "$keep/platter-before-check"
    cp -r "$store" "$keep/store" 2>/dev/null
    echo "kept: $keep"
    exit 1
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

alive() {
    kill -0 "$program_pid" 2>/dev/null
}

writer_start() { # writer_start LEVEL
    rnd 1000000000
    program_start writer "$programs/cut_writer" "$store" "$acks" "$engine" "$value" "$1"
}

writer_verdict() { # what the writer may have come to
    case $status in
    0 | 4) ;;
    135) sigbus=$((sigbus + 1)) ;; # the mmap engine's stores, on a disk that is gone
    *) failed "the writer ended with $status: $(tail -n 3 "$work/writer.out")" ;;
    esac
}

cut_while_it_runs() { # cuts the power under the program that was started
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

cut_in_recovery() { # up to twice: the power goes again while the store is being opened
    local times request
    rnd 3
    for ((times = value; times > 0; times--)); do
        draw_cut
        rnd 2
        [ "$value" = 0 ] && request=write || request=flush
        rnd 24
        ctl "arm $request $((value + 1)) $cut"
        what="$what, in recovery $cut at $request $((value + 1))"
        rnd 1000000000
        program_start recover "$programs/cut_check" recover "$store" "$acks" "$engine" "$value"
        program_wait
        counter off
        if [ "$value" = 1 ]; then
            total_cuts=$((total_cuts + 1))
            grep -q '^open' "$work/recover.out" || inside=$((inside + 1))
            case $status in
            0 | 4 | 135) ;;
            *) failed "a dying disk, recovery: $status: $(tail -n 3 "$work/recover.out")" ;;
            esac
            power_back
        elif [ "$status" != 0 ] && [ "$failing" = 1 ] && kernel_confesses; then
            return # for the check to judge
        elif [ "$status" != 0 ]; then
            failed "recovery ended with $status: $(tail -n 3 "$work/recover.out")"
        else
            ctl reset
        fi
    done
}

number() { # number NAME: of the checker's last line, in $value
    value=$(sed -n "s/.*\b$1=\([0-9a-z]*\).*/\1/p" "$work/check.out" | tail -n 1)
}

check() { # the proof; status 4 (the disk does not let it open) goes back to the caller
    local tail_found
    ctl reset
    cp --sparse=always "$work/platter" "$work/before"
    rnd 1000000000
    program_start check "$programs/cut_check" check "$store" "$acks" \
        "$([ $((value % 4)) = 0 ] && echo "${other[$engine]}" || echo "$engine")" "$value"
    program_wait
    case $status in
    0) ;;
    4) return 4 ;;
    *)
        # A file system that has given up shows neither what the disk has nor what was written.
        [ "$same_kernel" = 1 ] && ! writable && return 4
        [ "$failing" = 1 ] && kernel_confesses && return 5
        if [ "$expect_loss" = 1 ] && grep -q '^lost=' "$work/check.out"; then
            lost=$(sed -n 's/^lost=\([0-9]*\).*/\1/p' "$work/check.out")
            return 1
        fi
        failed "the checker ended with $status: $(tail -n 3 "$work/check.out")"
        ;;
    esac
    number tail && tail_found=$value
    [ "$tail_found" = torn ] && torn=$((torn + 1))
    [ "$tail_found" = unprovable ] && unprovable=$((unprovable + 1))
    number acknowledged && acknowledged=$((acknowledged + value))
    number retired && retired=$((retired + value))
    number found && found=$((found + value))
    return 0
}

check_must_open() {
    local verdict
    check
    verdict=$?
    case $verdict in
    4) failed "no open on a disk without faults: $(tail -n 3 "$work/check.out")" ;;
    5) # the store is not what was acknowledged any more, by no fault of its own: a new one
        kernel=$((kernel + 1))
        echo "  kernel: $system $engine round $round ($what):" \
            "$(grep '^lost=\|^damage:' "$work/check.out")"
        disk_end
        disk_new "$system"
        boot
        ;;
    esac
}

writable() {
    touch "$mnt/writable" 2>/dev/null && rm "$mnt/writable"
}

# When the journal of ext4 aborts in the middle of a flush, the extents that the flush has written
# stay marked as never written and fdatasync answers OK: only the kernel's log has the truth (6.18).
kernel_confesses() {
    [ "$system" = ext4 ] && dmesg | awk -v since="$log_since" '
        { sub(/^\[ */, ""); at = $1 + 0 }
        at > since && /failed to convert unwritten extents .* error -30/ { found = 1 }
        END { exit !found }'
}


round_cut() {
    writer_start durable
    cut_while_it_runs
    program_wait
    writer_verdict
    power_back
    cut_in_recovery
    check_must_open
}

round_fail() { # a request fails, once or for a while; the machine lives on
    local request first count tick
    rnd 2
    [ "$value" = 0 ] && request=write || request=flush
    rnd 4
    [ "$value" = 0 ] && count=20 || count=1
    rnd 120
    first=$((value + 1))
    what="fail $request $first $count"
    failing=1
    log_since=$(cut -d " " -f 1 /proc/uptime)
    writer_start durable
    for ((tick = 0; tick < 100; tick++)); do
        grep -q '^open' "$work/writer.out" && break
        alive || break
        sleep 0.01
    done
    ctl "fail $request $first $count"
    for ((tick = 0; tick < 150; tick++)); do
        alive || break
        sleep 0.01
    done
    if alive; then # it hit what the store does not stand on, or it came too late
        kill -9 "$(pgrep -P "$program_pid")" 2>/dev/null
        program_wait
    else
        program_wait
        writer_verdict
        grep -q '^failed' "$work/writer.out" && latched=$((latched + 1))
    fi
    rnd 3
    if [ "$value" != 0 ]; then # open again under the same kernel
        what="$what, same boot"
        same_kernel=1
        check
        case $? in
        0) same_boot=$((same_boot + 1)) ;;
        4) what="$what refused" ;;
        5) what="$what differs" ;;
        esac
        same_kernel=0
    fi
    draw_cut
    what="$what, cut $cut"
    ctl "cut $cut"
    total_cuts=$((total_cuts + 1))
    power_back
    cut_in_recovery
    check_must_open
    failing=0
}

# ---- rows --------------------------------------------------------------------------------------

declare -A other=([staged]=mmap [mmap]=staged)
expect_loss=0
failing=0
same_kernel=0

row_begin() { # row_begin SYSTEM ENGINE SALT
    system=$1
    engine=$2
    RANDOM=$(((seed + $3) % 32768))
    round=0
    what=
    total_cuts=0 acknowledged=0 retired=0 found=0 torn=0 unprovable=0
    inside=0 latched=0 same_boot=0 sigbus=0 lost=0 kernel=0
    disk_new "$system"
    boot
}

row_run() { # row_run CUTS
    while [ "$total_cuts" -lt "$1" ]; do
        round=$((round + 1))
        rnd 4
        if [ "$value" = 0 ]; then
            round_fail
        else
            round_cut
        fi
        [ "${V:-0}" = 1 ] && echo "  $system $engine $round ($what): $(tail -n 1 "$work/check.out")"
    done
}

row_print() {
    printf '%-6s %-7s %5d %6d %12d %8d %8d %5d %7d %7d %7d %5d %6d %6d %5d\n' "$system" "$engine" \
        "$round" "$total_cuts" "$acknowledged" "$found" "$retired" "$torn" "$unprovable" \
        "$inside" "$latched" "$same_boot" "$sigbus" "$kernel" "$lost"
}

# The writer or the disk breaks its word: the proof must notice, or it proves nothing.
control() {
    local kind
    for kind in writer disk; do
        row_begin "${systems%% *}" staged 7
        expect_loss=1
        for round in {1..12}; do
            # The store itself is made by an honest disk.
            [ "$kind" = writer ] || [ "$round" = 1 ] || ctl "lie on"
            writer_start "$([ $kind = writer ] && echo written || echo durable)"
            sleep 0.3
            ctl "cut drop"
            program_wait
            power_back
            rm -f "$acks.epoch" # it would notice before a record is missed
            check || break
        done
        expect_loss=0
        disk_end
        if [ "$lost" = 0 ]; then
            echo "FAILED: control ($kind breaks its word): no loss was found in $round cuts"
            exit 1
        fi
        echo "control: $kind breaks its word: $lost lost, found in cut $round"
    done
}

echo "powercut: seed $seed"
control
[ "${1:-}" = --control ] && exit 0

per_engine=$(set -- $engines && echo $(((cuts + $# - 1) / $#)))
printf '%s%s\n' 'system engine rounds  cuts acknowledged    found  retired  torn unprov. in rec.' \
    ' latched  boot sigbus kernel  lost'
salt=100
for system in $systems; do
    for engine in $engines; do
        salt=$((salt + 13))
        row_begin "$system" "$engine" $salt
        row_run "$per_engine"
        row_print
        disk_end
        [ "$lost" = 0 ] || exit 1
    done
done
