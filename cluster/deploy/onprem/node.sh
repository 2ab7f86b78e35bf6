#!/usr/bin/env bash
# Machines of your own: start Ray on this one, as head or as worker, with a token, on one interface.
#
# Preconditions
#   1. Every machine has the same Recombine, Python and Ray: one environment on shared storage, or one image.
#   2. `recombine` and `ray` are on PATH (or RECOMBINE_BIN names their folder).
#   3. The study, its data and its directory lie on storage that all machines see under the same path.
#   4. The same token in ~/.ray/auth_token, mode 0600, on every machine (`ray get-auth-token --generate`, then chmod 600).
#   5. Between the machines all ports are open (Ray chooses some), and to everybody else none: a token is no encryption.
#
#   node.sh head   IP            on one machine; IP is its address on the machines' own network
#   node.sh worker IP HEAD_IP    on each of the others
#   node.sh stop                 ends what this script started on this machine, and nothing else
# Further words go to `ray start`: --num-gpus=4, or ports where Ray's usual ones are taken.
#
# Then, on the head:  recombine submit STUDY --address http://127.0.0.1:8265
# The dashboard listens on 127.0.0.1 only; from elsewhere: ssh -L 8265:127.0.0.1:8265 HEAD
set -euo pipefail

readonly PORT="${RECOMBINE_PORT:-6379}" DASHBOARD_PORT="${RECOMBINE_DASHBOARD_PORT:-8265}"
# By machine: all may share one home.
STATE="${XDG_STATE_HOME:-$HOME/.local/state}/recombine-ray/$(uname -n)"
# Ray opens its own folder to every user of the machine, so it lies in one that they cannot enter. Short: a socket's
# path has at most 107 bytes.
TEMP_DIR="${RECOMBINE_TEMP_DIR:-/tmp/recombine-ray-$(id -u)}"
# A slot hears of it within five seconds (Ray Train's watcher) and saves after the step or the batch it is in.
DRAIN_S=60
readonly STATE TEMP_DIR DRAIN_S
export PATH="${RECOMBINE_BIN:+$RECOMBINE_BIN:}$PATH"
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

fail() {
    echo "node.sh: $1" >&2
    exit 2
}

usage() {
    fail "use: node.sh head IP [OPTION]... | node.sh worker IP HEAD_IP [OPTION]... | node.sh stop"
}

# Ray would start without a token, and anyone who reaches its ports could run code on this machine.
check_token() {
    local file="${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}"
    [ -n "${RAY_AUTH_TOKEN:-}" ] && return
    [ -s "$file" ] || fail "no token in $file; make one with: ray get-auth-token --generate, then chmod 600 it"
    [[ "$(stat -Lc %a "$file")" == ?00 ]] || fail "others can read $file; do: chmod 600 $file"
}

# In /tmp another user may have made it first, or a link to a folder of theirs.
make_temp_dir() {
    [ -d "$TEMP_DIR" ] || mkdir -m 700 "$TEMP_DIR" || fail "set RECOMBINE_TEMP_DIR to a short path that you can make"
    if [ -L "$TEMP_DIR" ] || [ ! -O "$TEMP_DIR" ]; then
        fail "$TEMP_DIR belongs to another user or is a link; set RECOMBINE_TEMP_DIR to a short path of your own"
    fi
    chmod 700 "$TEMP_DIR"
}

# Words after the first two are options of this role.
start() {
    local role="$1" ip="$2" pid
    shift 2
    command -v ray > /dev/null || fail "no ray on PATH; set RECOMBINE_BIN to the folder of recombine and ray"
    check_token
    mkdir -p "$STATE"
    chmod 700 "$STATE"
    is_running && fail "Ray of this script already runs here (process $(cat "$STATE/pid")); end it with: node.sh stop"
    make_temp_dir
    ulimit -n 65536 2> /dev/null || true # Ray opens a file for every connection
    # A session of its own, so that `stop` ends all of it and nothing else: `ray stop` ends every Ray of this user.
    setsid ray start --block --disable-usage-stats --node-ip-address="$ip" --temp-dir="$TEMP_DIR/r" "$@" \
        > "$STATE/ray.log" 2>&1 < /dev/null &
    pid=$!
    echo "$pid" > "$STATE/pid"
    for _ in $(seq 600); do
        if grep -q "will now block" "$STATE/ray.log"; then
            echo "$role runs at $ip; its output: $STATE/ray.log"
            return
        fi
        kill -0 "$pid" 2> /dev/null || fail "Ray ended: $(tail -n 3 "$STATE/ray.log" | tr '\n' ' ')"
        sleep 0.2
    done
    fail "Ray has not started in two minutes; see $STATE/ray.log"
}

# A number alone may be another process's by now: the machine was started anew since.
is_running() {
    local words=()
    [ -s "$STATE/pid" ] || return 1
    mapfile -d "" -t words 2> /dev/null < "/proc/$(cat "$STATE/pid")/cmdline" || return 1
    [[ "${words[*]}" == *"/ray start --block --disable-usage-stats "* ]]
}

# Ray's parent alone is asked first: it drains the node, so that slots save and their trials go on elsewhere, and
# returns when the node is idle or the time is over. Asked with it, the node itself would be gone at once.
stop() {
    is_running || fail "no Ray of this script runs here"
    local pid
    pid="$(cat "$STATE/pid")"
    kill -TERM "$pid" 2> /dev/null || true
    wait_while $((DRAIN_S + 15)) is_running
    kill -TERM -- "-$pid" 2> /dev/null || true
    wait_while 10 kill -0 -- "-$pid"
    kill -KILL -- "-$pid" 2> /dev/null || true
    rm -f "$STATE/pid"
    echo "stopped"
}

# Seconds at most, then what must fail.
wait_while() {
    local ends_at=$((SECONDS + $1))
    while "${@:2}" 2> /dev/null && [ "$SECONDS" -lt "$ends_at" ]; do
        sleep 0.2
    done
}

case "${1:-}" in
    head)
        [ $# -ge 2 ] || usage
        export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # the cluster ends with it
        start head "$2" --head --port="$PORT" --dashboard-host=127.0.0.1 --dashboard-port="$DASHBOARD_PORT" "${@:3}"
        echo "on the others: ${RECOMBINE_PORT:+RECOMBINE_PORT=$PORT }node.sh worker IP $2"
        echo "here:          recombine submit STUDY --address http://127.0.0.1:$DASHBOARD_PORT"
        ;;
    worker)
        [ $# -ge 3 ] || usage
        export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S="$DRAIN_S"
        start worker "$2" --address="$3:$PORT" "${@:4}"
        ;;
    stop)
        [ $# -eq 1 ] || usage
        stop
        ;;
    *)
        usage
        ;;
esac
