# Fetches the jars that a pom.xml lists, for scripts that start servers from them; sourced. Who sources it sets
#   here   the folder of the script and its pom.xml
#   root   where everything lies; the jars are in $root/jars
# shellcheck shell=bash

# shellcheck disable=SC2154  # set by who sources this
jars=$root/jars

need() {
  command -v "$1" >/dev/null 2>&1 && return
  echo "$(basename "$0"): $1 is missing; it needs Java 17 or newer, and Maven to fetch the jars (apt-get install $2)" >&2
  exit 69
}

# The jars belong to one pom.xml; another one fetches them anew. After that, nothing here needs a network or Maven.
fetch() {
  need java openjdk-17-jre-headless
  local want stamp=$jars/.pom
  want=$(cksum <"$here/pom.xml")
  [[ -f $stamp && $(<"$stamp") == "$want" ]] && return
  need mvn maven
  # One at a time where that can be had: who waited finds them there.
  local lock
  exec {lock}>"$root/jars.lock"
  if command -v flock >/dev/null 2>&1; then flock "$lock"; fi
  if [[ ! -f $stamp || $(<"$stamp") != "$want" ]]; then fetch_now "$want"; fi
  exec {lock}>&-
}

fetch_now() {
  local want=$1 fresh
  fresh=$(mktemp -d "$root/jars.XXXXXX")
  local try
  for try in 1 2 3; do
    # A registry that is busy says so only once, as a rule.
    mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$fresh" \
      1>&2 && break
    if [[ $try -eq 3 ]]; then
      rm -rf "$fresh"
      echo "$(basename "$0"): Maven could not fetch the jars; its reason is above" >&2
      exit 69
    fi
    sleep 2
  done
  printf '%s\n' "$want" >"$fresh/.pom"
  rm -rf "$jars.old"
  if [[ -d $jars ]]; then mv "$jars" "$jars.old" 2>/dev/null || true; fi
  mv -T "$fresh" "$jars" 2>/dev/null || mv "$fresh" "$jars"
  rm -rf "$jars.old"
}
