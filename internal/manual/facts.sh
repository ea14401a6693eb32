LC_ALL=C
export LC_ALL
say() { printf '%s %s\n' "$1" "$2"; }
say system "$(uname -s)"
say arch "$(uname -m)"
say hostname "$(hostname)"
say cores "$(nproc)"
say memory "$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)"
say disk "$(df -Pk / | sed -n '2s/^[^ ]* *\([0-9]*\) .*/\1/p')"
say room "$(df -Pk /var/lib | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/p')"
if [ -r /etc/os-release ]; then
	(. /etc/os-release; say id "${ID:-}"; say version "${VERSION_ID:-}"; say name "${PRETTY_NAME:-}")
fi
for a in $(hostname -I); do say address "$a"; done
begun=
for d in /var/lib/juju/agents/machine-*; do
	if [ -e "$d/agent.conf" ]; then
		say agent "${d##*/}"
	elif [ -e "$d/remove.sh" ]; then
		begun=yes
		say begun "${d##*/machine-}"
	fi
done
for d in /var/lib/juju /var/log/juju; do
	# Whoever is interrupted at the very beginning leaves directories with nothing in them.
	[ -z "$begun" ] && [ -n "$(find "$d" ! -type d 2>/dev/null)" ] && say residue "$d"
done
for p in tar gzip sha256sum setsid; do
	command -v $p >/dev/null || say missing "$p"
done
command -v curl >/dev/null || command -v wget >/dev/null || command -v python3 >/dev/null || say missing 'one of curl, wget and python3'
for a in $reach; do
	host=${a%:*} port=${a##*:}
	host=${host#[} host=${host%]}
	if command -v timeout >/dev/null && command -v bash >/dev/null; then
		timeout 5 bash -c ': <"/dev/tcp/$1/$2"' - "$host" "$port" 2>/dev/null && say reached "$a"
	else
		say reached "$a"
	fi
done
exit 0
