#!/usr/bin/env bash
# OpenSearch, one node on loopback, from its published Maven artifacts: a real server that speaks Elasticsearch's _bulk. The jars lie
# under target/opensearch (or $CARGO_TARGET_DIR/opensearch) and are removed with it.
#
#   opensearch.sh run FOLDER PORT   serve HTTP at the port with what is in the folder, until standard input is closed: it cannot
#                                   outlive the test process that holds the pipe, however that ends
#   opensearch.sh jars              fetch the jars if they are missing and print their folder
#
# OPENSEARCH_HEAP is its Java heap (default 256m). Exit code 69: Java or Maven is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${CARGO_TARGET_DIR:-$here/../../target}/opensearch
mkdir -p "$root"
root=$(cd "$root" && pwd)

fail() {
  echo "opensearch.sh: $*" >&2
  exit 1
}

# shellcheck source=tests/fetch.sh
. "$here/../fetch.sh"

case ${1:-} in
run)
  [[ $# -eq 3 ]] || fail "run FOLDER PORT"
  fetch
  # In place of this shell, so that whoever kills it kills the server.
  exec java -Xms128m -Xmx"${OPENSEARCH_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" \
    groovy.ui.GroovyMain "$here/node.groovy" "$2" "$3"
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
