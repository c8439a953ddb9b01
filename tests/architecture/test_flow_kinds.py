"""A worker's sweep meets the rows of every kind of flow: the registry must know them all."""

import subprocess
import sys

CODE = """
import importlib, pkgutil
import pm_api.registry
from pm_api.core.flows import KINDS
known = set(KINDS)
import pm_api.domains
for found in pkgutil.walk_packages(pm_api.domains.__path__, "pm_api.domains."):
    importlib.import_module(found.name)
assert len(known) > 10, known
assert set(KINDS) == known, f"the registry does not import {set(KINDS) - known}"
"""


def test_the_registry_knows_every_kind_of_flow() -> None:
    """In a process of its own, which has imported nothing else."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
