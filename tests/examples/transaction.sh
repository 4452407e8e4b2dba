#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# transaction.sh - the example program transaction: what becomes of what a killed process had open,
# and that database and topics agree wherever it is killed.
#
# transaction.sh [TEST...]
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"

example=$(dirname "$commitlog")/examples/transaction
numbers() { # numbers STORE TOPIC: of the orders in it
    "$commitlog" read "$1" -t "$2" | sed 's/.* //'
}
# The orphan of a parent that was killed may stay a zombie for a while: its locks are gone.
group_gone() { ! cat /proc/[0-9]*/stat 2>/dev/null | grep -qE "^[0-9]+ \([^)]*\) [^Z] [0-9]+ $1 "; }

# Position and age differ from run to run.
told() { sed -E 's/transaction [0-9]+ of/transaction N of/; s/[0-9]+ ms old/N ms old/' "$out"; }
first_run='a process that will be killed:
  order 1: prepared, in the database, committed
  order 2: prepared, in the database, committed
  billing: invoices for 1 2, and its offset, now 2: committed
  order 3: prepared, in the database, committed
  billing: invoices for 3, and its offset, now 3: not committed
  order 4: prepared, in the database, not committed
  order 5: prepared, not in the database
  killed
the next one finds:
  transaction N of shop, N ms old, order 4: in the database, so committed
  transaction N of shop, N ms old, order 5: not in the database, so rolled back
and goes on:
  order 5: prepared, in the database, committed
  order 6: prepared, in the database, committed
  order 7: prepared, in the database, committed
  billing: invoices for 3 4, and its offset, now 4: committed
  billing: invoices for 5 6, and its offset, now 6: committed
  billing: invoices for 7, and its offset, now 7: committed
7 orders in the database: each is once in orders, once in invoices'

agree() { # agree STORE: its two topics and the database
    same "orders are those of the database" "$(sort -n "$1.orders")" \
        "$(numbers "$1" orders | sort -n)"
    same "and so are the invoices, in the order of the orders" "$(numbers "$1" orders)" \
        "$(numbers "$1" invoices)"
}

# Each step is told as it should go, in a new directory and in one that has been used.
test_life() {
    section 'a run'
    local store
    store=$(new)
    run 0 "$example" "$store"
    quiet "a run"
    same "what it tells" "$first_run" "$(told)"
    agree "$store"
    run 0 "$example" "$store"
    quiet "again, on the same store"
    same "what is left is again of two orders" 2 "$(grep -c '^  transaction .* so ' "$out")"
    prints "and all are counted" \
        '^14 orders in the database: each is once in orders, once in invoices$'
    agree "$store"
    run 0 "$commitlog" verify "$store"
}

# Both processes are killed behind each line that they print, one run after the other in one
# directory; whatever the one has left, the next one ends.
test_killed() {
    section 'killed'
    local store pid lines line
    store=$(new)
    mkfifo "$work/pipe"
    for ((lines = 1; lines <= 20; lines++)); do
        setsid "$example" "$store" >"$work/pipe" 2>>"$err" &
        pid=$!
        started+=("$pid")
        disown "$pid"
        exec 3<"$work/pipe"
        for ((line = 0; line < lines; line++)); do
            read -r -u 3 || break
        done
        kill -9 -- "-$pid" 2>/dev/null
        exec 3<&-
        wait_for group_gone "$pid"
    done
    run 0 "$example" "$store"
    quiet "the last run"
    prints "all are counted" ' orders in the database: each is once in orders, once in invoices$'
    agree "$store"
    run 0 "$commitlog" verify "$store"
}

if [ ! -x "$example" ]; then
    skip "no $example: make examples"
    exit 77
fi
all='life killed'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
