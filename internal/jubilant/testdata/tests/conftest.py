"""What the tests share: a model for each file, the charms, and a note of which methods of the library have been called."""

import functools
import inspect
import os
import pathlib
import shutil
import zipfile

import jubilant
import pytest

HERE = pathlib.Path(__file__).parent.parent
CALLED = os.environ.get("CALLED")  # a file that takes the names of the methods


def noted(name, method):
    @functools.wraps(method)
    def wrapper(*args, **kwargs):
        if CALLED:
            with open(CALLED, "a") as f:
                f.write(name + "\n")
        return method(*args, **kwargs)

    return wrapper


def public():
    return {n: m for n, m in inspect.getmembers(jubilant.Juju, inspect.isfunction) if not n.startswith("_")}


for _name, _method in public().items():
    setattr(jubilant.Juju, _name, noted(_name, _method))


def pytest_sessionfinish(session):
    if CALLED:
        with open(CALLED + ".all", "w") as f:
            f.write("\n".join(public()))


@pytest.fixture(scope="module")
def juju(request):
    with jubilant.temp_model() as juju:
        juju.wait_timeout = 150
        yield juju
        if request.session.testsfailed:
            print(juju.cli("status", "--relations"), juju.debug_log(limit=60))


@pytest.fixture(scope="module")
def settle(juju):
    """Wait as a test can afford it."""
    return functools.partial(juju.wait, delay=0.25, successes=2)


@pytest.fixture(scope="session")
def charm():
    return HERE / "charm"


@pytest.fixture
def newer(tmp_path, charm):
    """A later revision of the charm, in a file."""
    copy = shutil.copytree(charm, tmp_path / "newer", symlinks=True)
    (copy / "version").write_text("8\n")
    return pack(copy, tmp_path / "newer.charm")


def pack(directory, path):
    with zipfile.ZipFile(path, "w") as z:
        for file in sorted(directory.rglob("*")):
            z.write(file, file.relative_to(directory))
    return path


def idle(status, *apps):
    return jubilant.all_agents_idle(status, *apps)


def active(*apps):
    """These applications are active, and their agents have nothing to do."""
    return lambda status: jubilant.all_active(status, *apps) and idle(status, *apps)
