# host.sh DIR NAME ADDRESS PORT: becomes a host. It is the first process of its own namespaces.
set -eu
dir=$1 name=$2 address=$3 port=$4
mount --make-rprivate /
layers=$dir/layers
mkdir "$layers"
mount -t tmpfs tmpfs "$layers"
root=$layers/root
mkdir "$layers/changes" "$layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/changes,workdir=$layers/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
for d in run tmp root home; do mount -t tmpfs tmpfs "$root/$d"; done
mkdir -p "$root/run/sshd" "$root/root/.ssh" "$root/run/grigri-test-layer"
chmod 700 "$root/root" "$root/root/.ssh"
chmod 1777 "$root/tmp"
cp "$dir/authorized_keys" "$root/root/.ssh/"
cp "$dir/hostkey" "$root/run/sshd/hostkey"
cp "$dir/setup" "$root/run/sshd/setup"
cat >"$root/run/sshd/config" <<END
HostKey /run/sshd/hostkey
ListenAddress $address
Port $port
PidFile none
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
AuthorizedKeysFile .ssh/authorized_keys
Subsystem sftp /usr/lib/openssh/sftp-server
END
hostname "$name"
cp "$root/etc/hosts" "$root/run/hosts"
echo "127.0.1.1 $name" >>"$root/run/hosts"
mount --bind "$root/run/hosts" "$root/etc/hosts"
mount --bind "$layers/changes" "$root/run/grigri-test-layer"
exec chroot "$root" /bin/sh -c '. /run/sshd/setup; exec /usr/sbin/sshd -D -e -f /run/sshd/config'
