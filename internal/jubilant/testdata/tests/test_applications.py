"""Applications: deployed in all ways, related, set, refreshed, scaled and removed."""

import json
import pathlib

import jubilant
import pytest
from conftest import HERE, active, idle, pack


def apps(juju):
    return juju.status().apps


def test_deploy(juju, settle, charm, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("4.2\n")
    juju.deploy(
        charm,
        "one",
        num_units=2,
        config={"state": "active", "text": "a, b=c and 'd'", "count": 7, "ratio": 2.5, "on": True},
        resources={"words": str(words)},
        storage={"data": "local,20M"},
        constraints={"cores": 1, "arch": "amd64"},
        base="ubuntu@22.04",
        trust=True,
        bind="alpha",
        force=True,
    )
    first = apps(juju)["one"]
    assert set(first.units) == {"one/0", "one/1"}  # before anything has happened
    juju.deploy(pack(charm, tmp_path / "probe.charm"), "two", to="0", config={"state": "blocked"}, bind={"db": "alpha"})
    juju.deploy(str(HERE / "side"))
    assert apps(juju)["side"].units == {}
    status = settle(lambda s: active("one")(s) and jubilant.all_blocked(s, "two"), error=lambda s: jubilant.any_error(s, "one", "two"))
    one = status.apps["one"]
    assert (one.charm, one.charm_name, one.charm_origin, one.charm_rev, one.exposed) == ("local:probe-0", "probe", "local", 0, False)
    assert (one.base.name, one.base.channel, one.version) == ("ubuntu", "22.04", "4.2")
    assert one.app_status.message == "told so" and one.app_status.since and one.is_active
    assert sorted(u.leader for u in one.units.values()) == [False, True]
    assert one.units["one/0"].open_ports == ["8080/tcp"] and one.units["one/0"].public_address
    assert status.apps["two"].units["two/0"].machine == one.units["one/0"].machine == "0"
    assert not jubilant.all_active(status) and not jubilant.all_active(status, "nosuch") and jubilant.any_blocked(status)
    machine = status.machines["0"]
    assert machine.juju_status.current == "started" and machine.base.name and machine.instance_id and machine.hardware
    assert status.storage.storage["data/0"].attachments.units["one/0"].location
    assert status.storage.storage["data/0"].status.current == "attached"
    assert "cores=1" in juju.cli("constraints", "one")


def test_what_is_refused(juju, charm, tmp_path):
    before = apps(juju)
    with pytest.raises(jubilant.CLIError, match="already exists"):
        juju.deploy(charm, "one")
    with pytest.raises(jubilant.CLIError, match="subordinate"):
        juju.deploy(HERE / "side", "beside", num_units=2)
    for bad in {"config": {"count": "many"}}, {"config": {"nosuch": 1}}, {"constraints": {"color": "red"}}, {"to": "99"}, {"storage": {"nosuch": "1G"}}, \
            {"resources": {"nosuch": str(tmp_path)}}, {"base": "solaris"}, {"attach_storage": "data/99"}, {"bind": "elsewhere"}:
        with pytest.raises(jubilant.CLIError) as e:
            juju.deploy(charm, "bad", **bad)
        assert e.value.stderr.splitlines()[-1].startswith("ERROR ") and not e.value.stdout, bad
    with pytest.raises(jubilant.CLIError) as e:
        juju.deploy("mysql", channel="8.0/stable", revision=3)
    assert e.value.returncode == 1 and "charm store" in e.value.stderr
    assert set(apps(juju)) == set(before)


def test_config(juju, settle):
    config = juju.config("one")
    assert config == {"state": "active", "text": "a, b=c and 'd'", "count": 7, "ratio": 2.5, "on": True}
    assert type(config["count"]) is int and type(config["ratio"]) is float
    assert juju.config("one", app_config=True) == {"trust": True}
    juju.trust("one", remove=True)
    assert juju.config("one", app_config=True) == {"trust": False}
    juju.trust("one", scope="cluster")
    assert juju.config("one", app_config=True)["trust"] is True
    juju.config("one", {"count": 8, "text": "x,y = z"}, reset=["ratio", "on"])
    assert juju.config("one") == {"state": "active", "text": "x,y = z", "count": 8, "ratio": 0.5, "on": False}
    juju.config("one", reset="count,text")
    assert juju.config("two") == {"state": "blocked", "text": "plain", "count": 1, "ratio": 0.5, "on": False}
    with pytest.raises(jubilant.CLIError) as e:
        juju.config("one", {"count": "many"})
    assert e.value.returncode == 1
    assert juju.config("one")["count"] == 1 and juju.config("one")["text"] == "plain"
    juju.config("two", {"state": ""})
    assert juju.config("two")["state"] == ""
    with pytest.raises(jubilant.CLIError, match='application "nosuch" not found'):
        juju.config("nosuch")


def test_relations(juju, settle):
    juju.integrate("one:db", "two:source", via=["127.0.0.0/8", "::1/128"])
    juju.integrate("side", "one")
    status = settle(lambda s: len(s.get_units("side")) == 2 and jubilant.all_active(s, "one", "side") and idle(s))
    assert {r.related_app for r in status.apps["one"].relations["db"]} == {"two"}
    assert status.apps["one"].relations["db"][0].interface == "store"
    assert status.apps["side"].subordinate_to == ["one"]
    assert set(status.get_units("side")) == {n for u in status.apps["one"].units.values() for n in u.subordinates}
    with pytest.raises(jubilant.CLIError, match="already exists"):
        juju.integrate("one:db", "two:source")

    unit = juju.show_unit("two/0")
    assert (unit.charm, unit.machine, unit.leader, unit.opened_ports) == (status.apps["two"].charm, "0", True, ["8080/tcp"])
    assert unit.public_address == status.apps["two"].units["two/0"].public_address
    source = next(r for r in unit.relation_info if r.endpoint == "source")
    assert source.related_endpoint == "db" and not source.cross_model and source.app_data == {"voice": "one"}
    assert source.local_unit.in_scope and source.local_unit.data["said"] == "two/0"
    assert {n: d.data["said"] for n, d in source.related_units.items()} == {"one/0": "one/0", "one/1": "one/1"}
    assert {"egress-subnets", "ingress-address", "private-address"} <= set(source.related_units["one/1"].data)
    assert "ring" in {r.endpoint for r in juju.show_unit("one/1").relation_info}
    with pytest.raises(jubilant.CLIError, match='unit "two/9" not found'):
        juju.show_unit("two/9")

    juju.remove_relation("one:db", "two:source")
    juju.remove_relation("one", "side", force=True)
    settle(lambda s: "db" not in s.apps["one"].relations and not s.get_units("side") and idle(s))
    with pytest.raises(jubilant.CLIError, match="not found"):
        juju.remove_relation("one:db", "two:source")


def test_refresh(juju, settle, newer, tmp_path):
    for without in {}, {"channel": "stable"}, {"revision": 3}:
        with pytest.raises(jubilant.CLIError) as e:
            juju.refresh("one", **without)
        assert e.value.returncode == 1 and "--path" in e.value.stderr
    before = apps(juju)["one"].charm_rev
    words = tmp_path / "words.txt"
    words.write_text("4.3\n")
    juju.refresh("one", path=newer, resources={"words": str(words)}, config={"count": 9}, storage={"data": "rootfs,30M"},
                 trust=True, force=True, base="ubuntu@22.04")
    status = settle(lambda s: s.apps["one"].charm_rev > before and s.apps["one"].version == "4.3" and active("one")(s))
    revision = status.apps["one"].charm_rev
    assert status.apps["one"].charm == f"local:probe-{revision}" and not status.apps["one"].units["one/0"].upgrading_from
    assert juju.config("one")["count"] == 9
    assert "upgraded to the probe 8" in juju.debug_log()
    juju.refresh("one", path=newer)  # nothing has changed
    assert apps(juju)["one"].charm_rev == revision
    resource = json.loads(juju.cli("resources", "one", "--format", "json"))
    assert resource["resources"][0]["name"] == "words" and resource["resources"][0]["size"] == 4


def test_debug_log(juju):
    lines = juju.debug_log(limit=5).splitlines()
    assert len(lines) == 5
    everything = juju.debug_log()
    assert everything.splitlines()[-1] and len(everything.splitlines()) > 20 and "unit-one-0" in everything


def test_wait(juju, settle):
    with pytest.raises(TimeoutError):
        juju.wait(lambda s: False, timeout=0.5, delay=0.1)
    with pytest.raises(jubilant.WaitError):
        juju.wait(lambda s: False, error=lambda s: True)
    juju.model_config({"automatically-retry-hooks": False})
    juju.config("two", {"state": "error"})
    with pytest.raises(jubilant.WaitError):
        juju.wait(lambda s: False, error=jubilant.any_error, delay=0.2)
    status = juju.status()
    unit = status.apps["two"].units["two/0"]
    assert (unit.workload_status.current, unit.workload_status.message) == ("error", 'hook failed: "config-changed"')
    assert jubilant.all_error(status, "two") and unit.is_error
    juju.config("two", {"state": "maintenance"})
    juju.cli("resolved", "two/0")
    juju.model_config(reset="automatically-retry-hooks")
    settle(lambda s: jubilant.all_maintenance(s, "two") and jubilant.any_maintenance(s))
    juju.config("two", {"state": "waiting"})
    settle(lambda s: jubilant.all_waiting(s, "two") and jubilant.any_waiting(s) and jubilant.any_active(s))


def test_units_and_storage(juju, settle, charm):
    juju.add_unit("one")
    juju.add_unit("two", num_units=2, to=["0", "1"])
    status = settle(lambda s: active("one")(s) and idle(s, "two"))
    assert set(status.apps["one"].units) == {"one/0", "one/1", "one/2"}
    assert {n: u.machine for n, u in status.apps["two"].units.items()} == {"two/0": "0", "two/1": "0", "two/2": "1"}
    juju.remove_unit("one/0")
    settle(lambda s: set(s.apps["one"].units) == {"one/1", "one/2"} and s.storage.storage["data/0"].status.current == "detached")
    juju.add_unit("one", to="1", attach_storage="data/0")
    settle(lambda s: s.storage.storage["data/0"].attachments and set(s.storage.storage["data/0"].attachments.units) == {"one/3"} and idle(s))
    juju.remove_unit("two/2", "two/1", "one/3", destroy_storage=True, force=True)
    settle(lambda s: "one/3" not in s.apps["one"].units and set(s.apps["two"].units) == {"two/0"} and "data/0" not in s.storage.storage)
    for attach in "data/9", ["data/1", "data/2"]:  # there is none; another unit has it
        with pytest.raises(jubilant.CLIError, match="data/[129]"):
            juju.add_unit("two", attach_storage=attach)
    for bad in ["nosuch/0"], ["two"]:
        with pytest.raises(jubilant.CLIError) as e:
            juju.remove_unit(*bad)
        assert e.value.returncode in (1, 2) and not e.value.stdout
    with pytest.raises(jubilant.CLIError):
        juju.add_unit("nosuch")


def test_bundle(juju, settle, tmp_path, charm):
    bundle = tmp_path / "bundle.yaml"
    bundle.write_text(json.dumps({"applications": {
        "left": {"charm": str(charm), "num_units": 1, "options": {"state": "active"}, "to": ["0"]},
        "right": {"charm": str(charm), "num_units": 1, "options": {"state": "blocked"}, "to": ["1"]}},
        "machines": {"0": {}, "1": {}}, "relations": [["left:db", "right:source"]]}))
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"applications": {"right": {"options": {"state": "active", "count": 3}}}}))
    juju.deploy(pathlib.Path(bundle), overlays=[overlay], trust=True)
    status = settle(active("left", "right"))
    assert juju.config("right")["count"] == 3
    assert status.apps["left"].relations["db"][0].related_app == "right"


def test_remove(juju, settle):
    juju.remove_application("left", "right", force=True)
    juju.remove_application("one", "two", destroy_storage=True)
    juju.remove_application("side")
    status = settle(lambda s: not s.apps and not s.machines)
    assert not status.storage.storage
    with pytest.raises(jubilant.CLIError) as e:
        juju.remove_application("one")
    assert e.value.returncode == 1 and 'application "one" not found' in e.value.stderr
