#!/usr/bin/env python3
"""A web server that is none: it exercises the larger part of charmhelpers, in the style of a classic charm."""

import collections
import collections.abc
import json
import os
import platform
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["CHARM_DIR"], "lib"))
# The library asks Python which distribution this is, in ways that Python has had up to 3.7 and up to 3.9.
platform.linux_distribution = lambda: ("debian", "12", "bookworm")
collections.Iterable = collections.abc.Iterable

from charmhelpers.core import hookenv, host, strutils, templating, unitdata  # noqa: E402
from charmhelpers.core.services.base import ServiceManager  # noqa: E402
from charmhelpers.core.services.helpers import RelationContext, RequiredConfig  # noqa: E402

hooks = hookenv.Hooks()


def conf_dir():
    return os.path.join(hookenv.charm_dir(), "conf")


class DatabaseRelation(RelationContext):
    name = "db"
    interface = "pydb"
    required_keys = ["host", "port"]


def remember(key, value):
    kv = unitdata.kv()
    kv.set(key, value)
    kv.flush()


def note():
    kv = unitdata.kv()
    name = hookenv.hook_name()
    if hookenv.remote_unit():
        name += " " + hookenv.remote_unit()
    remember("events", kv.get("events", []) + [name])


@hooks.hook("install", "install.real")
def install():
    hookenv.status_set("maintenance", "installing: it takes a while")
    assert hookenv.status_get() == ("maintenance", "installing: it takes a while"), hookenv.status_get()
    host.mkdir(conf_dir(), perms=0o755)
    host.write_file(os.path.join(conf_dir(), "password"), host.pwgen(20), perms=0o600)
    hookenv.application_version_set("2.4")
    config = hookenv.config()
    config["installed"] = True
    hookenv.open_port(8080)
    hookenv.open_ports(9000, 9003)
    hookenv.open_port(1, protocol="UDP")
    hookenv.close_port(1, protocol="UDP")


@hooks.hook("config-changed")
def config_changed():
    config = hookenv.config()
    if config.changed("title"):
        kv = unitdata.kv()
        remember("titles", kv.get("titles", []) + [[config.previous("title"), config["title"]]])
    with unitdata.HookData()():
        unitdata.kv().set("recorded", hookenv.hook_name())
    restart_map = {os.path.join(conf_dir(), "page.conf"): []}
    with host.restart_on_change(restart_map):
        render()
    for rid in hookenv.relation_ids("web"):
        hookenv.relation_set(rid, {"title": config["title"], "workers": str(config["workers"])})


def render():
    clients = [unit for rid in hookenv.relation_ids("web") for unit in hookenv.related_units(rid)]
    config = hookenv.config()
    templating.render("page.conf", os.path.join(conf_dir(), "page.conf"),
                      {"title": config["title"], "workers": config["workers"], "clients": clients}, perms=0o644)


@hooks.hook("start", "update-status", "upgrade-charm")
def start():
    settle()


@hooks.hook("leader-elected")
def elected():
    assert hookenv.is_leader()
    hookenv.leader_set({"token": "t-" + hookenv.local_unit(), "gone": "soon"})
    hookenv.leader_set(gone=None)


@hooks.hook("leader-settings-changed")
def followed():
    remember("token-heard", hookenv.leader_get("token"))


@hooks.hook("ring-relation-joined")
def ring_joined():
    rid = hookenv.relation_id()
    assert hookenv.relation_type() == "ring" and hookenv.in_relation_hook()
    hookenv.relation_set(relation_settings={"long": "word " * 100, "lines": "a\nb: 'c'\n", "number": 80, "drop": "x"})
    hookenv.relation_set(rid, drop=None, address=hookenv.unit_private_ip())


@hooks.hook("ring-relation-changed", "ring-relation-departed")
def ring_changed():
    settle()


@hooks.hook("db-relation-joined")
def db_joined():
    hookenv.relation_set(database="pages", app_side=hookenv.application_name())


@hooks.hook("db-relation-changed", "db-relation-departed", "db-relation-broken")
def db_changed():
    ServiceManager([{"service": "page", "required_data": [DatabaseRelation(), RequiredConfig("title")],
                     "data_ready": [lambda service: remember("ready", service)],
                     "data_lost": [lambda service: remember("ready", "")],
                     "start": [], "stop": [], "ports": []}]).reconfigure_services()
    if hookenv.hook_name() == "db-relation-departed":
        remember("departing", hookenv.departing_unit())
    settle()


@hooks.hook("web-relation-joined", "web-relation-changed", "web-relation-departed")
def web_changed():
    config = hookenv.config()
    hookenv.relation_set(title=config["title"], workers=str(config["workers"]), port="8080")
    if hookenv.is_leader():
        hookenv.relation_set(relation_settings={"site": "site-of-" + hookenv.application_name()}, app=True)
    render()


@hooks.hook("stop")
def stop():
    hookenv.log("stopping", hookenv.WARNING)


def settle():
    if not hookenv.relations_of_type("db"):
        hookenv.status_set("blocked", "needs a db")
    elif not DatabaseRelation().is_ready():
        hookenv.status_set("waiting", "for the db")
    else:
        hookenv.status_set("active", "serving " + hookenv.config("title"))
    if hookenv.is_leader():
        hookenv.status_set("active", "led by " + hookenv.local_unit(), application=True)


def report():
    kv = unitdata.kv()
    config = hookenv.config()
    goal = hookenv.goal_state()
    path = os.path.join(conf_dir(), "page.conf")
    denied = ""
    if not hookenv.is_leader():
        try:
            hookenv.leader_set(token="stolen")
        except subprocess.CalledProcessError as error:
            denied = str(error.returncode)
    ring = hookenv.peer_relation_id()
    hookenv.action_set({
        "unit": hookenv.local_unit(), "charm": hookenv.charm_name(), "model": hookenv.model_name(),
        "events": ",".join(kv.get("events", [])), "titles": json.dumps(kv.get("titles")), "ready": kv.get("ready", ""),
        "departing": kv.get("departing", ""),
        "recorded": kv.get("recorded", ""), "token": hookenv.leader_get("token"), "leader": json.dumps(hookenv.leader_get(), sort_keys=True),
        "heard": kv.get("token-heard", ""), "denied": denied,
        "config": json.dumps({k: config.get(k) for k in ("title", "workers", "debug", "secret-file", "unset", "installed")}, sort_keys=True),
        "ports": ",".join(hookenv.opened_ports()), "page": open(path).read(), "page-known": str(len(host.file_hash(path))),
        "address": hookenv.network_get_primary_address("ring"), "same": str(hookenv.unit_get("private-address") == hookenv.unit_private_ip()),
        "peers": ",".join(hookenv.related_units(ring)),
        "peer-data": json.dumps({u: hookenv.relation_get(rid=ring, unit=u) for u in hookenv.related_units(ring)}, sort_keys=True),
        "ingress": json.dumps([hookenv.ingress_address(rid=ring, unit=u) for u in hookenv.related_units(ring)]),
        "goal-units": ",".join(sorted(goal["units"])), "goal-relations": ",".join(sorted(goal["relations"])),
        "db": json.dumps(DatabaseRelation().get("db")), "made": str(hookenv.is_relation_made("db", keys=["host", "port"])),
        "db-app": json.dumps([hookenv.relation_get(rid=r, app=hookenv.remote_service_name(r)) for r in hookenv.relation_ids("db")]),
        "interfaces": ",".join(sorted(hookenv.relation_types())) + " " + hookenv.relation_to_interface("db"),
        "principal": str(hookenv.principal_unit()), "subordinate": str(hookenv.is_subordinate()),
        "bool": str(strutils.bool_from_string("yes")), "revision": open(os.path.join(hookenv.charm_dir(), "revision")).read(),
        "action": hookenv.action_name() + " " + str(bool(hookenv.action_uuid())), "zone": json.dumps(hookenv.execution_environment()["conf"]["workers"]),
    })


def resize():
    workers = hookenv.action_get("workers")
    if workers > 100:
        hookenv.action_fail("there is room for 100 only, not %d" % workers)
        return
    hookenv.action_set({"workers": str(workers), "all": json.dumps(hookenv.action_get(), sort_keys=True),
                        "fast": str(hookenv.action_get("options.fast"))})


if __name__ == "__main__":
    called = os.path.basename(sys.argv[0])
    if called in ("report", "resize"):
        globals()[called]()
    else:
        note()
        try:
            hooks.execute(sys.argv)
        except hookenv.UnregisteredHookError:
            hookenv.log("nothing to do for " + called, hookenv.DEBUG)
        hookenv.config().save()
