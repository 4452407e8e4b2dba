#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# growth.sh - what the command promises of topics that grow: topic grow and shrink, topics, group
# gates, what appends and groups make of it; and the reader of the format's page on such a store.
#
# growth.sh [TEST...]; see cli.sh.
set -u
LC_ALL=C
export LC_ALL
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

letters() { # letters TEXT: one to each of twelve keys of the topic t
    local i
    for i in $(seq 12); do
        printf '{"topic":"t","keys":["k%d"],"body":"%s %d"}\n' "$i" "$1" "$i"
    done
}

begin() { # $store, with a topic of two queues
    store=$(new)
    run 0 "$commitlog" create "$store" --segment-size 64K
    letters first | run 0 "$commitlog" append "$store" --jsonl --queues 2
}

ends_of() { # ends_of QUEUE...: next offsets
    run 0 "$commitlog" topics "$store" --json
    python3 -c 'import json, sys
ends = {queue["queue"]: queue["next_offset"] for queue in json.load(sys.stdin)["queue"]}
print(*(ends[int(queue)] for queue in sys.argv[1:]))' "$@" <"$out"
}

topic() { # topic STATUS ACTION OPERAND...: on $store
    run "$1" "$commitlog" topic "$2" "$store" "${@:3}"
}

test_usage() {
    section usage
    local action none="$work/none"
    run 2 "$commitlog" topic
    says "no action" 'Usage: commitlog topic ACTION DIR'
    run 2 "$commitlog" topic conjure "$none"
    says "unknown action" '"conjure" is not an action'
    run 0 "$commitlog" topic --help
    prints "help" '^  shrink '
    for action in grow shrink; do
        run 0 "$commitlog" topic $action --help
        prints "$action --help" "^Usage: commitlog topic $action DIR TOPIC QUEUES "
        run 2 "$commitlog" topic $action
        says "$action" 'DIR is missing'
        run 2 "$commitlog" topic $action "$none"
        says "$action" 'the operand TOPIC is missing'
        run 2 "$commitlog" topic $action "$none" t
        says "$action" 'the operand QUEUES is missing'
        run 2 "$commitlog" topic $action "$none" t 4 5
        says "$action" 'unexpected operand "5"'
        run 2 "$commitlog" topic $action "$none" t four
        says "$action" 'QUEUES'
    done
    run 2 "$commitlog" group gates "$none" -g g
    says "gates" 'topic'
}

test_grow() {
    section grow
    begin
    topic 1 grow u 4
    says "no topic" 'there is no topic u'
    topic 2 grow t 3
    says "no multiple" 'grows to a multiple'
    topic 2 grow t 1
    topic 0 grow t 2
    topic 0 grow t 4 --json
    same "object" '{"topic":"t","queues":4,"queues_total":4}' "$(cat "$out")"
    letters second | run 0 "$commitlog" append "$store" --jsonl --queues 2
    letters third | run 0 "$commitlog" append "$store" --jsonl --queues 4
    letters none | run 1 "$commitlog" append "$store" --jsonl --queues 3
    run 0 "$commitlog" topics "$store"
    prints "steps" '^t was created with 2 queues, grew to 4$'
    run 0 "$commitlog" topics "$store" --json
    prints "steps" '"steps":\[2,4\]'
    # As XXH3 has it, of 2 and of 4: 3 and 9 of the keys; then 1 and 5 stay.
    same "where keys went" '5 19 4 8' "$(ends_of 0 1 2 3)"
    run 0 "$commitlog" read "$store" -t t
    same "all of them" 36 "$(wc -l <"$out")"
    run 0 "$commitlog" verify "$store"
}

test_gates() {
    section gates
    local mark
    begin
    run 0 "$commitlog" group create "$store" -g g
    run 0 "$commitlog" group gates "$store" -g g -t t
    same "none but the header" 1 "$(wc -l <"$out")"
    mark=$(ends_of 1)
    topic 0 grow t 4
    letters second | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$commitlog" group gates "$store" -g g -t t
    prints "closed" "^ *3  no  *1  *$mark  *-\$"
    run 2 "$commitlog" group commit "$store" -g g -t t -o 3=1
    says "closed" "queue 3 of topic t is not open for group g before it has consumed queue 1"
    run 0 "$commitlog" group commit "$store" -g g -t t -o "1=$mark"
    run 0 "$commitlog" group gates "$store" -g g -t t --json
    prints "open" "{\"queue\":3,\"open\":true,\"parent\":1,\"mark\":$mark,\"committed\":$mark}"
    prints "the other" '{"queue":2,"open":false,"parent":0,"mark":[0-9]*,"committed":null}'
    run 0 "$commitlog" group commit "$store" -g g -t t -o 3=1
    run 0 "$commitlog" group show "$store" -g g
    prints "committed" '^t  *3  *1 '
}

# A reader sees the queues of a growth with the growth, as far as is known; the library may say
# otherwise, and here does: the command is linked with a gate of the test's.
test_gates_unseen() {
    section 'gates of a growth that is not visible yet'
    local build include libraries
    build=$(dirname "$commitlog")
    include=$(dirname "$0")/../../include
    cat >"$work/gate.c" <<'END'
#include "commitlog.h"
int32_t __wrap_commitlog_group_gate(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                                    struct commitlog_group_gate *out, struct commitlog_error *err);
int32_t __wrap_commitlog_group_gate(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                                    struct commitlog_group_gate *out, struct commitlog_error *err)
{
    (void)group, (void)topic, (void)err;
    out->open = 0;
    out->parent = queue - 2;
    out->mark = UINT64_MAX;
    out->committed = queue == 2 ? 7 : UINT64_MAX;
    return COMMITLOG_OK;
}
END
    mapfile -t libraries < <(ldd "$commitlog" | awk '$2 == "=>" && $3 ~ "^/" {print $3}')
    if ldd "$commitlog" | grep -q 'lib[a-z]*san' ||
        ! ${CC:-cc} -I"$include" -Wl,--wrap=commitlog_group_gate -o "$work/command" "$work/gate.c" \
            "$build"/obj/tools/commitlog/*.o "$build/libcommitlog.a" "${libraries[@]}" \
            2>"$err"; then
        skip "gates of a growth that is not visible yet: the command cannot be linked here"
        return
    fi
    begin
    run 0 "$commitlog" group create "$store" -g g
    topic 0 grow t 4
    run 0 "$work/command" group gates "$store" -g g -t t --json
    prints "none" '^{"queue":3,"open":false,"parent":1,"mark":null,"committed":null}$'
    prints "committed" '^{"queue":2,"open":false,"parent":0,"mark":null,"committed":7}$'
    run 0 "$work/command" group gates "$store" -g g -t t
    prints "as text" '^ *3  no  *1  *-  *-$'
}

test_shrink() {
    section shrink
    local ends
    begin
    run 0 "$commitlog" group create "$store" -g g
    run 0 "$commitlog" group commit "$store" -g g -t t -o 0=1
    topic 0 grow t 4
    letters second | run 0 "$commitlog" append "$store" --jsonl
    topic 2 shrink t 3
    says "never had" 'shrinks to a number that it had'
    topic 2 shrink t 2
    says "not drained" 'group g has not consumed it'
    read -ra ends <<<"$(ends_of 0 1 2 3)"
    run 0 "$commitlog" group commit "$store" -g g -t t -o "0=${ends[0]}" -o "1=${ends[1]}"
    run 0 "$commitlog" group commit "$store" -g g -t t -o "2=${ends[2]}" -o "3=${ends[3]}"
    topic 0 shrink t 2 --json
    same "object" '{"topic":"t","queues":2,"queues_total":4}' "$(cat "$out")"
    run 0 "$commitlog" topics "$store"
    prints "steps" '^t was created with 2 queues, grew to 4; keys go to 2$'
    letters third | run 0 "$commitlog" append "$store" --jsonl
    same "no new ones" "${ends[2]} ${ends[3]}" "$(ends_of 2 3)"
    echo '{"topic":"t","queue":3,"body":"x"}' | run 1 "$commitlog" append "$store" --jsonl
    says "closed" 'there is no queue 3'
    run 0 "$commitlog" read "$store" -t t -q 3
    same "it can be read" "${ends[3]}" "$(wc -l <"$out")"
    topic 2 grow t 8
    says "back first" 'had 4 queues before it shrank'
    topic 0 grow t 4
    topic 0 grow t 8
    run 0 "$commitlog" topics "$store" --json
    prints "steps" '"steps":\[2,4,8\]'
}

# What the page of the format says of steps and marks is what lies there, also after retention.
test_format() {
    section format
    local round walk
    walk=$(dirname "$0")/../golden/walk.py
    begin
    topic 0 grow t 6
    letters second | run 0 "$commitlog" append "$store" --jsonl
    topic 0 grow t 12
    for round in $(seq 200); do
        letters "$round"
    done | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$walk" "$store" t
    prints "the log" '"kind": "topic"'
    run 0 "$commitlog" retain "$store" --bytes 1
    letters last | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$walk" "$store" t
    rm -rf "$store"/CHECKPOINT "$store"/view/*
    run 0 "$commitlog" recover "$store"
    run 0 "$commitlog" topics "$store" --json
    prints "steps" '"steps":\[2,6,12\]'
    letters again | run 0 "$commitlog" append "$store" --jsonl
    run 0 "$walk" "$store" t
    run 0 "$commitlog" verify "$store"
}

all='usage grow gates gates_unseen shrink format'
for each in "${@:-$all}"; do
    for name in $each; do
        "test_$name"
    done
done
summary
