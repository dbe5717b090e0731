# shellcheck shell=bash
# What every set-up step shares: where things are kept, timed output, and a
# log that is shown only when a step fails. Sourced, never run.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${CLAWLOOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clawloops}
logs=$cache/log
mkdir -p "$logs"

say() { printf '%s\n' "  $*" >&2; }

# fail WHAT [HOW TO MEND IT…]: stops the step with a reason a person can act on.
fail() {
  printf 'set-up stopped: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Only root on a Debian system installs packages by itself.
can_install() { [ "$(id -u)" = 0 ] && have apt-get; }

# seconds SINCE_MS: the time that passed, as "12.3".
now_ms() { date +%s%3N; }
seconds() {
  local spent=$(($(now_ms) - $1))
  printf '%d.%d' $((spent / 1000)) $((spent % 1000 / 100))
}

# logged NAME MESSAGE COMMAND…: runs a command with its output in a file. One that
# takes longer than a second is announced and tells every 20 s that it is still at
# it; of one that fails, the end of the log is shown.
logged() {
  local name=$1 message=$2 log=$logs/$1.log begun pid spent said=0
  shift 2
  begun=$(now_ms)
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.1
    spent=$(($(now_ms) - begun))
    if [ $said = 0 ] && [ $spent -ge 1000 ]; then
      say "$message"
      said=1
    elif [ $spent -ge $((said * 20000)) ] && [ $said != 0 ]; then
      say "… $message, $((spent / 1000)) s so far"
      said=$((said + 1))
    fi
  done
  if ! wait "$pid"; then
    tail -n 40 "$log" >&2
    fail "$name failed; the whole log is $log"
  fi
}

# digest FILE…: a short hash of the files' contents, for names of caches and tags.
digest() { cat "$@" | sha256sum | cut -c1-12; }

# step NAME COMMAND…: runs a step and says how long it took. What the command
# prints on its standard output (a path, mostly) goes on to the caller.
step() {
  local name=$1 begun
  shift
  begun=$(now_ms)
  "$@" || exit $?
  printf 'step %-18s %7s s\n' "$name" "$(seconds "$begun")" >&2
}
