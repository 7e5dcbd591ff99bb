"""The benchmarks still run; what they measure is not judged here, where other things run beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dlt")
pytest.importorskip("airflow.providers.http")


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure",
    [
        *("limit", "cpu", "memory", "imports", "push", "lost", "push-memory", "answers", "wait"),
        pytest.param("load", marks=pytest.mark.postgresql),
    ],
)
def test_it_runs(measure: str) -> None:
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).parent), "--tiny", measure], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines()[1:], "no figures"
