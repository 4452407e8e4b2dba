# SPDX-License-Identifier: BSD-2-Clause
# observe.sh - everything that the command tells about a golden store. Sourced; needs $commitlog,
# $work, a scratch directory, and $here, the folder of the tests.

# Topics with their queues, and keys to ask for.
golden_topics() {
    case $1 in
    clean | retained) echo orders 2 größe/β 3 once 1 ;;
    delayed) echo filled 1 delayed 2 ;;
    work) echo jobs 2 dead 1 %DLQ%workers 1 buried 1 ;;
    transactions) echo filled 1 bills 1 orders 2 buried 1 ;;
    grown) echo filled 1 still 2 orders 24 größe 24 ;;
    killed) echo tail 2 ;;
    damaged | salvaged) echo plain 2 ;;
    esac
}
golden_keys=(alpha beta batch reserved n0 n63 omega k third absent)

# tell MARK COMMAND STORE ARGUMENT...: a line "MARK COMMAND ...: STATUS", then what it prints
tell() {
    local status=0
    "$commitlog" "${@:2}" >"$work/told" 2>/dev/null || status=$?
    printf '%s %s: %s\n' "$1" "$2 ${*:4}" "$status"
    cat "$work/told"
}

# gates STORE: which queues of the golden store grown are open for whom
gates() {
    local group
    for group in clerks slow there; do
        echo "# $group"
        "$commitlog" group gates "$1" --json -g "$group" -t orders
    done
}

# observe NAME STORE [MAX]: as the golden store NAME, whose topics and queues are known; with MAX
# only so many records of the log, no topic named later, and nothing that verify says
observe() {
    local store=$2 topics topic queue key
    read -r -a topics <<<"$(golden_topics "$1")"
    {
        tell '#' dump "$store" --json ${3:+--max "$3"} | sed '1s/ --max [0-9]*//'
        tell '#' topics "$store" --json | grep -v '"topic":"later"'
        for ((topic = 0; topic < ${#topics[@]}; topic += 2)); do
            tell '#' read "$store" --json -t "${topics[topic]}"
            for ((queue = 0; queue < topics[topic + 1]; queue++)); do
                tell '@' read "$store" --json -t "${topics[topic]}" --queue "$queue"
            done
            tell '@' read "$store" --json -t "${topics[topic]}" --tag 'red||blue'
            for key in "${golden_keys[@]}"; do
                tell '@' query "$store" --json -t "${topics[topic]}" --key "$key"
            done
        done
        [ -n "${3:-}" ] || tell '#' verify "$store" --json
    } | python3 "$here/stable.py"
}
