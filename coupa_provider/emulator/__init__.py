"""A stand-in Coupa to develop, demonstrate and test against.

Start it with ``python -m coupa_provider.emulator``, or in a test as a context manager::

    with Emulator(seed=7, data={"suppliers": [{"id": 1, "name": "Fishy"}]}) as coupa:
        ...  # talk to coupa.url with coupa.client_id and coupa.client_secret

It speaks the Core API as Coupa documents it. Where the documents are silent a switch decides; see
:mod:`.switches`. It needs the extra ``emulator`` of this distribution.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Emulator"]


def __getattr__(name: str) -> Any:
    """Import the emulator when it is asked for, because pytest loads this package in every run."""
    if name != "Emulator":
        raise AttributeError(name)
    try:
        from coupa_provider.emulator.emulator import Emulator
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise ModuleNotFoundError(
            f"the emulator needs {error.name}: pip install 'airflow-provider-coupa[emulator]'",
            name=error.name,
        ) from error
    return Emulator
