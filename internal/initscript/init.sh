set -eu
umask 022
data=${GRIGRI_DATA_DIR:-/var/lib/juju}
log=${GRIGRI_LOG_DIR:-/var/log/juju}
tools=$data/tools
home=$data/agents/machine-$machine
agent=$tools/machine-$machine/grigri-agent

say() { echo "machine $machine: $*" >&2; }

# get URL FILE: over TLS with our own authority, never through a proxy.
get() {
	if command -v curl >/dev/null; then
		curl -fsS --noproxy '*' --connect-timeout 10 --max-time 600 --cacert "$home/ca.pem" -o "$2" "$1"
	elif command -v wget >/dev/null; then
		wget -q --no-proxy -T 30 -t 1 --ca-certificate="$home/ca.pem" -O "$2" "$1"
	elif command -v python3 >/dev/null; then
		python3 - "$1" "$2" "$home/ca.pem" <<'END'
import shutil, ssl, sys, urllib.request as u
url, name, ca = sys.argv[1:]
https = u.HTTPSHandler(context=ssl.create_default_context(cafile=ca))
with u.build_opener(u.ProxyHandler({}), https).open(url, timeout=30) as r, open(name, 'wb') as f:
    shutil.copyfileobj(r, f)
END
	else
		say 'there is none of curl, wget and python3 to fetch the agent with'
		return 1
	fi
}

right() {
	[ -s "$1" ] && [ "$(sha256sum <"$1")" = "$hash  -" ]
}

fetch() {
	if [ -n "${GRIGRI_AGENT_ARCHIVE:-}" ] && right "$GRIGRI_AGENT_ARCHIVE"; then
		cp "$GRIGRI_AGENT_ARCHIVE" "$1"
		return
	fi
	for a in $addresses; do
		if get "https://$a$path" "$1"; then
			right "$1" && return
			say "what $a sent is not the agent's archive $hash"
		fi
	done
	return 1
}

install() {
	[ -x "$agent" ] && return
	[ -d "$home" ] || return 1 # it was removed
	new=$tools/.$hash.new
	rm -rf "$new" && mkdir -p "$new" || return 1
	if [ ! -d "$tools/$hash" ]; then
		fetch "$new/archive" && tar -xzf "$new/archive" -C "$new" && rm "$new/archive" || return 1
		for name in $aliases; do
			ln -s grigri-agent "$new/$name" || return 1
		done
		mv "$new" "$tools/$hash" || return 1
	fi
	ln -sfn "$hash" "$tools/machine-$machine" && rm -rf "$new"
}

enrol() {
	[ -s "$home/agent.conf" ] && return
	GRIGRI_TOKEN=$token "$agent" enrol --data-dir "$data" --model "$model" --machine "$machine" --ca "$home/ca.pem" --addresses "$addresses"
}

# insist COMMAND: until it succeeds, slower and slower.
insist() {
	n=1
	until "$@"; do
		[ -d "$home" ] || { say 'what was begun has been removed'; exit 1; }
		case $n in [12]) wait=0.2 ;; [3-6]) wait=1 ;; *) wait=10 ;; esac
		n=$((n + 1))
		sleep $wait
	done
}

# remember has systemd run this script again after a crash, until it has come to its end: cloud-init runs it once only.
units=/etc/systemd/system
rest=grigri-init-$machine.service
remember() {
	if command -v flock >/dev/null; then
		exec 9>"$home/init.lock"
		flock -n 9 || exit 0 # it runs already
	fi
	[ -f "$0" ] && [ "$0" != "$home/init.sh" ] || return 0
	cp "$0" "$home/init.new" && mv "$home/init.new" "$home/init.sh"
	cat >"$units/$rest" <<END
[Unit]
Description=grigri brings up machine $machine
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/bin/sh $home/init.sh
END
	mkdir -p "$units/multi-user.target.wants"
	ln -sf "$units/$rest" "$units/multi-user.target.wants/$rest"
}

# forget is the end of that.
forget() {
	rm -f "$units/multi-user.target.wants/$rest" "$units/$rest" "$home/init.sh" "$home/init.lock"
}

ours= # a machine that is ours alone, with systemd
if [ -z "${GRIGRI_SUPERVISED:-}" ] && [ -d /run/systemd/system ] && [ -z "${GRIGRI_DATA_DIR:-}" ]; then
	ours=yes
fi

mkdir -p "$tools" "$home" "$log"
chmod 700 "$home"
[ -z "$removal" ] || printf '%s' "$removal" >"$home/remove.sh" # the first file: by it what was begun is known
[ -z "$ours" ] || [ -n "$removal" ] || remember
[ -s "$home/ca.pem" ] || { echo "$ca" >"$home/ca.new" && mv "$home/ca.new" "$home/ca.pem"; }
insist install
insist enrol

if [ -n "${GRIGRI_SUPERVISED:-}" ]; then
	exec "$agent" run --data-dir "$data"
elif [ -n "$ours" ]; then
	service=grigri-machine-$machine.service
	cat >"/etc/systemd/system/$service.new" <<END
[Unit]
Description=grigri agent of machine $machine
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=$agent run --data-dir $data
Restart=always
RestartPreventExitStatus=0
SuccessExitStatus=143
RestartSec=1
KillMode=process
LimitNOFILE=64000
TasksMax=infinity

[Install]
WantedBy=multi-user.target
END
	mv "/etc/systemd/system/$service.new" "/etc/systemd/system/$service"
	firewall=grigri-firewall-$machine.service
	[ -z "$removal" ] || cat >"/etc/systemd/system/$firewall" <<END
[Unit]
Description=grigri firewall of machine $machine
ConditionPathExists=$home/firewall.nft
DefaultDependencies=no
After=local-fs.target nftables.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec nft -f $home/firewall.nft'

[Install]
WantedBy=multi-user.target
END
	systemctl daemon-reload
	[ -z "$removal" ] || systemctl enable "$firewall"
	systemctl enable --now "$service"
	[ -n "$removal" ] || forget
else
	setsid "$agent" supervise --dir "$home" -- "$agent" run --data-dir "$data" </dev/null >>"$log/machine-$machine.log" 2>&1 &
fi
