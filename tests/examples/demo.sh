#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - the program of examples/demo: what it makes of a package database and of lines, what it
# says of a store that differs, and that what cannot be read is no end.
#
# demo.sh
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
demo=$(dirname "$commitlog")/examples/demo

section 'lines of JSON'
run 0 "$demo" packages <<<$'Package: a\nSection: b\nPriority: c\n\nPackage: d'
quiet 'packages'
prints 'a stanza' '"topic":"b","keys":\["a"\],"tag":"c","body":"Package: a\\nSection: b\\nPri'
prints 'the last' '"topic":"unknown","keys":\["d"\]'
run 0 "$demo" lines name <<<$'one\ntwo'
prints 'a line' '{"topic":"name","keys":\["name:2"\],"tag":"line","body":"two"}'

section 'comparison'
store=$(new)
"$demo" lines name <<<$'one\ntwo' >"$work/lines"
run 0 "$commitlog" append "$store" --jsonl --acks <"$work/lines"
cp "$out" "$work/acks"
run 0 "$demo" compare "$store" "$work/lines" "$work/acks"
prints 'both' '^2$'
sed 's/two/too/' "$work/lines" >"$work/other"
run 1 "$demo" compare "$store" "$work/other" "$work/acks"
says 'another body' 'record 2: the body differs'

section 'what cannot be read'
for what in packages 'lines name'; do
    # shellcheck disable=SC2086
    run 1 "$demo" $what </
    says "$what" 'directory'
done
for pair in "$work/nothing $work/acks" "$work/lines $work/nothing" "/ $work/acks" \
    "$work/lines /"; do
    # shellcheck disable=SC2086
    run 1 "$demo" compare "$store" $pair
    says "$pair" 'directory'
done
run 1 "$demo" compare "$work/nothing" "$work/lines" "$work/acks"
says 'no store' 'nothing'
summary
