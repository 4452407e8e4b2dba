#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - unmodified clients of RocketMQ, the mini-broker, and kill -9; `make demo-broker`.
#
#   MINI_BROKER   the program (default $BUILD/mini-broker, BUILD default build/release)
#   NAMESRV_PORT, BROKER_PORT   where it listens (9876, 10911)
#   DEMO_BREAK=1  loses the messages between kill and start, to see the demo fail
#
# Java's client and its quick-start programs come from Maven, ali-ons from npm, both held against
# recorded checksums. Ends with 1 when a message that was acknowledged is not there, or was not
# received. Clients find their broker again with their next heartbeat, which may take half a minute.
set -u
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build/release}
broker=${MINI_BROKER:-$build/mini-broker}
namesrv_port=${NAMESRV_PORT:-9876}
broker_port=${BROKER_PORT:-10911}
account=$here/demo/account.py
work=$(mktemp -d "${TMPDIR:-/var/tmp}/mini-broker-demo-XXXXXX") || exit 1
data=$work/data
children=()
began=$SECONDS

clean_up() {
    local pid
    for pid in "${children[@]}"; do
        kill -9 "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

step=0
title() {
    step=$((step + 1))
    printf '\n%d. %s\n' "$step" "$*"
}
say() { printf '   %s\n' "$*"; }
die() {
    printf '\nFAILED: %s\n' "$*" >&2
    tail -n 5 "$work"/*.log "$work"/java-producer "$work"/node-producer 2>/dev/null >&2
    exit 1
}
show() { printf '   $ %s\n' "$*"; }

# What is not there is installed; what is there in another way is taken as it is.
needs() { # needs COMMAND PACKAGE...
    command -v "$1" >/dev/null 2>&1 && return
    shift
    "$root/tools/check/deps.sh" "$@" || die "cannot install $*"
}

begin_broker() {
    "$broker" --data "$data" --namesrv-listen "127.0.0.1:$namesrv_port" \
        --listen "127.0.0.1:$broker_port" --flush sync >>"$work/broker.log" 2>&1 &
    broker_pid=$!
    disown
    children+=("$broker_pid")
}
# From the start of the process until it takes a connection; then whether it answers, too.
serve=0
await_broker() { # await_broker WHAT
    local begin=${EPOCHREALTIME/./} i
    begin_broker
    for ((i = 0; i < 12000; i++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$broker_port") 2>/dev/null && break
        kill -0 "$broker_pid" 2>/dev/null || die "the broker ended: $1"
        sleep 0.005
    done
    serve=$(((${EPOCHREALTIME/./} - begin) / 1000))
    "$account" serves "$broker_port" || die "the broker does not serve: $1"
}

export NAMESRV_ADDR=127.0.0.1:$namesrv_port
jars=$root/build/broker-tests/java/client-5.3
java=(java -Xmx160m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Duser.home=$work"
    "-Drocketmq.client.logRoot=$work/logs" -Drocketmq.client.logLevel=WARN -cp "$jars/*")
modules=$root/build/broker-tests/node/node_modules
export NODE_PATH=$modules
node=(node "$here/demo/clients.js")

# ---------------------------------------------------------------------------------------------
title "Set-up: the broker, and clients as their makers publish them"
[ -x "$broker" ] || die "$broker is not there: run \`make demo-broker'"
needs python3 python3
needs java default-jre-headless
needs mvn maven
needs node nodejs
needs npm npm
"$account" fetch || die "Maven or npm could not get the clients"
say "rocketmq-client and its quick-start programs: $(cd "$jars" && echo rocketmq-client-*.jar \
    rocketmq-example-*.jar)"
say "ali-ons for Node: version $(node -p "require('$modules/ali-ons/package.json').version")"

# ---------------------------------------------------------------------------------------------
title "One process: name server and broker; it answers when the disk has a message"
show "mini-broker --data DIR --flush sync"
await_broker "first start"
say "serves after $serve ms, $(awk '/VmRSS/ { print $2 }' "/proc/$broker_pid/status") KiB of memory"
for topic in TopicTest DemoNode; do
    show "mqadmin updateTopic -t $topic"
    "${java[@]}" org.apache.rocketmq.tools.command.MQAdminStartup updateTopic \
        -b "127.0.0.1:$broker_port" -t $topic -r 4 -w 4 >"$work/mqadmin.log" 2>&1
    grep -q success "$work/mqadmin.log" || die "mqadmin made no topic"
done

# ---------------------------------------------------------------------------------------------
title "Consumers first, then producers of 1000 messages each"
show "java org.apache.rocketmq.example.quickstart.Consumer;  node clients.js consume"
"${java[@]}" org.apache.rocketmq.example.quickstart.Consumer >"$work/java-consumer" 2>&1 &
children+=($!)
"${node[@]}" consume DemoNode 0 >"$work/node-consumer" 2>&1 &
children+=($!)
for ((i = 0; i < 300; i++)); do
    grep -q Started "$work/java-consumer" && grep -q started "$work/node-consumer" && break
    sleep 0.1
done
[ "$i" -lt 300 ] || die "a consumer did not start"
show "java org.apache.rocketmq.example.quickstart.Producer;  node clients.js produce"
"${java[@]}" org.apache.rocketmq.example.quickstart.Producer >"$work/java-producer" 2>&1 &
java_producer=$!
"${node[@]}" produce DemoNode 1000 >"$work/node-producer" 2>&1 &
node_producer=$!
children+=("$java_producer" "$node_producer")
"$account" await 100 "$work/java-producer" "$work/node-producer" ||
    die "the producers do not produce"

# ---------------------------------------------------------------------------------------------
title "kill -9 in the middle, and a new start"
kill -9 "$broker_pid"
for client in java node; do
    "$account" count "$work/$client-producer" >"$work/acknowledged-$client"
done
kill -0 "$java_producer" "$node_producer" 2>/dev/null || die "a producer had ended before the kill"
[ -z "${DEMO_BREAK:-}" ] || rm -rf "$data/store"
await_broker "after the kill"
say "serves again after $serve ms; $(grep -o 'store: recovered.*' "$work/broker.log" | tail -n 1)"
wait "$java_producer"
java_status=$?
wait "$node_producer" || die "the Node producer failed"
[ "$java_status" = 0 ] || die "the Java producer failed"
"$account" received "$work" 100

# ---------------------------------------------------------------------------------------------
title "What happened"
"$account" table "$work" "$namesrv_port" "$broker_port"
status=$?
say ""
say "to serve again: $serve ms; all of it: $((SECONDS - began)) s"
[ "$status" = 0 ] || die "messages that were acknowledged are lost"
kill "$broker_pid"
say "Nothing that was acknowledged is lost."
