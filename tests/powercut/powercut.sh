#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# powercut.sh - power cuts under the running kernel: nothing acknowledged as durable is gone.
#
#   powercut.sh              the control, then CUTS cuts (40) on each file system of FS
#   powercut.sh --control    only the control: a writer that claims durable when it is written, and
#                            a disk that confirms flushes and does nothing, must both lose records
#
# Needs root, FUSE and loop devices; says what is missing and fails; where they are not
# there, with ALLOW_SKIP=1, it is 77.
#
#   the machine of machine.sh -> cut_writer, cut_check
#
# A round: the writer runs, the power goes, the file system is mounted again on what the platter
# has, perhaps the power goes again while the store is recovered, and the checker compares it with
# the acknowledgements, which are not on that disk. A store lives through all rounds of its row. In
# some rounds a write or a flush fails instead: the store is opened again under the same kernel,
# whose page cache has more than the disk, and then the power goes.
#
# Environment: SEED, PART (other rounds of the same seed), CUTS, FS ("ext4 xfs btrfs"), ENGINES
# ("staged mmap"), FAILING (of 100 rounds, how many have a request that fails; 25), BUILD
# (build/release), ALLOW_SKIP, KEEP (where the platter and the acknowledgements of a failure go),
# V=1 (each round).
#
# The table: rounds; cuts; records acknowledged as durable, or before such a one; of these found
# equal in the next check, and dropped by retention before it (what was found is compared again in
# every later round, and what a recovery has served counts as acknowledged from then on);
# recoveries that cut a torn or an unprovable tail; cuts inside recovery; stores that latched a
# failed request; reopened in the same boot after one; writers that died of SIGBUS; lost.
set -u
. "$(dirname "$0")/machine.sh"

cuts=${CUTS:-40}
systems=${FS:-ext4 xfs btrfs}
engines=${ENGINES:-staged mmap}
keep=${KEEP:-build/powercut-failed}
failing_percent=${FAILING:-25}

machine_enter "$systems" "$@"
acks=$work/acks
store=$mnt/store

# ---- one round ---------------------------------------------------------------------------------

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
        "$([ $((value % 4)) = 0 ] && echo "${other[$system $engine]:-$engine}" || echo "$engine")" \
        "$value"
    program_wait
    case $status in
    0) ;;
    4) return 4 ;;
    *)
        # A file system that has given up shows neither what the disk has nor what was written.
        [ "$same_kernel" = 1 ] && ! writable && return 4
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
    check
    [ $? = 4 ] && failed "no open on a disk without faults: $(tail -n 3 "$work/check.out")"
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
        program_kill
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
}

# ---- rows --------------------------------------------------------------------------------------

expect_loss=0
same_kernel=0

row_begin() { # row_begin SYSTEM ENGINE SALT
    system=$1
    engine=$2
    RANDOM=$(((seed + $3 + part * 7919) % 32768))
    round=0
    what=
    total_cuts=0 acknowledged=0 retired=0 found=0 torn=0 unprovable=0
    inside=0 latched=0 same_boot=0 sigbus=0 lost=0
    disk_new "$system"
    boot
}

row_run() { # row_run CUTS
    while [ "$total_cuts" -lt "$1" ]; do
        round=$((round + 1))
        rnd 100
        if [ "$value" -lt "$failing_percent" ]; then
            round_fail
        else
            round_cut
        fi
        [ "${V:-0}" = 1 ] && echo "  $system $engine $round ($what): $(tail -n 1 "$work/check.out")"
    done
}

row_print() {
    printf '%-6s %-7s %5d %6d %12d %8d %8d %5d %7d %7d %7d %5d %6d %5d\n' "$system" "$engine" \
        "$round" "$total_cuts" "$acknowledged" "$found" "$retired" "$torn" "$unprovable" \
        "$inside" "$latched" "$same_boot" "$sigbus" "$lost"
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

echo "powercut: seed $seed part $part"
control
[ "${1:-}" = --control ] && exit 0

per_engine=$(set -- $engines && echo $(((cuts + $# - 1) / $#)))
printf '%s%s\n' 'system engine rounds  cuts acknowledged    found  retired  torn unprov. in rec.' \
    ' latched  boot sigbus  lost'
salt=100
sum_cuts=0 sum_acknowledged=0 sum_lost=0
for system in $systems; do
    for engine in $engines; do
        salt=$((salt + 13))
        [ "$system $engine" = 'btrfs mmap' ] && continue
        row_begin "$system" "$engine" $salt
        row_run "$([ "$system" = btrfs ] && echo "$cuts" || echo "$per_engine")"
        row_print
        sum_cuts=$((sum_cuts + total_cuts))
        sum_acknowledged=$((sum_acknowledged + acknowledged))
        sum_lost=$((sum_lost + lost))
        disk_end
        [ "$lost" = 0 ] || exit 1
    done
done
echo "figures: cuts=$sum_cuts acknowledged=$sum_acknowledged lost=$sum_lost"
