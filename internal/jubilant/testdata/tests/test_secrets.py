"""Secrets of the user's, and who may read them."""

import datetime
import re

import jubilant
import pytest
from conftest import active


def test_secrets(juju):
    assert juju.secrets() == []
    uri = juju.add_secret("first", {"token": "hush-hush", "user": "ann"}, info="what ann knows")
    assert re.fullmatch("secret:[0-9a-v]{20}", uri) and uri.unique_identifier == uri[7:]
    (listed,) = juju.secrets()
    assert (listed.uri, listed.name, listed.revision, listed.description) == (uri, "first", 1, "what ann knows")
    assert listed.owner == "<model>" and listed.created == listed.updated and listed.created.tzinfo == datetime.timezone.utc
    assert listed.label is None and listed.rotation is None and listed.rotates is None and listed.expires is None
    for identifier in "first", uri, uri.unique_identifier:
        assert juju.show_secret(identifier).uri == uri
    shown = juju.show_secret("first", reveal=True)
    assert shown.content == {"token": "hush-hush", "user": "ann"} and shown.checksum
    assert juju.secrets(owner="<model>") == [listed] or juju.secrets(owner=juju.model) == [listed]
    with pytest.raises(jubilant.CLIError, match='secret with name "first" already exists'):
        juju.add_secret("first", {"token": "other"})
    with pytest.raises(jubilant.CLIError, match='secret "nosuch" not found'):
        juju.show_secret("nosuch")


def test_revisions(juju):
    juju.update_secret("first", {"token": "quieter"}, info="changed")
    assert juju.show_secret("first", reveal=True).content == {"token": "quieter"}
    assert juju.show_secret("first", reveal=True, revision=1).content["user"] == "ann"
    latest = juju.show_secret("first", revisions=True)
    assert latest.revision == 2 and latest.description == "changed" and latest.updated >= latest.created
    assert [r.revision for r in latest.revisions] == [1, 2] or [r.revision for r in latest.revisions] == [2, 1]
    assert latest.revisions[0].backend == "internal"
    juju.remove_secret("first", revision=1)
    assert [r.revision for r in juju.show_secret("first", revisions=True).revisions] == [2]
    juju.update_secret("first", {"token": "quietest"}, name="renamed", auto_prune=True)
    assert juju.show_secret("renamed").revision == 3
    with pytest.raises(jubilant.CLIError):
        juju.show_secret("first")
    with pytest.raises(jubilant.CLIError) as e:
        juju.cli("show-secret", "renamed", "--reveal", "--revisions")
    assert e.value.returncode == 2


def test_grants(juju, settle, charm):
    juju.deploy(charm, "reader", config={"state": "blocked"})
    juju.deploy(charm, "stranger", to="0", config={"state": "blocked"})
    secret = juju.show_secret("renamed")
    juju.grant_secret("renamed", "reader")
    juju.config("reader", {"token": secret.uri})
    config = juju.config("reader")
    assert config["token"] == secret.uri and type(config["token"]) is jubilant.SecretURI
    status = settle(active("reader"))
    assert status.apps["reader"].units["reader/0"].workload_status.message == "token 9"
    access = juju.show_secret("renamed").access
    assert [(a.target, a.role) for a in access] == [("application-reader", "view")]
    with pytest.raises(jubilant.TaskError, match="permission denied"):
        juju.exec(f"secret-get {secret.uri}", unit="stranger/0")
    juju.grant_secret(secret.uri, ["stranger", "reader"])
    assert len(juju.show_secret("renamed").access) == 2
    assert "quietest" not in juju.debug_log() + juju.cli("status", "--format", "json")
    juju.cli("revoke-secret", "renamed", "stranger")
    assert juju.exec("secret-add --label mine word=other-words --owner application", unit="reader/0").stdout
    mine = juju.secrets(owner="reader")
    assert [(s.label, s.owner, s.name) for s in mine] == [("mine", "reader", None)]
    juju.remove_secret(secret.uri)
    assert [s.label for s in juju.secrets()] == ["mine"]
    for call in lambda: juju.remove_secret("nosuch"), lambda: juju.grant_secret("nosuch", "reader"), lambda: juju.update_secret("nosuch", {"word": "b"}):
        with pytest.raises(jubilant.CLIError) as e:
            call()
        assert e.value.returncode == 1
