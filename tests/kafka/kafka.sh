#!/usr/bin/env bash
# Apache Kafka, one node on loopback, from its published Maven artifacts: the real broker that the tests and benches compare
# the embedded one with. Everything lies under target/kafka (or $CARGO_TARGET_DIR/kafka) and is removed with it.
#
#   kafka.sh up [NAME] [KEY=VALUE...]   start the instance NAME (default: "default"); prints HOST:PORT when it is ready.
#                                       KEY=VALUE are broker properties, such as auto.create.topics.enable=false
#   kafka.sh down [NAME]                stop exactly that instance and remove its data
#   kafka.sh status [NAME]              print HOST:PORT and succeed if it runs, fail if it does not
#   kafka.sh run [KEY=VALUE...]         a nameless instance that lives until standard input is closed: it cannot outlive
#                                       the test process that holds the pipe, however that ends
#   kafka.sh tool TOOL ARGS...          run a Java tool from the jars: topics, groups, consume, produce, configs, perf-produce,
#                                       perf-consume, or a main class
#   kafka.sh jars                       fetch the jars if they are missing and print their folder
#
# KAFKA_HEAP is the Java heap of a broker (default 512m). Exit code 69: Java or Maven is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${CARGO_TARGET_DIR:-$here/../../target}/kafka
mkdir -p "$root"
root=$(cd "$root" && pwd)

fail() {
  echo "kafka.sh: $*" >&2
  exit 1
}

# shellcheck source=tests/fetch.sh
. "$here/../fetch.sh"

java_run() {
  java -cp "$jars/*" "$@"
}

# A process is ours if its command line names the instance's folder: a pid may have been given to another one since.
alive() {
  local dir=$1 pid
  [[ -f $dir/pid ]] || return 1
  pid=$(<"$dir/pid")
  ps -p "$pid" -o args= 2>/dev/null | grep -qF -- "-Dfoldlog.kafka=$dir "
}

properties() {
  local dir=$1 port=$2
  shift 2
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$((port + 1))
log.dirs=$dir/data
num.partitions=1
auto.create.topics.enable=true
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
# Records of the tests carry times of years ago; retention by time would delete them.
log.retention.ms=-1
log.cleaner.backoff.ms=200
log.segment.delete.delay.ms=1000
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
  local property
  for property in "$@"; do
    [[ $property == *=* ]] || fail "not a property: $property (KEY=VALUE)"
    printf '%s\n' "$property"
  done
}

# Starts an instance in a folder; 75 means that a port was taken, which another try with other ports may mend.
start_once() {
  local dir=$1 port pid
  shift
  # Below the ephemeral range of Linux and of the BSDs, so that no outgoing connection holds it by chance.
  port=$((15000 + (RANDOM % 8000) * 2))
  rm -rf "$dir"
  mkdir -p "$dir"
  properties "$dir" "$port" "$@" >"$dir/server.properties"
  java_run -Xmx64m -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
    --config "$dir/server.properties" --cluster-id "$(cluster_id)" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; fail "the storage could not be formatted"; }
  : >"$dir/log"
  nohup java -Dfoldlog.kafka="$dir" -Xms128m -Xmx"${KAFKA_HEAP:-512m}" -XX:+UseG1GC \
    -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$jars/*" kafka.Kafka "$dir/server.properties" \
    >>"$dir/log" 2>&1 </dev/null &
  pid=$!
  printf '%s\n' "$pid" >"$dir/pid"
  # Until it says that it is ready or has ended, whichever comes first.
  while ! grep -q 'Kafka Server started' "$dir/log"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      grep -q 'Address already in use' "$dir/log" && return 75
      tail -n 30 "$dir/log" >&2
      return 1
    fi
    sleep 0.1
  done
  printf '127.0.0.1:%s\n' "$port" >"$dir/address"
}

cluster_id() {
  head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n'
}

start() {
  local try code
  for try in 1 2 3 4 5; do
    code=0
    start_once "$@" || code=$?
    case $code in
    0) return ;;
    75) echo "kafka.sh: try $try met a port in use, trying others" >&2 ;;
    *) fail "Apache Kafka did not start; its log is $1/log" ;;
    esac
  done
  fail "no free port found"
}

stop() {
  local dir=$1 pid waited=0
  if alive "$dir"; then
    pid=$(<"$dir/pid")
    kill "$pid" 2>/dev/null || true
    # Not a child of this shell in general, so there is nothing to wait(1) for.
    while alive "$dir"; do
      sleep 0.1
      waited=$((waited + 1))
      [[ $waited -eq 200 ]] && kill -9 "$pid" 2>/dev/null
    done
  fi
  rm -rf "$dir"
}

instance() {
  [[ $1 =~ ^[A-Za-z0-9_-]+$ && $1 != jars ]] || fail "not a name: $1"
  printf '%s/%s\n' "$root" "$1"
}

tool() {
  [[ $# -gt 0 ]] || fail "which tool? see the head of this script"
  local class=$1
  shift
  case $class in
  topics) class=org.apache.kafka.tools.TopicCommand ;;
  groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  consume) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  produce) class=org.apache.kafka.tools.ConsoleProducer ;;
  configs) class=kafka.admin.ConfigCommand ;;
  offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
  perf-produce) class=org.apache.kafka.tools.ProducerPerformance ;;
  perf-consume) class=org.apache.kafka.tools.ConsumerPerformance ;;
  esac
  exec java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" "$class" "$@"
}

command=${1:-}
[[ $# -gt 0 ]] && shift
case $command in
up)
  name=default
  if [[ $# -gt 0 && $1 != *=* ]]; then
    name=$1
    shift
  fi
  dir=$(instance "$name")
  if alive "$dir"; then fail "$name runs already (kafka.sh down $name stops it)"; fi
  fetch
  start "$dir" "$@"
  cat "$dir/address"
  ;;
down)
  stop "$(instance "${1:-default}")"
  ;;
status)
  dir=$(instance "${1:-default}")
  alive "$dir" && [[ -f $dir/address ]] || { echo "not running" >&2; exit 1; }
  cat "$dir/address"
  ;;
run)
  fetch
  dir=$(instance "run-$$")
  trap 'stop "$dir"' EXIT
  start "$dir" "$@"
  cat "$dir/address"
  cat >/dev/null
  ;;
tool)
  fetch
  tool "$@"
  ;;
jars)
  fetch
  printf '%s\n' "$jars"
  ;;
*)
  sed -n '2,/^set -e/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
  ;;
esac
