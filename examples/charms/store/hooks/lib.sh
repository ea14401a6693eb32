# Shared by the hooks: start and stop the server, so that either may be done twice.
set -eu

address=$(unit-get private-address)
port=$(config-get port)
pidfile=$CHARM_DIR/store.pid

running() {
    [ -s "$pidfile" ] && tr '\0' ' ' <"/proc/$(cat "$pidfile")/cmdline" 2>/dev/null | grep -q "src/store.py $address $port "
}

stop_server() {
    if [ -s "$pidfile" ]; then
        pid=$(cat "$pidfile")
        if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q src/store.py; then
            kill "$pid"
            while [ -d "/proc/$pid" ]; do sleep 0.05; done
        fi
        rm -f "$pidfile"
    fi
}

start_server() {
    running && return 0
    stop_server
    setsid python3 "$CHARM_DIR/src/store.py" "$address" "$port" "$CHARM_DIR/visits.json" </dev/null >"$CHARM_DIR/store.log" 2>&1 &
    echo $! >"$pidfile"
    for _ in $(seq 200); do
        python3 - "$address" "$port" <<'PY' && return 0
import socket, sys
s = socket.socket(); s.settimeout(1)
sys.exit(s.connect_ex((sys.argv[1], int(sys.argv[2]))))
PY
        running || break
        sleep 0.05
    done
    juju-log -l ERROR "the store does not answer at $address:$port: $(tail -n 1 "$CHARM_DIR/store.log")"
    return 1
}
