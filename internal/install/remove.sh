set -u
if [ -d /run/systemd/system ]; then
	systemctl disable -q --now grigrid.service 2>/dev/null
	rm -f /etc/systemd/system/grigrid.service
	systemctl daemon-reload
fi
if [ -x "$programs/grigrid" ]; then
	"$programs/grigrid" destroy --data-dir "$data" --keep-machines || exit 1
fi
rm -rf "$data" "$programs"
rm -f /var/lib/grigri/definition.json /var/lib/grigri/result.json /var/lib/grigri/claim
rmdir /var/lib/grigri 2>/dev/null
exit 0
