#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# flush.sh - a request of the disk fails: nothing is acknowledged falsely, the store stays failed,
# and what comes back is what the disk has.
#
#   flush.sh               the planted mistakes, then all cases of this PART
#   flush.sh --control     only the planted mistakes
#
# A case is a file system, an engine, what fails, the how many-th of it, once or for ever, and a way
# to come back:
#
#   data, journal, checkpoint, meta    a write of that sort (fault_disk tells them by their bytes)
#   flush                              the flush of the disk's cache
#   dirsync, fallocate                 the system call, by strace: fsync, which directories get, too
#   a    the store is opened again in the same boot
#   b    the power goes, then it is opened
#   c    it is opened again in the same boot, the power goes, it is opened once more
#
# cut_writer appends from several threads, records what was acknowledged elsewhere, and holds the
# store to what is said of one that has failed. cut_check compares all that is there with what was
# acknowledged, with what was ever appended, and with all that the last check has found, also after
# the power went: what a recovery has served stays. A file system that has given up is mounted anew
# first. A store lives through all cases of a file system and an engine.
#
# Environment: SEED, PART and PARTS (every PARTS-th case, from the PART-th), SAMPLE (so many cases
# drawn of them; all), DEPTH (how many of each kind fail; 10), FS, ENGINES, KINDS, WAYS, BUILD,
# ALLOW_SKIP, KEEP, V=1 (each case).
#
# The table: cases; in them requests that failed; for each engine and way the violations / cases.
# Figures: lost, altered or missing acknowledged records (lost); receipts above the durable position
# of a failed store (false_acks); records never appended or come back (ghosts); data or CHECKPOINT
# that could not be written, or a failed store that says it was closed well (latched_missing);
# anything else that broke (broken). untold: another request failed and the store went on, because
# the file system could do without it.
set -u
. "$(dirname "$0")/machine.sh"

systems=${FS:-ext4 xfs btrfs}
engines=${ENGINES:-staged mmap}
kinds=${KINDS:-data journal checkpoint meta flush dirsync fallocate}
ways=${WAYS:-a b c}
depth=${DEPTH:-10}
parts=${PARTS:-1}
keep=${KEEP:-build/flush-failed}
plants=$programs/plant
machine_enter "$systems" "$@"
acks=$work/acks
store=$mnt/store

# ---- one case ----------------------------------------------------------------------------------

failed() { # failed WHAT: it is counted, what is needed to look at it is kept, the first time
    violated=1
    reason=$1
    [ "$expect" = 1 ] && return
    echo "FAILED: $system $engine $kind $nth $often way $way seed $seed part $part: $1"
    [ "$violations" = 0 ] || return
    rm -rf "$keep" && mkdir -p "$keep"
    cp --sparse=always "$work/platter" "$keep/platter" 2>/dev/null
    cp "$work"/acks* "$work"/*.out "$work"/*.err "$keep/" 2>/dev/null
    [ -e "$work/before" ] && cp --sparse=always "$work/before" "$keep/platter-before-check"
    timeout 20 cp -r "$store" "$keep/store" 2>/dev/null
    echo "kept: $keep"
}

blame() { # blame OUT STATUS: which promise a program says is broken
    local text
    text=$(tail -n 3 "$work/$1.out")
    case $text in
    *"false ack"*) false_acks=$((false_acks + 1)) ;;
    *ghost*) ghosts=$((ghosts + 1)) ;;
    *lost=* | *lost:* | *DAMAGED*) lost=$((lost + 1)) ;;
    *) broken=$((broken + 1)) ;;
    esac
    failed "$1 ended with $2: $text"
}

writer() { # the fault is set while it runs, or before it begins
    local tick early call count=1 when=$nth trace=()
    [ "$often" = ever ] && count=1000000000 && when=$nth+
    [ "$kind" = dirsync ] && call=fsync || call=fallocate
    [[ $kind == dirsync || $kind == fallocate ]] &&
        trace=(strace -D -f -q -o /dev/null -e "trace=$call" -e "inject=$call:error=EIO:when=$when")
    rnd 4
    early=$value
    rnd 1000000000
    [ "$early" = 0 ] && [ ${#trace[@]} = 0 ] && ctl "fail $kind $nth $count"
    program_start writer "${trace[@]}" "$bin/cut_writer" "$store" "$acks" "$engine" "$value" \
        "$level"
    if [ "$early" != 0 ] && [ ${#trace[@]} = 0 ]; then
        for ((tick = 0; tick < 200; tick++)); do
            grep -q '^open' "$work/writer.out" && break
            alive || break
            sleep 0.01
        done
        ctl "fail $kind $nth $count"
    fi
    for ((tick = 0; tick < 150; tick++)); do
        alive || break
        sleep 0.01
    done
    hit=0
    counter failed
    [ "$value" -gt "$failed_before" ] && hit=1
    failed_before=$value
    # What has just failed is still to be told, and to be looked at by the writer.
    for ((tick = 0; hit && tick < 1000; tick++)); do
        [[ $kind == data || $kind == checkpoint ]] && alive || break
        sleep 0.01
    done
    latched=0
    if alive; then
        program_kill
        # Of these the one who waits for them must be told, and the store waits for all of them.
        if [ "$hit" = 1 ] && [[ $kind == data || $kind == checkpoint ]]; then
            missing_latch=$((missing_latch + 1))
            failed "a $kind could not be written, and the store went on"
        fi
        untold=$((untold + hit))
    else
        program_wait
        case $status in
        0 | 4) ;;
        135) [ "$engine" = mmap ] || blame writer "$status" ;; # its stores, on a disk that is gone
        *) blame writer "$status" ;;
        esac
        grep -q '^failed' "$work/writer.out" && latched=1
        [ ${#trace[@]} = 0 ] || hit=1
    fi
    hits=$((hits + hit))
    latches=$((latches + latched))
}

recover() { # while what failed for ever still does: it may not open, and must not do harm
    rnd 1000000000
    program_start recover "$bin/cut_check" recover "$store" "$acks" "$engine" "$value"
    program_wait
    case $status in
    0 | 4) ;;
    135) [ "$engine" = mmap ] || blame recover "$status" ;;
    *) blame recover "$status" ;;
    esac
}

remount() { # what the file system has given up is gone, the machine and what the disk holds is not
    for _ in {1..200}; do
        umount "$mnt" 2>/dev/null && break
        sleep 0.02
    done
    disk_mount
}

check() { # check BIN
    ctl reset
    writable || remount
    cp --sparse=always "$work/platter" "$work/before"
    rnd 1000000000
    program_start check "$1/cut_check" check "$store" "$acks" \
        "$([ $((value % 4)) = 0 ] && echo "${other[$system $engine]:-$engine}" || echo "$engine")" \
        "$value"
    program_wait
    [ "$status" = 0 ] || { blame check "$status" && return; }
    if [ "$latched" = 1 ] && grep -q 'clean_close=1' "$work/check.out"; then
        missing_latch=$((missing_latch + 1))
        failed "a store that had failed says that it was closed well"
    fi
    latched=0
    value=$(sed -n 's/.*\backnowledged=\([0-9]*\).*/\1/p' "$work/check.out")
    acknowledged=$((acknowledged + value))
}

power_cut() {
    draw_cut
    [ "$expect" = 1 ] && cut=drop
    ctl "cut $cut"
    power_back
}

one_case() { # kind, nth, often and way are set; so is violated, after it
    violated=0
    ctl reset
    writer
    [ "$often" = ever ] && [ "$way" != b ] && recover
    [ "$way" = b ] || check "$bin"
    if [ "$way" != a ]; then
        power_cut
        [ "$violated" = 1 ] && [ "$expect" = 0 ] || check "$programs"
    fi
    [ "${V:-0}" = 1 ] && echo "  $system $engine $kind $nth $often $way: hit=$hit" \
        "$(tail -n 1 "$work/writer.out" | cut -c 1-120)"
    return "$violated"
}

begin() { # begin SYSTEM ENGINE: a new disk
    system=$1
    engine=$2
    failed_before=0
    disk_new "$system"
    boot
}

# ---- mistakes ----------------------------------------------------------------------------------

# What must be found, or the rest proves nothing: CONTROL TRIES WAY KIND
control() {
    local n
    expect=1 often=once way=$3 kind=$4
    begin "${systems%% *}" staged
    for ((n = 1; n <= $2; n++)); do
        nth=$((n % 4 + 1))
        if ! one_case; then
            reason=${reason//$'\n'/ }
            echo "control: $1: found in case $n: ${reason:0:200}"
            expect=0
            disk_end
            return
        fi
    done
    echo "FAILED: control: $1 was not found in $2 cases"
    exit 1
}

zero() {
    cases=0 hits=0 latches=0 untold=0 acknowledged=0 lost=0 false_acks=0 ghosts=0 missing_latch=0
    broken=0 violations=0
}

controls() {
    level=written
    control "a writer that claims durable what is written" 12 b data
    level=durable
    bin=$plants/FLUSH_IGNORED
    control "a failed flush is ignored" 12 b data
    bin=$plants/NO_REWRITE
    control "recovery serves from the cache" 24 c data
    bin=$plants/UNWRITTEN_UNSEEN
    control "recovery writes through the cache and looks no further" 48 c data
    bin=$programs
    zero
}

# ---- all cases ---------------------------------------------------------------------------------

cases_list() { # SYSTEM ENGINE NTH OFTEN KIND WAY, of this part
    local list
    list=$(for system in $systems; do
        for engine in $engines; do
            [ "$system $engine" = 'btrfs mmap' ] && continue
            for nth in $(seq "$depth"); do
                for often in once ever; do
                    for kind in $kinds; do
                        for way in $ways; do
                            echo "$system $engine $nth $often $kind $way"
                        done
                    done
                done
            done
        done
    done | awk -v part="$part" -v parts="$parts" 'NR % parts == part % parts')
    [ -z "${SAMPLE:-}" ] || list=$(echo "$list" |
        awk -v seed="$seed" -v need="$SAMPLE" 'BEGIN { srand(seed) }
            { line[NR] = $0 }
            END { for (left = NR; left > 0; left--)
                      if (rand() * left < need) { print line[NR - left + 1]; need-- } }')
    echo "$list"
}

row_print() {
    local e w
    printf '%-10s %-6s %6d %6d %7d' "$2" "$1" "${count[$1 $2]:-0}" "${row_hits[$1 $2]:-0}" \
        "${row_latches[$1 $2]:-0}"
    for e in $engines; do
        for w in $ways; do
            printf '%10s' "${bad[$1 $2 $e $w]:-0}/${count[$1 $2 $e $w]:-0}"
        done
    done
    echo
}

declare -A count=() bad=() row_hits=() row_latches=()
expect=0
level=durable
bin=$programs
nth=0 often=once kind=data way=a
RANDOM=$(((seed + part * 7919) % 32768))
zero
echo "flush: seed $seed part $part of $parts"
controls
[ "${1:-}" = --control ] && exit 0

now=
while read -r next_system next_engine nth often kind way; do
    if [ "$now" != "$next_system $next_engine" ]; then
        [ -z "$now" ] || disk_end
        begin "$next_system" "$next_engine"
        now="$system $engine"
    fi
    cases=$((cases + 1))
    hits_before=$hits latches_before=$latches
    one_case </dev/null
    if [ "$violated" = 1 ]; then
        violations=$((violations + 1))
        bad[$system $kind $engine $way]=$((${bad[$system $kind $engine $way]:-0} + 1))
        disk_end
        begin "$next_system" "$next_engine"
    fi
    count[$system $kind $engine $way]=$((${count[$system $kind $engine $way]:-0} + 1))
    count[$system $kind]=$((${count[$system $kind]:-0} + 1))
    row_hits[$system $kind]=$((${row_hits[$system $kind]:-0} + hits - hits_before))
    row_latches[$system $kind]=$((${row_latches[$system $kind]:-0} + latches - latches_before))
done < <(cases_list)
disk_end

printf '%-10s %-6s %6s %6s %7s' kind fs cases failed latched
for e in $engines; do
    for w in $ways; do
        printf '%10s' "$e $w"
    done
done
echo
for s in $systems; do
    for k in $kinds; do
        row_print "$s" "$k"
    done
done
echo "figures: cases=$cases failing=$hits latched=$latches untold=$untold acks=$acknowledged" \
    "lost=$lost false_acks=$false_acks ghosts=$ghosts latched_missing=$missing_latch broken=$broken"
[ "$violations" = 0 ] && [ "$cases" -gt 0 ] && [ "$latches" -gt 0 ]
