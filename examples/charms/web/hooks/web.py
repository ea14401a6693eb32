#!/usr/bin/env python3
"""All hooks of web: whatever has happened, bring the server to what the model says now."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

CHARM = os.environ["CHARM_DIR"]
SETTINGS = os.path.join(CHARM, "web.json")
PIDFILE = os.path.join(CHARM, "web.pid")
HOOK = os.path.basename(sys.argv[0])


def tool(*args):
    return json.loads(subprocess.run([*args, "--format=json"], check=True, stdout=subprocess.PIPE).stdout)


def do(*args):
    subprocess.run(args, check=True)


def pid():
    """The server's process id, or None."""
    try:
        with open(PIDFILE) as f:
            n = int(f.read())
        with open(f"/proc/{n}/cmdline") as f:
            return n if "src/web.py" in f.read() else None
    except (OSError, ValueError):
        return None


def stop():
    n = pid()
    if n:
        os.kill(n, signal.SIGTERM)
        while pid():
            time.sleep(0.05)


def start(address, port):
    with open(os.path.join(CHARM, "web.log"), "w") as log:
        server = subprocess.Popen([sys.executable, f"{CHARM}/src/web.py", SETTINGS], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, start_new_session=True)
    with open(PIDFILE, "w") as f:
        f.write(str(server.pid))
    for _ in range(200):
        with socket.socket() as s:
            s.settimeout(1)
            if s.connect_ex((address, port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    with open(os.path.join(CHARM, "web.log")) as f:
        do("juju-log", "-l", "ERROR", f"the server does not answer at {address}:{port}: {f.read()[-500:]}")
    sys.exit(1)


def store():
    """The URL of the store, or None as long as no unit of it has said where it is."""
    for rid in tool("relation-ids", "store"):
        for unit in tool("relation-list", "-r", rid):
            data = tool("relation-get", "-r", rid, "-", unit)
            if data.get("host") and data.get("port"):
                return f"http://{data['host']}:{data['port']}"
    return None


def converge():
    config = tool("config-get")
    address, port = tool("unit-get", "private-address"), config["port"]
    want = {"unit": os.environ["JUJU_UNIT_NAME"], "address": address, "port": port,
            "greeting": config["greeting"], "store": store()}
    try:
        with open(SETTINGS) as f:
            have = json.load(f)
    except FileNotFoundError:
        have = {}
    with open(SETTINGS + ".new", "w") as f:
        json.dump(want, f)
    os.replace(SETTINGS + ".new", SETTINGS)
    if (have.get("address"), have.get("port")) != (address, port) or HOOK == "upgrade-charm":
        stop()
    if not pid():
        start(address, port)
    for p in tool("opened-ports"):
        if p != f"{port}/tcp":
            do("close-port", p)
    do("open-port", f"{port}/tcp")
    if want["store"]:
        for rid in tool("relation-ids", "website"):
            do("relation-set", "-r", rid, f"hostname={address}", f"port={port}")
        do("status-set", "active", f"serving at {address}:{port}")
    else:  # whoever balances over us must not send visitors to a page that cannot be made
        for rid in tool("relation-ids", "website"):
            do("relation-set", "-r", rid, "hostname=", "port=")
        do("status-set", "blocked", "needs a relation to a store")


if HOOK == "install":
    do("application-version-set", "1.0")
elif HOOK == "stop":
    stop()
else:
    converge()
