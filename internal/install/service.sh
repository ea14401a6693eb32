set -eu
pid=
start() {
	rm -f "$data/ready.json"
	setsid "$grigrid" run --data-dir "$data" </dev/null >>"$data/grigrid.log" 2>&1 &
	pid=$!
}
if [ -d /run/systemd/system ] && [ -z "${plain:-}" ]; then
	cat >/etc/systemd/system/grigrid.service.new <<END
[Unit]
Description=grigri controller
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=$grigrid run --data-dir $data
Restart=always
RestartSec=2
LimitNOFILE=64000
TasksMax=infinity

[Install]
WantedBy=multi-user.target
END
	mv /etc/systemd/system/grigrid.service.new /etc/systemd/system/grigrid.service
	systemctl daemon-reload
	systemctl enable -q grigrid.service
	systemctl reset-failed -q grigrid.service 2>/dev/null || true
	systemctl is-active -q grigrid.service || rm -f "$data/ready.json"
	systemctl start grigrid.service
else
	pid=$(cat "$data/lock" 2>/dev/null) && tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$data" || start
fi
n=0 starts=1
until [ -s "$data/ready.json" ]; do
	n=$((n + 1))
	if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null && [ $starts -lt 5 ]; then
		starts=$((starts + 1))
		start
	fi
	if [ $n -gt 1200 ] || [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then
		echo "it has not begun to answer"
		[ -z "$pid" ] && journalctl -q -u grigrid -n 20 --no-pager -o cat 2>/dev/null || tail -n 20 "$data/grigrid.log"
		exit 1
	fi
	sleep 0.1
done
