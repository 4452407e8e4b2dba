#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench.sh - `commitlog bench`: what it makes of its runs. How fast anything is, is not tested here.
set -u
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

section "the median"
for runs in 1 2 3 4; do
    run 0 "$commitlog" bench --dir "$work" --only append --records 2000 --runs $runs --json
    check "of $runs runs" python3 - "$out" $runs <<'END'
import json, statistics, sys
results = [json.loads(line) for line in open(sys.argv[1])]
rates = [result for result in results if len(result["runs"]) == int(sys.argv[2])]
if not rates:
    sys.exit("no result of so many runs")
for result in rates:
    median = statistics.median(result["runs"])
    if abs(result["median"] - median) > 1e-9 * abs(median):
        sys.exit(f"{result['name']}: {result['median']} of {result['runs']}")
END
done
section "the names"
run 0 "$commitlog" bench --dir "$work" --only queues,overhead,read,consume,deliver --records 1000 \
    --runs 1 --topics 4 --queues 2 --each 2 --json
check "each is there once, and says whose it is" python3 - "$out" <<'END'
import json, sys
names = [json.loads(line)["name"] for line in open(sys.argv[1])]
wrong = [name for name in names if name != name.strip() or names.count(name) > 1]
if wrong or len(names) < 10:
    sys.exit(f"{wrong} of {names}")
END
section "no rate of nothing"
run 0 "$commitlog" bench --dir "$work" --only deliver --records 200 --runs 2 --json
check "is zero" python3 - "$out" <<'END'
import json, sys
results = [json.loads(line) for line in open(sys.argv[1])]
wrong = [r for r in results if r["unit"].endswith("/s") and min(r["runs"]) <= 0]
if wrong or not results:
    sys.exit(f"{wrong} of {results}")
END
section "a signal"
"$commitlog" bench --dir "$work" --only durable --seconds 600 --threads 2 >"$out" 2>"$err" &
started+=("$!")
check "it runs" wait_for compgen -G "$work/commitlog-bench-*/durable/log/*.log" >/dev/null
kill -TERM "${started[0]}"
ends "it ends at once" 143 "${started[0]}"
started=()
same "and has measured nothing" '' "$(cat "$out" "$err")"
section "the best of times"
run 0 "$commitlog" bench --dir "$work" --only recover --records 2000 --runs 3 --json
check "is the shortest" python3 - "$out" <<'END'
import json, sys
times = [r for r in (json.loads(line) for line in open(sys.argv[1])) if r["unit"] == "ms"]
wrong = [r for r in times if r["best"] != min(r["runs"])]
if wrong or not times:
    sys.exit(f"{wrong} of {times}")
END
same "nothing is left behind" '' "$(find "$work" -mindepth 1 -type d)"
summary
