set -eu
if [ -d /run/systemd/system ]; then
	cat >/etc/systemd/system/grigrid.service <<END
[Unit]
Description=grigri controller
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=$programs/grigrid run --data-dir $data
Restart=on-failure
RestartSec=2
LimitNOFILE=64000
TasksMax=infinity

[Install]
WantedBy=multi-user.target
END
	systemctl daemon-reload
	systemctl enable -q grigrid.service
	systemctl start grigrid.service
else
	setsid "$programs/grigrid" run --data-dir "$data" </dev/null >>"$data/grigrid.log" 2>&1 &
fi
n=0
until [ -s "$data/ready.json" ]; do
	n=$((n + 1))
	if [ $n -gt 1200 ]; then
		echo "it has not begun to answer in two minutes"
		journalctl -q -u grigrid -n 20 --no-pager -o cat 2>/dev/null || tail -n 20 "$data/grigrid.log"
		exit 1
	fi
	sleep 0.1
done
