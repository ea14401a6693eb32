echo "arch $(uname -m)"
echo "now $(date +%s)"
echo "disk $(df -Pk /var/lib | awk 'NR == 2 { print $4 }')"
awk '/^MemAvailable:/ { print "memory", $2 }' /proc/meminfo
route=$(ip -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([^ ]*\).*/\1/p')
[ -z "$route" ] || echo "address $route"
for a in $(hostname -I 2>/dev/null); do echo "address $a"; done
! command -v java >/dev/null || echo "java yes"
[ ! -e /usr/share/java/zookeeper.jar ] || echo "zookeeper yes"
! command -v apt-get >/dev/null || echo "apt yes"
for d in /var/lib/juju /var/log/juju; do
	[ -z "$(ls -A $d 2>/dev/null)" ] || echo "residue $d"
done
[ ! -e "${data%/*}" ] || echo "begun yes"
[ ! -e "$data/grigrid.json" ] || echo "controller yes"
