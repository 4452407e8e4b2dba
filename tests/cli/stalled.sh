#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# stalled.sh - a reader of standard output that reads nothing: a signal ends the command all the
# same; a standard output that does not block; and one that takes nothing, when something was done.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

store=$work/store
fifo=$work/fifo
mkfifo "$fifo"
seq -f '%090.0f' 20000 | "$commitlog" append "$store" -t t --queue 0 --level none
"$commitlog" group create "$store" -g g

# asleep PID: it waits in the kernel, and has for a while
asleep() { [ "$(awk '{ print $3 }' "/proc/$1/stat")" = S ] && sleep 0.3; }

# stall ACTION STORE OPTION...: with its output to a reader that does not read; descriptor 6 reads
# what came. Its process is $pid. Its input is that of this function.
stall() {
    exec 6<&-
    "$commitlog" "$@" <&0 >"$fifo" 2>"$err" &
    pid=$!
    started+=("$pid")
    exec 6<"$fifo"
    sleep 0.5
    check "$1 waits for its reader" asleep "$pid"
}

section "a signal while nobody reads"
for signal in TERM HUP; do
    stall read "$store" -t t
    kill -$signal "$pid"
    ends "read, $signal" $((128 + $(kill -l $signal))) "$pid"
    quiet read
    check "whose output is a beginning" \
        [ "$("$commitlog" read "$store" -t t | head -n 100)" = "$(head -n 100 <&6)" ]
    exec 6<&-
done
stall read "$store" -t t --follow
kill -TERM "$pid"
ends "read --follow" 0 "$pid"
quiet "read --follow"
stall dump "$store" --json
kill -TERM "$pid"
ends "dump" 143 "$pid"
quiet dump
stall group receive "$store" -g g -t t --ack
kill -TERM "$pid"
ends "group receive" 143 "$pid"
quiet "group receive"
given=$(cut -f 1 <&6 | grep -c '^0:[0-9]*:1$')
pending=$("$commitlog" group work "$store" -g g | sed -n 's/ pending, .*//p')
run 0 "$commitlog" group receive "$store" -g g -t t --max 1
next=$(cut -d : -f 2 "$out")
check "$((next - pending)) are acknowledged, $given were written" \
    [ "$pending" -gt 0 -a "$next" -gt "$pending" -a $((next - pending)) -le "$given" ]

section "a signal while nobody takes the acknowledgements"
for options in '--level none' '--level durable' '--level none --batch 100'; do
    topic=a${options//[ -]/}
    seq 200000 >"$work/input"
    # shellcheck disable=SC2086
    stall append "$store" -t "$topic" --queue 0 --acks $options <"$work/input"
    kill -TERM "$pid"
    ends "append $options" 143 "$pid"
    same "and nothing else is told" 0 "$(grep -c -v 'unfinished, not stored' "$err")"
    cat <&6 >"$work/acks"
    exec 6<&-
    run 0 "$commitlog" read "$store" -t "$topic"
    stored=$(wc -l <"$out")
    check "$options: what is stored is a beginning" cmp -s <(seq "$stored") "$out"
    acks=$(grep -c '^[0-9]* [0-9]*$' "$work/acks")
    check "$options: of $stored that are stored no more are acknowledged: $acks" \
        [ "$acks" -gt 1000 -a "$acks" -le "$stored" ]
    # 256 KiB of input are read at a time, and whole lines of it are stored.
    check "$options: each line that was read is stored" \
        [ "$stored" = "$(head -c $((256 * 1024)) "$work/input" | wc -l)" -o "$stored" -gt 37449 ]
done

section "standard output that does not block"
nonblock='import os, sys; os.set_blocking(1, False); os.execvp(sys.argv[1], sys.argv[1:])'
python3 -c "$nonblock" "$commitlog" read "$store" -t t 2>"$err" | (
    sleep 0.5
    cat
) >"$out"
same "its end" 0 "${PIPESTATUS[0]}"
quiet "it waits"
check "all of it came" cmp -s <(seq -f '%090.0f' 20000) "$out"
python3 -c "$nonblock" "$commitlog" read "$store" -t t >"$fifo" 2>"$err" &
pid=$!
started+=("$pid")
exec 6<"$fifo"
sleep 0.5
kill -TERM "$pid"
ends "a signal" 143 "$pid"
quiet "a signal"
exec 6<&-

# told PATTERN COMMAND...: what it does is done, and standard error tells when standard output can
# tell nobody. Its input is that of this function, and is short.
told() {
    cat >"$work/input"
    exec 6> >(exec true)
    wait $!
    "$commitlog" "${@:2}" <"$work/input" >&6 2>"$err"
    same "$2 $3, no reader" 141 $?
    says "$2 $3, no reader" "$1"
    exec 6>&-
    "$commitlog" "${@:2}" <"$work/input" >/dev/full 2>"$err"
    same "$2 $3, a full disk" 2 $?
    says "$2 $3, a full disk" "$1"
    says "$2 $3, a full disk" 'standard output: No space left'
}

section "what was done is told"
seq 3 | told 'transaction [1-9][0-9]* is prepared' tx append "$store" -t x -p p --prepare
seq 3 | told 'transaction [1-9][0-9]* is committed' tx append "$store" -t x -p p --json
told 'epoch of group g is [1-9][0-9]* now' group epoch "$store" -g g </dev/null
told 'offsets of group g are set' group reset "$store" -g g -t t --to end </dev/null
told '^commitlog retain: dropped 0 segments, ' retain "$store" --bytes 1T </dev/null
told 'topic t has [0-9]* queues now' topic grow "$store" t 16 --json </dev/null
told 'topic t: its messages expire at 86400000 ms' topic expire "$store" t --after 1d --json \
    </dev/null
told '0 are acknowledged' group ack "$store" -g g -t t --json </dev/null
for action in commit rollback; do
    numbers=()
    for number in 1 2; do
        run 0 "$commitlog" tx append "$store" -t x -p p --prepare <<<x
        numbers+=("$(cat "$out")")
    done
    exec 6> >(exec true)
    wait $!
    "$commitlog" tx $action "$store" "${numbers[@]}" --json >&6 2>"$err"
    same "tx $action, no reader" 141 $?
    exec 6>&-
    for number in "${numbers[@]}"; do
        says "tx $action" "transaction $number is [cr]"
    done
    run 1 "$commitlog" tx commit "$store" "${numbers[@]}"
    same "tx $action: both" 2 "$(grep -c 'it was committed or rolled back' "$err")"
done
run 0 "$commitlog" group reset "$store" -g g -t t --to first
for i in 1 2 3 4 5; do
    stall group receive "$store" -g g -t t </dev/null
    exec 6<&-
    ends "what was given out, $i" 0 "$pid"
    says "what was given out, $i" 'of 64 messages that were given out not all could be printed'
done
run 0 "$commitlog" append "$store" -t x --delay 1h --acks <<<x
read -r number _ <"$out"
"$commitlog" timer cancel "$store" "$number" --json >/dev/full 2>"$err"
same "timer cancel" 2 $?
says "timer cancel" "timer $number is cancelled"
run 0 "$commitlog" group epoch "$store" -g g
quiet "a reader that takes it"
summary
