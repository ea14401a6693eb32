"""Machines."""

import json

import jubilant
import pytest


def test_machines(juju, settle, tmp_path):
    juju.add_machine()
    juju.add_machine(base="ubuntu@22.04", constraints={"mem": "256M", "cores": 1}, num_machines=2)
    status = settle(lambda s: len(s.machines) == 3 and all(m.juju_status.current == "started" for m in s.machines.values()))
    for machine in status.machines.values():
        assert machine.dns_name and machine.ip_addresses and machine.machine_status.current == "running"
        assert machine.juju_status.version and machine.hostname and machine.modification_status.current
        assert all(nic.mac_address is not None and nic.is_up for nic in machine.network_interfaces.values())
    assert "mem=256M" in status.machines["1"].constraints
    assert set(json.loads(juju.cli("show-machine", "2", "--format", "json"))["machines"]) == {"2"}
    assert juju.show_model().machines["0"].cores >= 0
    juju.cli("remove-machine", "--no-prompt", "1", "2")
    settle(lambda s: set(s.machines) == {"0"})


def test_what_is_refused(juju, tmp_path):
    key = tmp_path / "key"
    key.write_text("no key")
    for bad in {"target": "lxd:0"}, {"target": "lxd"}, {"target": "nosuch:1"}, {"constraints": {"color": "red"}}, {"disks": "nosuch,1G"}, \
            {"target": "ssh:ubuntu@127.0.0.1:1", "private_key": key, "public_key": key}:
        with pytest.raises(jubilant.CLIError) as e:
            juju.add_machine(**bad)
        assert e.value.stderr.splitlines()[-1].startswith("ERROR ") and not e.value.stdout, (bad, e.value)
    assert set(juju.status().machines) == {"0"}
    with pytest.raises(jubilant.CLIError):
        juju.cli("remove-machine", "--no-prompt", "9")
