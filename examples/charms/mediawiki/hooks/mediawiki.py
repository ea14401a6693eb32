#!/usr/bin/env python3
"""All hooks of mediawiki: whatever has happened, bring the wiki to what the model says now."""
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile

HOOK = os.path.basename(sys.argv[0])
UNIT = os.environ["JUJU_UNIT_NAME"]
MAINTENANCE = "/usr/share/mediawiki/maintenance/"
SETTINGS = "/etc/mediawiki/LocalSettings.php"
PACKAGES = ["apache2", "mediawiki", "php-mysql", "php-apcu", "libapache2-mod-php", "php-cli", "php-intl", "php-mbstring", "php-xml", "default-mysql-client"]


def tool(*args):
    return json.loads(subprocess.run([*args, "--format=json"], check=True, stdout=subprocess.PIPE).stdout)


def do(*args, **kw):
    subprocess.run(args, check=True, **kw)


def php(text):
    """A string of PHP."""
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def related(endpoint):
    """What the units at the other end have set, without one that departs now."""
    out = []
    for relation in tool("relation-ids", endpoint):
        for unit in tool("relation-list", "-r", relation):
            if HOOK == endpoint + "-relation-departed" and unit == os.environ["JUJU_DEPARTING_UNIT"]:
                continue
            out.append(tool("relation-get", "-r", relation, "-", unit) or {})
    return out


def database():
    """The database, or None while it is not known."""
    for said in related("db"):
        if said.get("password") and said.get("host"):
            return said
    return None


def query(db, statement):
    env = {**os.environ, "MYSQL_PWD": db["password"]}
    out = subprocess.run(["mysql", "-h", db["host"], "-u", db["user"], "-N", "-B", db["database"], "-e", statement], env=env,
                         check=True, text=True, stdout=subprocess.PIPE)
    return out.stdout.split()


def make_tables(db, config):
    """Makes the tables and the first user, once, and returns the keys of the wiki."""
    do("status-set", "maintenance", "making the tables")
    if "user" in query(db, "show tables"):  # an earlier leader has, and ended before it could tell
        do("juju-log", "the tables are there: the wiki gets new keys")
        return {"secret-key": secrets.token_hex(32), "upgrade-key": secrets.token_hex(8)}
    with tempfile.TemporaryDirectory() as where:
        password = os.path.join(where, "password")
        with open(password, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(secrets.token_urlsafe(18))
        dbpassword = os.path.join(where, "dbpassword")
        with open(dbpassword, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(db["password"])
        do("php", MAINTENANCE + "install.php", "--dbtype", "mysql", "--dbserver", db["host"], "--dbname", db["database"], "--dbuser", db["user"],
           "--dbpassfile", dbpassword, "--installdbuser", db["user"], "--installdbpass", db["password"], "--scriptpath", "/mediawiki",
           "--server", config.get("server") or "http://localhost", "--confpath", where, "--passfile", password, config["name"], config["admin"])
        with open(os.path.join(where, "LocalSettings.php")) as f:
            made = f.read()
    return {key: re.search(rf'\${name} *= *"([0-9a-f]+)"', made).group(1)
            for key, name in (("secret-key", "wgSecretKey"), ("upgrade-key", "wgUpgradeKey"))}


def settings(config, db, keys):
    """LocalSettings.php."""
    caches = sorted(f"{c['host']}:{c['port']}" for c in related("cache") if c.get("host") and c.get("port"))
    servers = [(db["host"], 0 if related("replica") else 1)]
    servers += [(r["host"], 1) for r in sorted(related("replica"), key=lambda r: r.get("host", "")) if r.get("host")]
    if len(servers) == 1:
        servers[0] = (db["host"], 1)
    server = php(config["server"]) if config.get("server") else "WebRequest::detectServer()"
    lines = [
        "<?php # Written by the charm.",
        "if ( !defined( 'MEDIAWIKI' ) ) { exit; }",
        f"$wgSitename = {php(config['name'])};",
        f"$wgServer = {server};",
        "$wgScriptPath = '/mediawiki';",
        "$wgResourceBasePath = $wgScriptPath;",
        "$wgDBtype = 'mysql';",
        f"$wgDBname = {php(db['database'])};",
        f"$wgDBuser = {php(db['user'])};",
        f"$wgDBpassword = {php(db['password'])};",
        "$wgDBTableOptions = 'ENGINE=InnoDB, DEFAULT CHARSET=binary';",
        "$wgDBservers = [",
        *(f"  [ 'host' => {php(host)}, 'dbname' => $wgDBname, 'user' => $wgDBuser, 'password' => $wgDBpassword, 'type' => 'mysql', "
          f"'flags' => DBO_DEFAULT, 'load' => {load} ]," for host, load in servers),
        "];",
        f"$wgSecretKey = {php(keys['secret-key'])};",
        f"$wgUpgradeKey = {php(keys['upgrade-key'])};",
        "$wgEnableUploads = false;",
        "$wgLanguageCode = 'en';",
        "$wgAuthenticationTokenVersion = '1';",
    ]
    if caches:
        lines += [
            "$wgMainCacheType = CACHE_MEMCACHED;",
            "$wgSessionCacheType = CACHE_MEMCACHED;",
            f"$wgMemCachedServers = [ {', '.join(map(php, caches))} ];",
        ]
    else:
        lines += ["$wgMainCacheType = CACHE_DB;", "$wgSessionCacheType = CACHE_DB;"]
    if os.path.isdir("/var/lib/mediawiki/skins/" + config["skin"].capitalize()):
        lines += [f"$wgDefaultSkin = {php(config['skin'])};", f"wfLoadSkin( {php(config['skin'].capitalize())} );"]
    return "\n".join(lines) + "\n"


def write(text):
    """Puts the settings in place, whole, and readable by the web server alone. True if they are other ones."""
    try:
        with open(SETTINGS) as f:
            if f.read() == text:
                return False
    except OSError:
        pass
    with open(SETTINGS + ".new", "w", opener=lambda p, f: os.open(p, f, 0o640)) as f:
        f.write(text)
    shutil.chown(SETTINGS + ".new", "root", "www-data")
    os.rename(SETTINGS + ".new", SETTINGS)
    link = "/var/lib/mediawiki/LocalSettings.php"
    if not os.path.lexists(link):
        os.symlink(SETTINGS, link)
    return True


def keys_of(db, config):
    """The keys of the wiki: what the leader has told, or, for the leader, what it makes."""
    keys = tool("leader-get") or {}
    if keys.get("secret-key") or not tool("is-leader"):
        return keys
    keys = make_tables(db, config)
    do("leader-set", *(f"{k}={v}" for k, v in keys.items()))
    return keys


def reconcile():
    config = tool("config-get")
    db = database()
    if not db:
        do("status-set", "waiting" if tool("relation-ids", "db") else "blocked",
           "waiting for the database" if tool("relation-ids", "db") else "needs a database: relate db to mariadb")
        return
    keys = keys_of(db, config)
    if not keys.get("secret-key"):
        do("status-set", "waiting", "waiting for the leader to make the tables")
        return
    if write(settings(config, db, keys)):
        do("systemctl", "reload-or-restart", "apache2")
    do("open-port", "80/tcp")
    for relation in tool("relation-ids", "website"):
        do("relation-set", "-r", relation, f"hostname={tool('network-get', 'website')['ingress-addresses'][0]}", "port=80")
    do("status-set", "active")


def install():
    do("status-set", "maintenance", "installing mediawiki")
    do("apt-get", "update", "-qq")
    do("apt-get", "install", "-qq", "--no-install-recommends", *PACKAGES, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "mediawiki"], check=True, text=True, stdout=subprocess.PIPE)
    do("application-version-set", version.stdout)


if HOOK == "install":
    install()
elif HOOK == "website-relation-broken":
    pass  # who asked for pages has gone
elif HOOK == "stop":
    pass  # requests that are under way may end: the machine, or the next unit on it, sees to the rest
else:
    reconcile()
