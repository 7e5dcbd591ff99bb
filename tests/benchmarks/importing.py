"""What importing all modules that a DAG file may name adds to importing Airflow's BaseOperator."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from candidate import ROOT

PACKAGES = ("hooks", "operators", "transfers", "sensors", "triggers", "notifications", "links")

# The modules are looked for first, so that only importing them is timed.
_SCRIPT = f"""
import importlib, pathlib, time
package = pathlib.Path({str(ROOT / "coupa_provider")!r})
names = sorted(
    "coupa_provider." + folder + "." + file.stem
    for folder in {PACKAGES!r} for file in (package / folder).glob("*.py") if file.stem != "__init__"
)
from airflow.providers.common.compat.sdk import BaseOperator
started = time.perf_counter()
for name in names:
    importlib.import_module(name)
print(time.perf_counter() - started)
"""


def added_seconds() -> float:
    """Import in a fresh process, BaseOperator first, and return what the rest took."""
    with tempfile.TemporaryDirectory(prefix="coupa-benchmark-") as folder:
        finished = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": folder},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    return float(finished.stdout.splitlines()[-1])
