#!/usr/bin/env python3
"""All hooks of haproxy: write what the model says now, check it, and reload without losing a connection."""
import json
import os
import subprocess
import sys

HOOK = os.path.basename(sys.argv[0])
CONF = "/etc/haproxy/haproxy.cfg"


def tool(*args):
    return json.loads(subprocess.run([*args, "--format=json"], check=True, stdout=subprocess.PIPE).stdout)


def do(*args, **kw):
    subprocess.run(args, check=True, **kw)


def servers():
    """A line for each unit that has said where it is. In the hook of one that departs it is still there, and must not be."""
    out = []
    for relation in tool("relation-ids", "reverseproxy"):
        for unit in tool("relation-list", "-r", relation):
            if HOOK.endswith("-departed") and unit == os.environ["JUJU_DEPARTING_UNIT"]:
                continue
            said = tool("relation-get", "-r", relation, "-", unit) or {}
            if said.get("hostname") and said.get("port"):
                out.append(f"    server {unit.replace('/', '-')} {said['hostname']}:{said['port']} check")
    return sorted(out)


def configuration(config, lines):
    return f"""global
    daemon
    user haproxy
    group haproxy
    stats socket /run/haproxy/admin.sock mode 660 level admin

defaults
    mode http
    option httplog
    option forwardfor
    option redispatch
    retries 5
    retry-on conn-failure empty-response response-timeout 503
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 10s

frontend website
    bind :{config['port']}
    default_backend units

backend units
    balance roundrobin
    option httpchk GET {config['check']}
    http-check expect rstatus ^[23]
    default-server inter 2s fall 3 rise 1 fastinter 500ms
""" + "".join(line + "\n" for line in lines)


def reconcile():
    config, lines = tool("config-get"), servers()
    text = configuration(config, lines)
    try:
        with open(CONF) as f:
            old = f.read()
    except OSError:
        old = ""
    if text != old:
        with open(CONF + ".new", "w") as f:
            f.write(text)
        do("haproxy", "-c", "-q", "-f", CONF + ".new")
        os.rename(CONF + ".new", CONF)
        do("systemctl", "reload-or-restart", "haproxy")
    for port in tool("opened-ports"):
        if port != f"{config['port']}/tcp":
            do("close-port", port)
    do("open-port", f"{config['port']}/tcp")
    for relation in tool("relation-ids", "website"):
        address = tool("network-get", "website")["ingress-addresses"][0]
        do("relation-set", "-r", relation, f"hostname={address}", f"port={config['port']}")
    if lines:
        do("status-set", "active", f"{len(lines)} servers" if len(lines) > 1 else "1 server")
    else:
        do("status-set", "blocked", "there is nothing behind it: relate it to a web application")


if HOOK == "install":
    do("status-set", "maintenance", "installing haproxy")
    do("apt-get", "update", "-qq")
    do("apt-get", "install", "-qq", "--no-install-recommends", "haproxy", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Upstream-Version}", "haproxy"], check=True, text=True, stdout=subprocess.PIPE)
    do("application-version-set", version.stdout)
elif HOOK == "stop":
    subprocess.run(["systemctl", "stop", "haproxy"])
else:
    reconcile()
