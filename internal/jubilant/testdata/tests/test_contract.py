"""What every command keeps: its exit status, what is on stdout, and that it never waits for somebody who is not there."""

import concurrent.futures
import json
import os
import shutil
import subprocess

import pytest


@pytest.fixture(scope="module", autouse=True)
def probe(juju, settle, charm):
    juju.deploy(charm, "probe", config={"state": "active"}, storage={"data": "rootfs,20M"})
    settle(lambda s: s.apps["probe"].is_active)
    juju.run("probe/0", "echo")
    juju.add_secret("known", {"word": "hush"})


def call(juju, line, **env):
    words = line.split()
    # Whoever waits for a terminal, or for more input, is ended by the time.
    return subprocess.run(["juju", *words], env={**os.environ, "JUJU_MODEL": juju.model, **env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True)


def helped(juju, command):
    return call(juju, f"{command} -h").stdout


def every(juju):
    return [line.split()[0] for line in call(juju, "help commands").stdout.splitlines() if line.strip()]


def failed(process, code):
    """Whether the command has failed as it should."""
    return process.returncode == code and process.stdout.strip() in ("", "{}") and any(line.startswith("ERROR ") for line in process.stderr.splitlines())


def all_fail(juju, lines, code):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [p for p in pool.map(lambda line: call(juju, line), lines) if not failed(p, code)]
    assert not wrong, "\n".join(map(str, wrong))


MISSING = """actions add-credential add-model add-secret add-storage add-unit attach-resource attach-storage cancel-task config constraints
create-storage-pool debug-code debug-hooks default-credential default-region deploy destroy-controller destroy-model detach-storage diff-bundle exec expose
grant-secret integrate kill-controller regions remove-application remove-cloud remove-credential remove-machine remove-relation remove-secret remove-ssh-key
remove-storage remove-storage-pool remove-unit resolved resources retry-provisioning revoke-secret run scp set-constraints set-credential show-action show-application
show-cloud show-machine show-operation show-secret show-storage show-task show-unit ssh trust unexpose unregister update-credential
update-secret update-storage-pool refresh""".split()


def test_without_arguments(juju):
    commands = every(juju)
    assert set(MISSING) <= set(commands)
    all_fail(juju, MISSING, 2)


def lines_of(text):
    return [line.strip() for line in text.replace("\n", "|").split("|") if line.strip()]


UNKNOWN = """
actions nosuch | add-storage nosuch/0 data | add-unit nosuch | attach-resource nosuch words=/dev/null | attach-storage nosuch/0 data/0 | attach-storage probe/0 data/9
add-model new nosuch | cancel-task 999 | config nosuch | config probe nosuch | config probe nosuch=1 | config probe --reset nosuch | constraints nosuch
debug-hooks nosuch/0 | deploy ./nosuch | destroy-model nosuch --no-prompt | destroy-controller nosuch --no-prompt | kill-controller nosuch --no-prompt | detach-storage data/9
diff-bundle ./nosuch.yaml | expose nosuch | unexpose nosuch | trust nosuch | grant-secret nosuch probe | grant-secret known nosuch | revoke-secret nosuch probe
integrate nosuch probe | remove-relation nosuch probe | remove-relation 99 | model-config nosuch | refresh nosuch --path ./nosuch | remove-application nosuch --no-prompt
remove-cloud nosuch --client | remove-credential nosuch x --client | remove-machine 99 --no-prompt | remove-secret nosuch | remove-storage data/9 | remove-storage-pool nosuch
remove-unit nosuch/0 --no-prompt | resolved nosuch/0 | resources nosuch | retry-provisioning 99 | run probe/0 nosuch | scp nosuch/0:a b | set-constraints nosuch mem=1G
show-action nosuch x | show-action probe nosuch | show-application nosuch | show-cloud nosuch --client | show-controller nosuch | show-credential nosuch x | show-machine 99 | show-model nosuch | show-status-log nosuch | show-operation 999
show-secret nosuch | show-storage data/9 | show-task 999 | show-unit nosuch/0 | show-unit probe/9 | ssh nosuch/0 true | ssh 99 true | switch nosuch | unregister nosuch --no-prompt
update-credential nosuch x --client | update-secret nosuch word=b | update-storage-pool nosuch a=b | update-cloud nosuch --client -f /dev/null | status -m nosuch | models -c nosuch | whoami -c nosuch
model-defaults nosuch | model-defaults --cloud nosuch | model-defaults --region nosuch test-mode=true | model-defaults -c nosuch | controller-config nosuch | controller-config nosuch=1 | controller-config -c nosuch
debug-log -m nosuch --no-tail | machines -m nosuch | storage -m nosuch | secrets -m nosuch | operations -m nosuch | export-bundle -m nosuch | upgrade-model -m nosuch | model-constraints -m nosuch
"""


def test_what_is_not_there(juju):
    before = juju.cli("status")
    all_fail(juju, lines_of(UNKNOWN), 1)
    assert juju.cli("status").splitlines()[4:] == before.splitlines()[4:]


# A command line for each command that has --format; those that change something come with what makes it harmless.
JSON = """
actions probe | actions probe --schema | cancel-task | clouds | config probe | constraints probe | controllers | credentials | debug-log --limit 3 | exec --unit probe/0 true | machines | model-config
model-constraints | models | operations | payloads | regions local | resources probe | run probe/0 echo | secrets | show-application probe | show-cloud local | show-controller jub | show-credential
show-machine 0 | show-model | show-operation 1 | show-secret known | show-secret known --reveal | show-secret known --revisions | show-storage data/0 | show-task 2 | show-unit probe/0 | status | status probe/0 | status nosuch
storage | storage --filesystem | storage --volume | storage-pools | version | version --all | whoami
model-defaults | model-defaults test-mode | controller-config | wait-for unit probe/0 | show-status-log probe/0
"""


def test_json(juju):
    lines = lines_of(JSON)
    named = {line.split()[0] for line in lines}
    with_format = [c for c in every(juju) if "--format" in helped(juju, c)]
    assert set(with_format) <= named, set(with_format) - named
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for line, p in zip(lines, pool.map(lambda line: call(juju, line + " --format json", JUJU_LOGGING_CONFIG="<root>=DEBUG"), lines)):
            if line == "cancel-task":
                assert failed(p, 2), p
                continue
            assert p.returncode == 0, p
            if line == "status nosuch":
                assert "Nothing matched" in p.stderr
                continue
            assert p.stdout.endswith("\n") and (p.stdout.count("\n") == 1 or line == "debug-log --limit 3"), p  # one line
            for one in p.stdout.splitlines():
                nothing_is_null(json.loads(one), line)


def nothing_is_null(value, where):
    assert value is not None, where
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        nothing_is_null(inner, f"{where}.{key}")


def test_many_at_once(juju, tmp_path):
    """Clients that share a store, in which the model is not known yet."""
    data = shutil.copytree(os.environ["JUJU_DATA"], tmp_path / "data", ignore=shutil.ignore_patterns("controllers", "models.yaml"))
    lines = ["status --format json", "config probe --format json"] * 10
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for p in pool.map(lambda line: call(juju, line, JUJU_DATA=str(data)), lines):
            assert p.returncode == 0 and not p.stderr and json.loads(p.stdout), p
    assert call(juju, "models", JUJU_DATA=str(data)).stdout.count(juju.model) == 1


def test_nobody_to_ask(juju):
    for line in "remove-application probe", "remove-unit probe/0", "remove-machine 0 --force", f"destroy-model {juju.model}", "destroy-controller jub --destroy-all-models", \
            "kill-controller jub", "unregister jub":
        p = call(juju, line)
        assert p.returncode == 1 and "ERROR " in p.stderr and "abort" in p.stderr.lower(), p
    p = call(juju, "remove-application probe --dry-run")
    assert p.returncode == 0 and "probe/0" in p.stdout, p
    status = juju.status()
    assert status.apps["probe"].is_active and not status.apps["probe"].life
    juju.model_config({"mode": ""})
    assert call(juju, "remove-application probe").returncode == 0  # nobody is to be asked
