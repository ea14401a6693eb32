"""What the basic layer does before anything is imported: the libraries are put in place, once."""

import os
import platform
import sys


def bootstrap_charm_deps():
    charm = os.environ["CHARM_DIR"]
    for directory in ("wheelhouse", "hooks", "."):
        sys.path.insert(0, os.path.normpath(os.path.join(charm, directory)))
    # charmhelpers asks Python which distribution this is, as Python up to 3.7 could tell.
    platform.linux_distribution = lambda: ("debian", "12", "bookworm")
    sentinel = os.path.join(charm, ".bootstrapped")
    if not os.path.exists(sentinel):
        # The unit's own directory, above the charm's, is where that layer keeps a virtual environment over upgrades.
        os.makedirs(os.path.join(charm, "..", ".venv"), exist_ok=True)
        with open(sentinel, "w") as f:
            f.write(os.path.basename(sys.argv[0]))


def init_config_flags():
    """Set flags that tell of the configuration, for as long as the hook runs in the case of changes."""
    import yaml
    from charmhelpers.core import hookenv
    from charms.reactive import clear_flag, toggle_flag

    config = hookenv.config()
    with open(os.path.join(hookenv.charm_dir(), "config.yaml")) as f:
        options = yaml.safe_load(f)["options"]
    for name, option in options.items():
        toggle_flag("config.changed." + name, config.changed(name))
        toggle_flag("config.set." + name, bool(config.get(name)))
        toggle_flag("config.default." + name, config.get(name) == option.get("default"))
        hookenv.atexit(clear_flag, "config.changed." + name)
