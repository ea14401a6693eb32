"""A shop that is none: it exercises the larger part of charms.reactive."""

import json
import os

from charmhelpers.core import hookenv, unitdata
from charms import layer
from charms.reactive import (
    any_file_changed, clear_flag, data_changed, endpoint_from_flag, endpoint_from_name, get_flags, hook, is_data_changed, is_flag_set,
    not_unless, only_once, register_trigger, set_flag, toggle_flag, when, when_all, when_any, when_file_changed, when_none, when_not)

register_trigger(when="config.changed.currency", set_flag="shop.reprice")
register_trigger(when_not="db.available", clear_flag="shop.open")

stock = os.path.join(hookenv.charm_dir(), "stock.txt")


def note(what):
    kv = unitdata.kv()
    kv.set("notes", kv.get("notes", []) + [what])


@hook("install")
def install():
    hookenv.status_set("maintenance", "building the shop")
    note("install " + layer.options("shop")["greeting"])


@when_not("shop.built")
def build():
    with open(stock, "w") as f:
        f.write("12\n")
    hookenv.application_version_set("0.9")
    set_flag("shop.built")


@only_once()
def once():
    note("once")


@hook("{requires:pydb}-relation-{joined,departed}")
def db_hook(*_):
    note("%s %s" % (hookenv.hook_name(), hookenv.remote_unit()))


@when("shop.built")
@when_not("db.connected")
def no_db():
    hookenv.status_set("blocked", "no db")


@when_all("shop.built", "db.connected")
def ask():
    endpoint_from_name("db").ask("shop-of-" + hookenv.local_unit().replace("/", "-"))


@when("db.connected")
@when_none("db.available", "shop.open")
def waiting():
    hookenv.status_set("waiting", "for the db")


@when("shop.built", "db.available")
def open_shop():
    db = endpoint_from_flag("db.available")
    assert db is endpoint_from_name("db")
    if data_changed("db.hosts", db.hosts()):
        assert not is_data_changed("db.hosts", db.hosts())
        note("hosts %d" % len(db.hosts()))
    set_flag("shop.open")
    hookenv.status_set("active", "open for %s, with %d hosts" % (hookenv.config("currency"), len(db.hosts())))


@when("db.moved")
def moved():
    clear_flag("db.moved")


@when("shop.reprice")
def reprice():
    note("currency " + hookenv.config("currency"))
    clear_flag("shop.reprice")


@when("config.set.open")
@when_not("shop.lights")
def lights_on():
    set_flag("shop.lights")


@when_not("config.set.open")
@when("shop.lights")
def lights_out():
    clear_flag("shop.lights")


@when_file_changed(stock)
def restocked():
    note("stock " + open(stock).read().strip())


@when_any("endpoint.shop.joined", "shop.lights")
def publish():
    shop = endpoint_from_name("shop")
    shop.publish(prices={"bread": 2.5, "currency": hookenv.config("currency")}, open=is_flag_set("shop.lights"))
    if hookenv.is_leader():
        shop.publish_app(leader=hookenv.local_unit())


@when("web.titled")
@not_unless("shop.built")
def looked():
    note("titles " + ",".join(sorted(set(endpoint_from_name("web").titles().values()))))
    clear_flag("web.titled")


@when("leadership.is_leader")
def never():
    raise AssertionError("no layer of ours sets this flag")


@hook("update-status")
def tick():
    toggle_flag("shop.ticked", True)


def report():
    web = endpoint_from_name("web")
    db = endpoint_from_name("db")
    hookenv.action_set({
        "flags": ",".join(sorted(get_flags())), "notes": json.dumps(unitdata.kv().get("notes")),
        "hosts": ",".join(db.hosts()) if db else "", "region": json.dumps(db.region() if db else []),
        "titles": json.dumps(web.titles() if web else {}, sort_keys=True), "gone": json.dumps(web.gone() if web else []),
        "hook": hookenv.hook_name(), "venv": str(os.path.isdir(os.path.join(hookenv.charm_dir(), "..", ".venv"))),
        "bootstrapped": open(os.path.join(hookenv.charm_dir(), ".bootstrapped")).read(),
        "unchanged": str(not any_file_changed([stock])),
    })


def restock():
    with open(stock, "w") as f:
        f.write("%d\n" % hookenv.action_get("amount"))
    hookenv.action_set({"outcome": "restocked"})


@when("shop.built")
def act():
    action = os.environ.get("JUJU_ACTION_NAME")
    if action:
        {"report": report, "restock": restock}[action]()
