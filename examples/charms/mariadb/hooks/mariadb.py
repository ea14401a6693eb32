#!/usr/bin/env python3
"""All hooks of mariadb: whatever has happened, bring the server to what the model says now."""
import json
import os
import re
import secrets
import subprocess
import sys

HOOK = os.path.basename(sys.argv[0])
UNIT = os.environ["JUJU_UNIT_NAME"]
CONF = "/etc/mysql/mariadb.conf.d/90-charm.cnf"


def tool(*args):
    return json.loads(subprocess.run([*args, "--format=json"], check=True, stdout=subprocess.PIPE).stdout)


def do(*args, **kw):
    subprocess.run(args, check=True, **kw)


def sql(text):
    """Runs SQL as root of the server, who is root of the machine, and returns the lines of the answer."""
    out = subprocess.run(["mariadb", "--batch", "--skip-column-names"], input=text, text=True, check=True, stdout=subprocess.PIPE)
    return out.stdout.splitlines()


def quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def name_of(application):
    return re.sub("[^a-z0-9]", "_", application)[:60]


def address(endpoint):
    return tool("network-get", endpoint)["ingress-addresses"][0]


def remote_application(relation):
    return json.loads(subprocess.run(["relation-list", "-r", relation, "--app", "--format=json"], check=True, stdout=subprocess.PIPE).stdout)


def own(relation):
    """What this unit has set in the relation."""
    return tool("relation-get", "-r", relation, "-", UNIT) or {}


def remote(relation):
    """What the first unit at the other end has set."""
    for unit in tool("relation-list", "-r", relation):
        return tool("relation-get", "-r", relation, "-", unit) or {}
    return {}


def install():
    do("status-set", "maintenance", "installing mariadb")
    do("apt-get", "update", "-qq")
    do("apt-get", "install", "-qq", "--no-install-recommends", "mariadb-server", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def configure(read_only):
    """Writes the configuration, and restarts the server if it is another one. Every server of a replication needs a number of its own."""
    number = int.from_bytes(os.urandom(3), "big") + 1
    try:
        with open(CONF) as f:
            old = f.read()
        number = int(re.search(r"server-id *= *(\d+)", old).group(1))
    except (OSError, AttributeError):
        old = ""
    new = f"""[mariadbd]
bind-address = 0.0.0.0
server-id = {number}
log-bin = binlog
expire-logs-days = 7
innodb-buffer-pool-size = {tool("config-get", "buffer-pool-size")}M
read-only = {int(read_only)}
"""
    if new != old:
        with open(CONF + ".new", "w") as f:
            f.write(new)
        os.rename(CONF + ".new", CONF)
        do("systemctl", "restart", "mariadb")


def serve_databases(read_only, master):
    """Gives each related application a database and a user. A replica has those of its master, and says where it is."""
    for relation in tool("relation-ids", "db"):
        if not tool("relation-list", "-r", relation):
            continue
        if read_only:
            if master:
                do("relation-set", "-r", relation, f"host={address('db')}", "port=3306", "slave=True")
            continue
        database = name_of(remote_application(relation))
        mine = own(relation)
        password = mine.get("password") or secrets.token_urlsafe(24)
        sql(f"create database if not exists {database};"
            f"create user if not exists {database}@'%';"
            f"alter user {database}@'%' identified by {quote(password)};"
            f"grant all privileges on {database}.* to {database}@'%';"
            f"grant slave monitor, binlog monitor on *.* to {database}@'%';")  # who reads from a replica asks how far it is
        subprocess.run(["relation-set", "-r", relation, "--file", "-"], check=True, text=True, input=json.dumps(
            {"host": address("db"), "port": "3306", "database": database, "user": database, "password": password, "slave": "False"}))


def serve_replicas():
    for relation in tool("relation-ids", "replica"):
        if not tool("relation-list", "-r", relation):
            continue
        password = own(relation).get("password") or secrets.token_urlsafe(24)
        user = "replica_" + name_of(remote_application(relation))
        sql(f"create user if not exists {user}@'%';"
            f"alter user {user}@'%' identified by {quote(password)};"
            f"grant select, reload, lock tables, show view, event, trigger, binlog monitor, replication slave, slave monitor on *.* to {user}@'%';")
        subprocess.run(["relation-set", "-r", relation, "--file", "-"], check=True, text=True,
                       input=json.dumps({"host": address("replica"), "port": "3306", "user": user, "password": password}))


def follow(master):
    """Copies all of the master once, and then all that changes there."""
    with open("/root/.master.cnf", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(f"[client]\nhost={master['host']}\nuser={master['user']}\npassword={master['password']}\n")
    state = subprocess.run(["mariadb", "--vertical", "-e", "show slave status"], text=True, check=True, stdout=subprocess.PIPE).stdout
    if f"Master_Host: {master['host']}\n" not in state:
        do("status-set", "maintenance", f"copying from {master['host']}")
        sql("stop slave; reset slave all;")
        # The system's own tables would take away the way in: only what users have is copied, and then the users.
        dump = ("set -euo pipefail; from='mariadb-dump --defaults-extra-file=/root/.master.cnf'; "
                "$from --all-databases --ignore-database=mysql --ignore-database=sys --single-transaction --master-data=1 --gtid | mariadb; "
                "$from --system=users --insert-ignore | mariadb")
        if subprocess.run(["bash", "-c", dump]).returncode != 0:
            do("juju-log", "-l", "WARNING", f"cannot copy from {master['host']} yet")
            return False
        sql(f"change master to master_host={quote(master['host'])}, master_port={int(master['port'])}, master_user={quote(master['user'])}, "
            f"master_password={quote(master['password'])}, master_use_gtid=slave_pos; start slave;")
    return True


def reconcile():
    masters = tool("relation-ids", "master")
    read_only = bool(masters)
    master = remote(masters[0]) if masters else {}
    if not master.get("password"):
        master = {}
    configure(read_only)
    following = follow(master) if master else False
    serve_databases(read_only, following)
    if not read_only:
        serve_replicas()
    do("open-port", "3306/tcp", "--endpoints", "db,replica")
    do("application-version-set", sql("select version();")[0].split("-")[0])
    if not tool("is-leader"):
        do("status-set", "blocked", "one unit an application: deploy another one and relate its master to replica")
    elif read_only and not following:
        do("status-set", "waiting", "waiting for the master")
    else:
        do("status-set", "active", f"replica of {master['host']}" if read_only else "")


def forget():
    """The other side has gone: its user goes, its data stay."""
    app = os.environ["JUJU_REMOTE_APP"]
    if HOOK == "db-relation-broken":
        sql(f"drop user if exists {name_of(app)}@'%';")
    elif HOOK == "replica-relation-broken":
        sql(f"drop user if exists replica_{name_of(app)}@'%';")
    elif HOOK == "master-relation-broken":
        sql("stop slave; reset slave all;")


if HOOK == "install":
    install()
elif HOOK == "stop":
    subprocess.run(["systemctl", "stop", "mariadb"])
else:
    if HOOK.endswith("-relation-broken"):
        forget()
    reconcile()
