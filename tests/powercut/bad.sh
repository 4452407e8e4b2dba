#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bad.sh - a part of the disk cannot be read: nothing dies of it, nothing acknowledged is dropped or
# called a torn tail, what is wrong is named, the rest is given, and salvage keeps the rest.
#
#   bad.sh               the control, then each place on each file system
#   bad.sh --control     only the control: a reader that is told of no bad range must complain, and
#                        one that reads through the map must die, or nothing was unreadable
#
#   the machine of machine.sh -> bad_store (makes the store, finds the place, reads by the library),
#   commitlog (the command)
#
# A case is a file system, a place (PART of bad_store.c, of which some sectors of one block, or two
# blocks, cannot be read) and an end of the writer: closed; killed; rebooted, which is killed and
# then another boot, without the live area. The page cache is dropped by mounting again.
#
#   the log      verify, read, dump and plan name it, and recover refuses; each way to read by the
#                library gives all other records. A writer does not open, or does as well, and the
#                scrub names it: it looks at the active segment only. Readable again, all is there.
#                Then a store anew, and salvage: all other records are there, also while the sector
#                is still bad.
#   heads        both headers of a segment: as the log, but no record is lost
#   the rest     all records are there, for readers and for the next writer, which puts it right
#   lock         each command says that it cannot read LOCK
#
# Environment: SEED, FS ("ext4 xfs"), PLACES, ENDS ("closed killed rebooted"; without it closed and
# one of the others), ROUNDS (1), BUILD, ALLOW_SKIP, KEEP, V=1 (each answer).
#
# Figures: cases, answers that were held against what they must be; died (of a signal); torn
# (acknowledged data called a torn tail); lost (a record that can be read and is not given); unnamed
# (what is wrong is not told, or not where); broken (anything else).
set -u
. "$(dirname "$0")/machine.sh"

# What FIEMAP tells of btrfs is no place on the disk.
systems=
for system in ${FS:-ext4 xfs}; do
    [ "$system" = btrfs ] || systems="$systems $system"
done
systems=${systems# }
[ -n "$systems" ] || { echo "skip: bad: neither ext4 nor xfs" && exit 0; }
log_places='body header active'
rest_places='head0 head1 footer view queue key state slot0 slot1 slots behind'
places=${PLACES:-$log_places heads $rest_places lock}
keep=${KEEP:-build/bad-failed}
tool=$(realpath "${BUILD:-build/release}/commitlog") || exit 1
machine_enter "$systems" "$@"
book=$work/book
store=$mnt/store

# ---- answers -----------------------------------------------------------------------------------

failed() { # failed WHAT: it is counted, what is needed to look at it is kept, the first time
    violated=1
    [ "$expect" = 1 ] && return
    violations=$((violations + 1))
    [ "$told" = 1 ] && [ "${V:-0}" = 0 ] && return # one of a case is enough
    told=1
    echo "FAILED: $system $place_of $end seed $seed case $cases: $1"
    [ "$violations" = 1 ] || return
    rm -rf "$keep" && mkdir -p "$keep"
    cp --sparse=always "$work/platter" "$keep/platter" 2>/dev/null
    cp "$work"/*.out "$book" "$keep/" 2>/dev/null
    echo "kept: $keep; bad: $bad"
}

words() { # words WHO: the last that it said for itself, in $text
    text=$(grep -a -o '\(commitlog\( [a-z]*\)\?: \|test: \|COMMITLOG_\|appended=\).*' \
        "$work/$1.out" | tail -n 1 | cut -c 1-300)
}

blame() { # blame WHO STATUS: by what it says
    words "$1"
    case $text in
    *'is sound and not given'*) lost=$((lost + 1)) ;;
    *'nothing is said'* | *'not name'* | *'no read says'* | *'no words'* | *'scrub '*)
        unnamed=$((unnamed + 1))
        ;;
    *) broken=$((broken + 1)) ;;
    esac
    failed "$what ended with $2: $text"
}

answered() { # answered WHO STATUSES PATTERN: what has just ended
    answers=$((answers + 1))
    words "$1"
    [ "${V:-0}" = 1 ] && [ "$expect" = 0 ] &&
        echo "  $system $place_of $end: $what: $status: $text"
    if [ "$status" -ge 124 ] || [[ $text == *'cut short by another program'* ]]; then
        [ "$status" = 124 ] || died=$((died + 1)) # the command catches SIGBUS, and ends with this
        failed "$what ended with $status: $text"
    elif [[ " $2 " != *" $status "* ]]; then
        blame "$1" "$status"
    elif [ -n "$3" ] && ! grep -a -q -e "$3" "$work/$1.out"; then
        unnamed=$((unnamed + 1))
        failed "$what does not say '$3': $text"
    fi
}

ask() { # ask STATUSES PATTERN COMMAND...: the command, of which one line matches
    local statuses=$1 pattern=$2
    shift 2
    what=$*
    program_start ask "$tool" "$1" "$store" "${@:2}"
    program_wait
    answered ask "$statuses" "$pattern"
}

library() { # library RULE ACCESS: all ways to read, by the library
    what="$1 $2"
    program_start library "$programs/bad_store" check "$store" "$book" "$1" "$2" 0 "$from" "$to"
    program_wait
    answered library 0 ''
    grep -q '^appended=' "$work/library.out" &&
        given=$(sed -n 's/^appended=.*\bgiven=\([0-9]*\).*/\1/p' "$work/library.out")
}

not_torn() { # of what `ask' has just asked
    grep -a -q '^end of log: *\(torn\|unprovable\)' "$work/ask.out" || return
    torn=$((torn + 1))
    failed "$what calls it a torn tail"
}

read_topics() { # by the command: as many as the library gave, and told where some are missing
    local topic missing=0 count=0
    for topic in orders payments äudit; do
        ask '0 1' '' read -t "$topic" --json
        missing=$((missing + status))
        [ "$status" = 0 ] || grep -a -q 'damage at position' "$work/ask.out" ||
            { unnamed=$((unnamed + 1)) && failed "$what says 1, and not where"; }
        count=$((count + $(grep -a -c '^{' "$work/ask.out")))
    done
    [ "$count" = "$given" ] ||
        { lost=$((lost + 1)) && failed "read prints $count of $given records"; }
    if [ "$1" = told ] && [ "$missing" = 0 ]; then
        unnamed=$((unnamed + 1))
        failed "no read says that something is missing"
    fi
}

# ---- cases -------------------------------------------------------------------------------------

again() { # again HOW: mounted by disk_mount or by boot; nothing of it is in memory any more
    for _ in {1..200}; do
        umount "$mnt" 2>/dev/null && break
        sleep 0.02
    done
    "$1"
}

begin() { # a store that ended so, and cannot be read in one place any more
    local how=killed bodies=mixed
    ctl reset
    rm -rf "$store"
    [ "$end" = closed ] && how=closed
    [ "$place_of" = queue ] || [ "$place_of" = key ] && bodies=small
    rnd 1000000000
    bad="seed $value"
    given=none
    program_start make "$programs/bad_store" make "$store" "$book" "$value" "$how" "$bodies"
    program_wait
    sync -f "$mnt"
    if ! bad="$bad, $("$programs/bad_store" place "$store" "$book" "$value" "$place_of" 2>&1)" ||
        ! read -r at bytes from to file <<<"${bad#*, }"; then
        broken=$((broken + 1))
        failed "$bad: $(tail -n 1 "$work/make.out")"
        return 1
    fi
    ctl "bad $at $bytes"
    [ "$end" = rebooted ] && again boot || again disk_mount
}

readable() {
    ctl reset
    again disk_mount
}

case_log() { # case_log PATTERN TOLD: what verify says, and whether reads do
    begin || return
    ask 1 "$1" verify
    library around read
    library around verify
    read_topics "$2"
    if [ "$2" = told ]; then
        ask 1 'damage at position' dump
    else
        ask '0 1' '' dump
    fi
    ask 0 '' stat
    ask 1 'acknowledged data is damaged' recover --plan
    not_torn
    ask 1 'acknowledged data is damaged' recover
    not_torn
    if [ "$place_of" = body ] || [ "$place_of" = header ]; then
        library around scrub
    else
        library refused write
    fi
    readable
    library whole write
    ask 0 sound verify

    begin || return
    ask 0 '' recover --mode salvage
    library holes verify
    library holes read
    read_topics any
    library holes write
    readable
    library holes write
    library holes verify
}

case_rest() { # case_rest STATUSES PATTERN: of verify
    begin || return
    ask "$1" "$2" verify
    library whole read
    read_topics any
    ask 0 '' dump
    ask 0 '' stat
    ask 0 '' recover --plan
    ask 0 '' recover
    library whole write
    ask 0 sound verify
    readable
    library whole write
    ask 0 sound verify
}

case_lock() {
    local command
    begin || return
    for command in verify stat dump recover 'recover --mode salvage' 'read -t orders'; do
        # shellcheck disable=SC2086
        ask 2 'LOCK: EIO' $command
    done
    library refused read
    library refused write
    readable
    library whole write
}

one_case() {
    violated=0 told=0
    cases=$((cases + 1))
    case $place_of in
    body | header | active) case_log 'damage: positions' told ;;
    heads) case_log 'damage: positions .*header' any ;;
    head?) case_rest 1 'damage: positions .*header copies' ;;
    footer) case_rest 1 'damage: positions .*footer' ;;
    view) case_rest 1 'damage: .*view/' ;;
    queue) case_rest 1 'damage: .*view/.*\.cq' ;;
    key) case_rest 1 'damage: .*view/.*\.key' ;;
    state) case_rest 1 'damage: .*view/.*\.state' ;;
    slot? | behind) case_rest 0 sound ;;
    lock) case_lock ;;
    *) echo "bad: no place $place_of" && exit 1 ;;
    esac
}

control() {
    system=${systems%% *} end=closed
    disk_new "$system"
    boot
    for place_of in body header; do
        expect=0
        begin || exit 1
        expect=1 violated=0
        library whole read
        words library
        [ "$violated" = 1 ] || { echo "FAILED: control: nothing is missed at $bad" && exit 1; }
        text=${text% (SEED*}
        echo "control: $place_of, which nobody was told of: ${text#*: }"
        program_start map "$programs/bad_store" check "$store" "$book" around read 1 "$from" "$to"
        program_wait
        [ "$status" = 135 ] ||
            { echo "FAILED: control: a reader through the map ended with $status" && exit 1; }
        echo "control: $place_of, through the map: SIGBUS"
    done
    expect=0
    disk_end
}

zero() {
    cases=0 answers=0 died=0 torn=0 lost=0 unnamed=0 broken=0 violations=0
}

expect=0 told=0 bad= given=none text=
RANDOM=$((seed % 32768))
zero
echo "bad: seed $seed"
control
[ "${1:-}" = --control ] && exit 0
zero
printf '%-8s %6s %8s %6s\n' system cases answers failed
for system in $systems; do
    before="$cases $answers $violations"
    disk_new "$system"
    boot
    for ((round = 0; round < ${ROUNDS:-1}; round++)); do
        for place_of in $places; do
            rnd 2
            [ "$value" = 0 ] && other_end=killed || other_end=rebooted
            for end in ${ENDS:-closed $other_end}; do
                one_case
            done
        done
    done
    disk_end
    set -- $before
    printf '%-8s %6d %8d %6d\n' "$system" $((cases - $1)) $((answers - $2)) $((violations - $3))
done
echo "figures: cases=$cases answers=$answers died=$died torn=$torn lost=$lost unnamed=$unnamed" \
    "broken=$broken"
[ "$violations" = 0 ] && [ "$answers" -gt 0 ]
