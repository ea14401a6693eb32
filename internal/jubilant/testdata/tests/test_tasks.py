"""Actions, commands, shells and files."""

import json
import subprocess

import jubilant
import pytest


@pytest.fixture(scope="module", autouse=True)
def probe(juju, settle, charm):
    juju.deploy(charm, "probe")
    status = settle(lambda s: jubilant.all_agents_idle(s, "probe"))
    assert status.apps["probe"].units["probe/0"].workload_status.current == "unknown"  # it has not said anything


def test_run(juju):
    task = juju.run("probe/0", "echo", {"word": "two words: 'yes'", "times": 3})
    assert task.success and task.return_code == 0 and task.status == "completed" and task.message == ""
    assert task.results == {"word": "two words: 'yes'", "deep": {"er": "still"}, "times": "3"}
    assert (task.stdout, task.stderr) == ("on stdout\n", "on stderr\n")
    assert len(task.log) == 1 and task.log[0].endswith("about to echo")
    assert juju.run("probe/leader", "echo", wait=30).results["word"] == "silence"
    shown = json.loads(juju.cli("show-task", task.id, "--format", "json"))
    assert shown["results"]["word"] == "two words: 'yes'"


def test_run_that_fails(juju):
    with pytest.raises(jubilant.TaskError) as e:
        juju.run("probe/0", "refuse")
    task = e.value.task
    assert (task.status, task.message, task.return_code, task.results) == ("failed", "no room", 0, {"tried": "yes"})
    with pytest.raises(jubilant.TaskError) as e:
        juju.run("probe/0", "crash")
    task = e.value.task
    assert (task.status, task.return_code, task.stderr) == ("failed", 9, "it broke\n")
    with pytest.raises(jubilant.CLIError) as c:
        juju.cli("run", "--format", "json", "probe/0", "crash")
    assert c.value.returncode == 1 and "the following task failed:" in c.value.stderr and "with return code 9" in c.value.stderr
    assert json.loads(juju.cli("run", "--format", "json", "probe/0", "refuse"))["probe/0"]["status"] == "failed"


def test_run_that_cannot_be(juju):
    for unit, action in ("probe/0", "nosuch"), ("probe/9", "echo"), ("nosuch/0", "echo"), ("nosuch/leader", "echo"):
        with pytest.raises(ValueError):
            juju.run(unit, action)
    with pytest.raises(jubilant.CLIError):
        juju.run("probe/0", "echo", {"times": "many"})


def test_run_that_takes_too_long(juju):
    with pytest.raises(TimeoutError):
        juju.run("probe/0", "sleep", {"seconds": 300}, wait=0.3)
    with pytest.raises(TimeoutError):
        juju.exec("true", unit="probe/0", wait=0.3)  # it waits for the action
    (running,) = json.loads(juju.cli("operations", "--format", "json", "--status", "running")).values()
    juju.cli("cancel-task", *running["tasks"])
    assert juju.exec("echo free", unit="probe/0").stdout == "free\n"


def test_exec(juju):
    task = juju.exec("echo $JUJU_UNIT_NAME; config-get text; echo err >&2", unit="probe/0")
    assert task.success and (task.stdout, task.stderr, task.results) == ("probe/0\nplain\n", "err\n", {})
    assert juju.exec("printf", "<%s>", "a b", "$HOME", unit="probe/leader").stdout == "<a b><$HOME>"
    for machine in 0, "0":
        assert juju.exec("echo [$JUJU_UNIT_NAME]", machine=machine, wait=60).stdout == "[]\n"
    assert juju.exec("printf '\\303\\244'", unit="probe/0").stdout == "ä"
    assert juju.exec("printf 'x\\377y'", unit="probe/0").stdout  # whatever it is, it can be decoded
    with pytest.raises(jubilant.TaskError) as e:
        juju.exec("echo out; echo err >&2; exit 7", unit="probe/0")
    task = e.value.task
    assert (task.status, task.return_code, task.stdout, task.stderr) == ("completed", 7, "out\n", "err\n")
    with pytest.raises(jubilant.TaskError):
        juju.exec("false", machine=0)
    for target in {"unit": "probe/9"}, {"unit": "nosuch/0"}, {"machine": 9}:
        with pytest.raises(ValueError):
            juju.exec("true", **target)


def test_ssh(juju):
    assert juju.ssh("probe/0", "echo out; echo err >&2") == "out\n"
    assert juju.ssh("probe/leader", "echo", "two   words").split() == ["two", "words"]
    assert juju.ssh(0, "printf", "no-newline", host_key_checks=False) == "no-newline"
    assert juju.ssh("0", "printf x", container="charm", user="ubuntu", ssh_options=["-o", "LogLevel=QUIET", "-4"]) == "x"
    assert juju.cli("ssh", "probe/0", "cat", stdin="piped\n") == "piped\n"
    with pytest.raises(jubilant.CLIError) as e:
        juju.ssh("probe/0", "echo before; exit 7")
    assert (e.value.returncode, e.value.stdout) == (7, "before\n")
    for target in "probe/9", "nosuch/0", "9", "@", "probe/x":
        with pytest.raises(jubilant.CLIError) as e:
            juju.ssh(target, "true")
        assert e.value.stderr.startswith("ERROR "), target


def test_scp(juju, tmp_path):
    there = juju.ssh("probe/0", "mktemp", "-d").strip()
    data = bytes(range(256)) * 100
    (tmp_path / "file with space").write_bytes(data)
    juju.scp(tmp_path / "file with space", f"probe/0:{there}/copy", host_key_checks=False)
    juju.scp(f"ubuntu@probe/0:{there}/copy", tmp_path / "back", container="charm", scp_options=["-p", "-C"])
    assert (tmp_path / "back").read_bytes() == data
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/leaf").write_text("leaf")
    juju.scp(tmp_path / "tree", f"0:{there}", scp_options=["-r"])
    assert juju.ssh(0, f"cat {there}/tree/deep/leaf") == "leaf"
    juju.scp(f"probe/leader:{there}/copy", f"0:{there}/again")
    juju.scp(f"0:{there}/tree", str(tmp_path / "returned"), scp_options=["-r"])
    assert (tmp_path / "returned/deep/leaf").read_text() == "leaf"
    (tmp_path / "relative").write_text("here")
    subprocess.run(["juju", "scp", "-m", juju.model, "relative", "probe/0:"], cwd=tmp_path, check=True)
    assert juju.ssh("probe/0", "cat relative") == "here"
    for source, destination in ("probe/0:/nosuch", tmp_path), (tmp_path / "nosuch", "probe/0:x"), ("probe/9:x", tmp_path), ("nosuch/0:x", tmp_path):
        with pytest.raises(jubilant.CLIError) as e:
            juju.scp(source, destination)
        assert e.value.returncode and e.value.stderr
    for args in [], ["only"], ["-r", "only"]:
        p = subprocess.run(["juju", "scp", "-m", juju.model, *args], capture_output=True, text=True)
        assert (p.returncode, p.stdout) == (2, "") and p.stderr.startswith("ERROR "), p


def test_the_library_as_a_program(juju, tmp_path):
    p = subprocess.run(["python", "-m", "jubilant._main", "wait", "jubilant.all_agents_idle(status, 'probe')", "--error", "jubilant.any_error(status)",
                        "--delay", "0.1", "--model", juju.model, "--juju-cli-bin", "juju"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
