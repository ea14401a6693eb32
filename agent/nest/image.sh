# Makes an image of this host's own Debian and gives it to LXD: BASE, such as debian@12. It may be run again.
set -e
base=$1
. /etc/os-release
release=$VERSION_CODENAME
arch=$(dpkg --print-architecture)
work=/var/tmp/grigri-image
clean() {
	umount -qR "$work/rootfs/proc" 2>/dev/null || true
	umount -qR "$work/rootfs/sys" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
clean
trap clean EXIT
mkdir -p "$work"
root=$work/rootfs

# The mirrors are those that this host's apt has for its release.
mirror_of() { apt-get indextargets --format '$(RELEASE) $(REPO_URI)' | awk -v release="$1" '$1 == release {print $2; exit}'; }
mirror=$(mirror_of "$release")
[ -n "$mirror" ] || { echo "apt on this machine has no source of $release"; exit 1; }
proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
[ -z "$proxy" ] || export http_proxy="$proxy"
debootstrap --variant=minbase --include=systemd-sysv,dbus,ifupdown,isc-dhcp-client,ca-certificates,curl,iproute2,netbase,procps,python3,sudo,openssh-server \
	"$release" "$root" "$mirror"

{
	echo "deb $mirror $release main"
	for more in "$release-updates" "$release-security"; do
		m=$(mirror_of "$more")
		[ -z "$m" ] || echo "deb $m $more main"
	done
} >"$root/etc/apt/sources.list"
[ -z "$proxy" ] || echo "Acquire::http::Proxy \"$proxy\";" >"$root/etc/apt/apt.conf.d/95proxy"
printf 'auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n' >"$root/etc/network/interfaces"
: >"$root/etc/resolv.conf" # dhclient's
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root"/var/cache/apt/archives/*.deb
printf '#!/bin/sh\n[ -s /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A\n' >"$root/usr/local/sbin/first-keys"
chmod 755 "$root/usr/local/sbin/first-keys"
mkdir -p "$root/etc/systemd/system/ssh.service.d"
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/local/sbin/first-keys\nExecStartPre=/usr/sbin/sshd -t\n' >"$root/etc/systemd/system/ssh.service.d/keys.conf"

mkdir "$work/templates"
echo '{{ container.name }}' >"$work/templates/hostname.tpl"
printf '127.0.0.1 localhost\n127.0.1.1 {{ container.name }}\n::1 localhost ip6-localhost ip6-loopback\n' >"$work/templates/hosts.tpl"
cat >"$work/metadata.yaml" <<END
architecture: $(uname -m)
creation_date: $(date +%s)
properties:
  description: $base, made by grigri on this machine
  os: debian
  release: $release
  architecture: $arch
templates:
  /etc/hostname: {when: [create, copy, rename], template: hostname.tpl}
  /etc/hosts: {when: [create, copy, rename], template: hosts.tpl}
END
tar -C "$work" --numeric-owner --xattrs -cf "$work/image.tar" metadata.yaml templates rootfs
lxc --force-local image alias delete "grigri/$base" 2>/dev/null || true
lxc --force-local image import "$work/image.tar" --alias "grigri/$base"
