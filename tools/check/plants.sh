#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# plants.sh - shows that the tests fail when the library is wrong: builds in one mistake after the
# other, runs the test that plants.tsv names and wants to see it fail; and to see it pass, with the
# same seed, when nothing is planted.
#
#   plants.sh [NAME...]    default: all of them
#
# PART=i PARTS=n   the i-th part of n
# DRAW=n SEED=s    n of them, drawn by the seed; none that takes the soak minutes to find
# SEEDS=n          how many seeds a test may need until it fails; 5. They begin with 1.
# B, MAKE          as usual
#
# A mistake is caught if its test ends with a failure that it tells, or crashes. One that does not
# build, or a test that does not come to its end, is not. The last line has the figures.
set -u

cd "$(dirname "$0")/../.." || exit 1
table=tools/check/plants.tsv
build=${B:-build/release}
make=${MAKE:-make}
limit_s=300
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
declare -A sound unsound_words

# Table and library speak of the same mistakes, and none is where a build of single objects would
# miss it.
table_lines=$(grep -E '^[A-Z][A-Z_]*	' $table)
names=$(sed -n 's/^\([A-Z][A-Z_]*\)\t.*/\1/p' $table)
same_names() {
    local in_lib
    in_lib=$(grep -rhoE --include='*.c' 'CLG_PLANTED\([A-Z_]+\)' lib |
        sed 's/.*(\(.*\))/\1/' | sort -u)
    if [ "$in_lib" != "$(sort -u <<<"$names")" ]; then
        echo "plants: lib/ and $table differ:"
        diff <(echo "$in_lib") <(sort -u <<<"$names")
        return 1
    fi
    if grep -rlE --include='*.h' 'CLG_PLANTED\(' lib | grep -v '^lib/base/plant.h$'; then
        echo "plants: a mistake in a header is not in every object that includes it"
        return 1
    fi
}

# The names wanted: from the arguments, a part, or a draw.
wanted() {
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@"
    elif [ -n "${DRAW:-}" ]; then
        for name in $(grep -v 'soak/soak$' <<<"$table_lines" | cut -f1); do
            printf '%s %s\n' "$(printf '%s %s' "${SEED:-1}" "$name" | cksum)" "$name"
        done | sort -n | head -n "$DRAW" | sed 's/.* //'
    else
        awk -v part="${PART:-0}" -v parts="${PARTS:-1}" 'NR % parts == part % parts' <<<"$names"
    fi
}

# run DIRECTORY SEED WORD...: settings, a program below tests/ of the directory, its arguments.
run() {
    local directory=$1 seed=$2 word
    local command=(env "SEED=$seed")
    shift 2
    for word in "$@"; do
        case $word in
        *=*) command+=("$word") ;;
        */*) command+=("$directory/tests/$word") ;;
        *) command+=("${word//\$SEED/$seed}") ;;
        esac
    done
    timeout -k 10 $limit_s "${command[@]}" >"$work/log" 2>&1 </dev/null
}

# The soak runs it.
$make "build/release/commitlog" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

program() {
    local word
    for word in "$@"; do
        case $word in
        *=*) ;;
        *) echo "tests/$word" && return ;;
        esac
    done
}

# What the failing test said, in few words.
first_words() {
    grep -aE 'FAILED|VIOLATION|:[EF]:' "$work/log" | head -1 |
        sed -E 's/^([a-z_]*: )?FAILED:? //; s/ *\(SEED=.*//' | cut -c1-140
}

# Status 0: caught. $said: by which seed, with which words, or why not.
try() { # NAME WORD...
    local name=$1 seed status
    shift
    said="does not build"
    $make B="$build" PLANT="$name" "$build/plant/$name/$(program "$@")" >"$work/log" 2>&1 ||
        return 1
    for ((seed = 1; seed <= ${SEEDS:-5}; seed++)); do
        run "$build/plant/$name" "$seed" "$@"
        status=$?
        case $status in
        0) said="the test passes" ;;
        124 | 137) said="the test does not end" && return 1 ;;
        126 | 127) said="the test cannot be run" && return 1 ;;
        *)
            said="seed $seed: $(first_words)"
            [ "$status" -gt 128 ] || [ "$said" != "seed $seed: " ] || return 1
            passes "$seed" "$@" && return
            said="the test fails also without it, seed $seed: ${unsound_words[$seed $*]:-}"
            return 1
            ;;
        esac
    done
    return 1
}

# The same run when nothing is planted; once for each.
passes() { # SEED WORD...
    if [ -z "${sound[$*]:-}" ]; then
        $make B="$build" "$build/$(program "${@:2}")" >"$work/log" 2>&1 || return 1
        run "$build" "$@"
        sound[$*]=$?
        unsound_words[$*]=$(first_words)
    fi
    [ "${sound[$*]}" = 0 ]
}

planted=0
caught=0
same_names || exit 1
chosen=$(wanted "$@")
unset PART PARTS # they are of this program; some tests have parts of their own
for name in $chosen; do
    row=$(grep -P "^$name\t" $table) || {
        echo "plants: no $name in $table"
        exit 1
    }
    IFS=$'\t' read -r _ mistake test <<<"$row"
    planted=$((planted + 1))
    # Words, to be split.
    # shellcheck disable=SC2086
    if try "$name" $test; then
        caught=$((caught + 1))
        printf '%-17s %s\n%17s %s, %s\n' "$name" "$mistake" caught: "$test" "$said"
    else
        printf '%-17s %s\n%17s %s: %s\n' "$name" "$mistake" MISSED: "$test" "$said"
    fi
    rm -rf "$build/plant/$name"
done
echo "figures: planted=$planted caught=$caught missed=$((planted - caught))"
[ "$planted" -gt 0 ] && [ "$caught" = "$planted" ]
