# Has LXD run on this machine: NAME CHANNEL, those of its base. It may be run again.
set -e
if ! command -v lxd >/dev/null; then
	case $1 in
	debian)
		dpkg --configure -a
		apt="apt-get -q -o DPkg::Lock::Timeout=600"
		$apt update
		apt-cache show lxd >/dev/null 2>&1 || { echo "$1@$2 has no package lxd: install LXD in another way, such as with snap, and then retry-provisioning"; exit 1; }
		$apt -y --no-install-recommends install lxd lxd-client dnsmasq-base nftables
		;;
	ubuntu)
		command -v snap >/dev/null || { echo "$1@$2 has no program snap to install LXD with: apt-get install snapd, and then retry-provisioning"; exit 1; }
		snap install lxd
		;;
	*)
		echo "it is not known how LXD is installed on $1@$2: install it, and then retry-provisioning"
		exit 1
		;;
	esac
fi
if [ -d /run/systemd/system ]; then
	systemctl start lxd.socket 2>/dev/null || systemctl start snap.lxd.daemon.unix.socket 2>/dev/null || systemctl start lxd
fi
lxd waitready --timeout=60
