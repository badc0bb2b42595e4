#!/usr/bin/env bash
# Debezium's connector for PostgreSQL in a standalone worker of Kafka Connect, from their published Maven artifacts. Its jars lie under
# target/debezium (or $CARGO_TARGET_DIR/debezium) and are removed with it.
#
#   debezium.sh run WORKER CONNECTOR   run the connector of the one properties file in the worker of the other, until standard
#                                      input is closed: then it is killed, as a power cut would kill it
#   debezium.sh jars                   fetch the jars if they are missing and print their folder
#
# Exit code 69: Java or Maven is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${CARGO_TARGET_DIR:-$here/../../target}/debezium
mkdir -p "$root"
root=$(cd "$root" && pwd)

fail() {
  echo "debezium.sh: $*" >&2
  exit 1
}

# shellcheck source=tests/fetch.sh
. "$here/../fetch.sh"

case ${1:-} in
run)
  [[ $# -eq 3 ]] || fail "run WORKER CONNECTOR"
  kafka=$("$here/../kafka/kafka.sh" jars)
  fetch
  java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$kafka/*:$jars/*" org.apache.kafka.connect.cli.ConnectStandalone "$2" "$3" &
  trap 'kill -9 $!' EXIT
  cat >/dev/null
  ;;
jars)
  "$here/../kafka/kafka.sh" jars >/dev/null
  fetch
  printf '%s\n' "$jars"
  ;;
*)
  sed -n '2,/^set -e/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
  ;;
esac
