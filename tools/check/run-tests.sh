#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# run-tests.sh - runs test programs and sums them up in their order: run-tests.sh LOGDIR
# KIND:PROGRAM... One more at once than there are processors (JOBS), for some wait for a disk or a
# time.
#
#   check:PROGRAM  a Check program: its line "NN%: Checks: N, Failures: F, Errors: E" counts
#   plain:PROGRAM  exit 0 passed, 77 skipped, else failed; a line "checks: N" says how many it made
#
# A line that begins with "skip: " names something that could not be tested here and why; it is
# repeated and counted. RUNNER is put in front of each program; TEST_TIMEOUT_S ends a hanging one
# (600). The last line is always "NN%: Checks: N, Failures: F, Errors: E"; exit 0 if all passed.
set -u

limit=${TEST_TIMEOUT_S:-600}

name_of() { # name_of KIND:PROGRAM
    echo "$(basename "$(dirname "${1#*:}")")/$(basename "${1#*:}")"
}

log_of() { # log_of LOGDIR KIND:PROGRAM
    echo "$1/$(name_of "$2" | tr '/' '-').log"
}

if [ "$1" = --one ]; then # what xargs calls: --one LOGDIR KIND:PROGRAM
    log=$(log_of "$2" "$3")
    # RUNNER is a command with arguments: meant to be split.
    # shellcheck disable=SC2086
    timeout -k 10 "$limit" ${RUNNER:-} "${3#*:}" >"$log" 2>&1
    status=$?
    [ "$status" = 124 ] && echo "no end after $limit s" >>"$log"
    echo "$status" >"$log.ending" && mv "$log.ending" "$log.status"
    exit 0
fi

logs=$1
shift
mkdir -p "$logs"
rm -f "$logs"/*.status "$logs"/*.ending
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(($(nproc) + 1))}" "$0" --one "$logs" &
runner=$!
trap 'kill "$runner" 2>/dev/null' EXIT
checks=0
failures=0
errors=0
skips=0

field() { # field NAME LINE: the number after "NAME: "
    printf '%s\n' "$2" | sed -n "s/.*$1: \([0-9][0-9]*\).*/\1/p"
}

show() { # what a program that failed had to say
    sed 's/^/    /' "$1" | tail -n 60
}

for entry in "$@"; do
    kind=${entry%%:*}
    name=$(name_of "$entry")
    log=$(log_of "$logs" "$entry")
    until [ -e "$log.status" ]; do
        kill -0 "$runner" 2>/dev/null || [ -e "$log.status" ] || echo 125 >"$log.status"
        sleep 0.05
    done
    status=$(cat "$log.status")

    did=0
    failed=0
    broken=0
    if [ "$kind" = check ]; then
        summary='^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+'
        line=$(grep -E "$summary" "$log" | tail -n 1)
        if [ -n "$line" ]; then
            did=$(field Checks "$line")
            failed=$(field Failures "$line")
            broken=$(field Errors "$line")
        fi
        # A crash outside of a test, or a failure that the line does not show (a sanitizer at exit).
        if [ "$status" != 0 ] && [ "$((failed + broken))" = 0 ]; then
            did=$((did + 1))
            broken=1
        fi
        if [ -z "$line" ] && [ "$status" = 0 ]; then
            echo "the program printed no summary" >>"$log"
            did=1
            broken=1
        fi
    else
        line=$(grep -E '^checks: [0-9]+' "$log" | tail -n 1)
        [ -n "$line" ] && did=$(field checks "$line")
        case $status in
        0) [ "$did" -gt 0 ] || did=1 ;;
        77)
            did=0
            grep -q '^skip: ' "$log" || echo "skip: $name gave no reason" >>"$log"
            ;;
        124 | 137)
            did=$((did + 1))
            broken=1
            ;;
        *)
            failed=1
            [ "$did" -gt 0 ] || did=1
            ;;
        esac
    fi

    if [ "$((failed + broken))" = 0 ]; then
        printf 'ok    %-40s %7d checks\n' "$name" "$did"
    else
        printf 'FAIL  %-40s exit status %d, log %s\n' "$name" "$status" "$log"
        show "$log"
    fi
    skipped=$(grep -c '^skip: ' "$log")
    if [ "$skipped" -gt 0 ]; then
        grep '^skip: ' "$log" | sed 's/^/      /'
    fi
    checks=$((checks + did))
    failures=$((failures + failed))
    errors=$((errors + broken))
    skips=$((skips + skipped))
done

[ "$skips" = 0 ] || echo "$skips skipped, for the reasons above"
bad=$((failures + errors))
if [ "$checks" -gt 0 ]; then
    percent=$(((checks - bad) * 100 / checks))
else
    percent=0
    bad=1
    echo "no test ran"
fi
echo "$percent%: Checks: $checks, Failures: $failures, Errors: $errors"
[ "$bad" = 0 ]
