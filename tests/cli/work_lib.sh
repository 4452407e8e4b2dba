# SPDX-License-Identifier: BSD-2-Clause
# work_lib.sh - what the tests of work share beside lib.sh; $store is what they work on. Sourced.
# shellcheck shell=bash

group() { # group STATUS ACTION OPTION...: on $store
    run "$1" "$commitlog" group "$2" "$store" "${@:3}"
}

of() { # of STATUS ACTION OPTION...: of group g and topic t
    group "$1" "$2" -g g -t t "${@:3}" </dev/null
}

json() { # json EXPRESSION: of v, the objects of the output
    python3 -c 'import json, sys
v = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
print(eval(sys.argv[2]))' "$out" "$1"
}

now_ms() { date +%s%3N; }

given() { tr '\t\n' '= ' <"$out" | sed 's/ $//'; } # what receive printed, on one line

runs() { # the work of g, as TOPIC/QUEUE:STATE@OFFSET+COUNT*ATTEMPTS ...
    "$commitlog" group work "$store" -g g --json >"$out"
    json '" ".join("%s/%d:%s@%d+%d*%d" % (o["topic"], o["queue"], o["state"], o["offset"],
        o["count"], o["attempts"]) for o in v[0]["work"])'
}

fresh() { # fresh N QUEUES: a store with topic t of so many messages, and group g
    store=$(new)
    seq "$1" | run 0 "$commitlog" append "$store" -t t --queues "${2:-1}" --level none
    group 0 create -g g
}

bulk() { # 360 KB
    local i
    for ((i = 0; i < ${1:-1200}; i++)); do printf '%0300d\n' $i; done
}
