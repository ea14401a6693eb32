set -u
data=${GRIGRI_DATA_DIR:-/var/lib/juju}
log=${GRIGRI_LOG_DIR:-/var/log/juju}
service=grigri-machine-$machine.service
firewall=grigri-firewall-$machine.service

# agents prints the processes that run the agent's program.
agents() {
	for p in /proc/[0-9]*; do
		case $(readlink "$p/exe") in
		"$data"/tools/*/grigri-agent | "$data"/tools/*/grigri-agent' (deleted)') echo "${p#/proc/}" ;;
		esac
	done
}

if [ -e "/etc/systemd/system/$service" ]; then
	systemctl --quiet disable "$service" || exit
	[ -n "${GRIGRI_LEAVING:-}" ] || systemctl stop "$service" || exit
	[ ! -e "/etc/systemd/system/$firewall" ] || systemctl --quiet disable "$firewall" || exit
	rm -f "/etc/systemd/system/$service" "/etc/systemd/system/$firewall"
	systemctl daemon-reload
fi
if [ -z "${GRIGRI_LEAVING:-}" ]; then # the agent that leaves ends by itself, after this
	for signal in TERM TERM KILL; do
		n=0
		while [ -n "$(agents)" ] && [ $n -lt 50 ]; do
			[ $n -gt 0 ] || kill -$signal $(agents)
			n=$((n + 1))
			sleep 0.1
		done
	done
fi
if command -v nft >/dev/null && nft list table inet grigri >/dev/null 2>&1; then
	nft delete table inet grigri || exit
fi
find /usr/bin /usr/local/bin -maxdepth 1 -type l -lname "$data/*" -delete
rm -rf "$data" "$log"
