"""The options of the layers, as layer.yaml has them."""

import os

import yaml


def options(section):
    with open(os.path.join(os.environ["CHARM_DIR"], "layer.yaml")) as f:
        return yaml.safe_load(f)["options"].get(section, {})
