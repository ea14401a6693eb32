"""Models, what they are set to, clouds and credentials."""

import json

import jubilant
import pytest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKnS1ZOjYkQ1uK4YxMVkXcN8cxaCAa3EY1o1dQ7hGJpd ann@desk"


def test_version(juju):
    version = juju.version()
    assert str(version) == juju.cli("version", include_model=False).strip()
    assert version.tuple >= (3, 6, 0) and version.release and version.arch


def test_add_and_destroy(juju):
    other = jubilant.Juju()
    other.add_model("short-lived", controller="jub", config={"update-status-hook-interval": "10s", "test-mode": True})
    assert other.model == "jub:short-lived"
    assert other.model_config()["update-status-hook-interval"] == "10s"
    assert other.model_config()["test-mode"] is True
    assert other.status().model.name == "short-lived"
    assert jubilant.all_active(other.status())
    with pytest.raises(jubilant.CLIError, match="already exists"):
        other.add_model("short-lived")
    other.destroy_model("admin/short-lived", destroy_storage=True, force=True, no_wait=True, timeout=30)
    assert other.model is None
    assert "short-lived" not in [m["short-name"] for m in json.loads(other.cli("models", "--format", "json"))["models"]]
    with pytest.raises(jubilant.CLIError) as e:
        other.destroy_model("short-lived")
    assert e.value.returncode == 1 and "not found" in e.value.stderr and not e.value.stdout


def test_destroy_gently(juju):
    for kwargs in {"release_storage": True}, {}:
        other = jubilant.Juju()
        other.add_model("gentle", "local")
        other.destroy_model("gentle", **kwargs)
        assert other.model is None


def test_show_model(juju):
    short = juju.model
    for name in None, short, "admin/" + short, "jub:admin/" + short:
        model = juju.show_model(name)
        assert (model.name, model.short_name, model.model_type) == ("admin/" + short, short, "iaas")
        assert (model.cloud, model.controller_name, model.life, model.is_controller) == ("local", "jub", "alive", False)
        assert model.status.current == "available" and model.status.since
        assert model.users["admin"].access == "admin"
        assert model.agent_version == str(juju.version()).split("-")[0]
    listed = json.loads(juju.cli("models", "--format", "json", include_model=False))["models"]
    assert {m["short-name"]: m["model-uuid"] for m in listed}[short] == model.model_uuid
    for name in model.model_uuid, "jub:" + short, model.model_uuid[:8]:
        assert jubilant.Juju(model=name).status().model.name == short
    with pytest.raises(jubilant.CLIError, match="jub:admin/nosuch not found"):
        juju.show_model("nosuch")


def test_the_model_of_the_environment(juju, monkeypatch):
    monkeypatch.setenv("JUJU_MODEL", juju.model)
    assert jubilant.Juju().status().model.name == juju.model
    assert jubilant.Juju().show_model().short_name == juju.model


def test_temp_model():
    with jubilant.temp_model(controller="jub", cloud="local", config={"development": True}) as juju:
        name = juju.model
        assert name.startswith("jub:jubilant-") and juju.model_config()["development"] is True
        assert name.split(":")[1] in juju.cli("models", include_model=False)
    assert juju.model is None
    assert name.split(":")[1] not in juju.cli("models", include_model=False)


def test_model_config(juju):
    config = juju.model_config()
    assert config["update-status-hook-interval"] == "5m" and config["name"] == juju.model
    assert config["automatically-retry-hooks"] is True and type(config["num-provision-workers"]) is int
    juju.model_config({"update-status-hook-interval": "10s", "http-proxy": "http://one,two:3128", "automatically-retry-hooks": False})
    config = juju.model_config()
    assert (config["update-status-hook-interval"], config["http-proxy"]) == ("10s", "http://one,two:3128")
    assert config["automatically-retry-hooks"] is False
    juju.model_config({"development": True}, reset=["http-proxy", "automatically-retry-hooks"])
    juju.model_config(reset="update-status-hook-interval,development")
    after = juju.model_config()
    assert [after[k] for k in ("update-status-hook-interval", "http-proxy", "automatically-retry-hooks", "development")] == ["5m", "", True, False]
    with pytest.raises(jubilant.CLIError):
        juju.model_config({"uuid": "x"})


def test_model_constraints(juju):
    assert juju.model_constraints() == {}
    juju.model_constraints({"mem": "1G", "cores": 4})
    assert juju.model_constraints() == {"mem": 1024, "cores": 4}
    juju.model_constraints({"arch": "amd64"})
    assert juju.model_constraints() == {"arch": "amd64"}
    juju.model_constraints({})
    assert juju.model_constraints() == {}


def test_clouds_and_credentials(juju, tmp_path):
    def cloud(region):
        return {"clouds": {"stack": {"type": "ec2", "auth-types": ["access-key"], "regions": {region: {"endpoint": "https://127.0.0.1:1"}}}}}

    juju.add_cloud("stack", cloud("north"), client=True)
    assert "https://127.0.0.1:1" in juju.cli("show-cloud", "--client", "stack", include_model=False)
    juju.update_cloud("stack", cloud("south"), client=True)
    shown = juju.cli("show-cloud", "--client", "stack", include_model=False)
    assert "south" in shown and 'Client cloud "stack":' in shown
    with pytest.raises(jubilant.CLIError, match="already|exists|defined"):
        juju.add_cloud("stack", cloud("north"), client=True)

    details = {"auth-type": "access-key", "access-key": "AKID", "secret-key": "hush"}
    juju.add_credential("stack", {"credentials": {"stack": {"mine": details}}}, client=True, region="south")
    file = tmp_path / "credential.yaml"
    file.write_text(json.dumps({"credentials": {"stack": {"theirs": details}}}))
    juju.add_credential("stack", file, client=True)
    text = juju.cli("credentials", "--format", "json", include_model=False)
    held = json.loads(text)["client-credentials"]["stack"]["cloud-credentials"]
    assert held["mine"]["details"] == {"access-key": "AKID"} and set(held) == {"mine", "theirs"}
    assert "hush" not in text
    for name in held:
        juju.cli("remove-credential", "--client", "stack", name, include_model=False)

    file.write_text(json.dumps(cloud("east")))
    juju.add_cloud("stack", file, controller="jub", force=True)
    shown = juju.cli("show-cloud", "--controller", "jub", "stack", include_model=False)
    assert "east" in shown and 'Cloud "stack" from controller "jub":' in shown
    juju.update_cloud("stack", file, client=True, controller="jub")
    juju.add_credential("stack", {"credentials": {"stack": {"mine": details}}}, controller="jub")
    both = json.loads(juju.cli("credentials", "--format", "json", "--controller", "jub", include_model=False))
    assert both["controller-credentials"]["stack"]["cloud-credentials"]["mine"]["details"] == {"access-key": "AKID"}
    juju.cli("remove-credential", "--controller", "jub", "stack", "mine", include_model=False)
    juju.cli("remove-cloud", "--controller", "jub", "stack", include_model=False)
    juju.cli("remove-cloud", "--client", "stack", include_model=False)
    with pytest.raises(jubilant.CLIError, match="not found"):
        juju.cli("show-cloud", "--client", "stack", include_model=False)


def test_ssh_keys(juju):
    def keys():
        return juju.cli("ssh-keys", "--full")

    assert "ann@desk" not in keys()
    juju.add_ssh_key(KEY)
    assert KEY in keys()
    for name in "ann@desk", KEY:
        juju.remove_ssh_key(name)
        assert "ann@desk" not in keys()
        juju.add_ssh_key(KEY, KEY)  # twice is once
        assert keys().count(KEY) == 1
    fingerprint = next(line.split()[0] for line in juju.cli("ssh-keys").splitlines() if "ann@desk" in line)
    juju.remove_ssh_key(fingerprint, "nobody@nowhere")
    juju.add_ssh_key("this is no key")
    assert "ann@desk" not in keys()


def test_a_bootstrap_that_cannot_be(juju):
    with pytest.raises(jubilant.CLIError) as e:
        juju.bootstrap("local", "jub", constraints={"mem": "1G"}, config={"agent-ping-interval": "5s"}, model_defaults={"development": True})
    assert e.value.returncode == 1 and "jub" in e.value.stderr and not e.value.stdout


def test_what_crosses_models(juju):
    for call in lambda: juju.offer("probe", endpoint=["db", "ring"], name="stored"), lambda: juju.consume("other.db", "alias", controller="jub", owner="admin"):
        with pytest.raises(jubilant.CLIError) as e:
            call()
        assert e.value.returncode == 1 and e.value.stderr.startswith("ERROR ") and "cross-model relations" in e.value.stderr, str(e.value)
