"""A folder to extract to, and a short way to do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.run import extract_pages


@pytest.fixture(params=["file", "memory"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """A folder that does not exist yet, on a local filesystem and on one that is not."""
    root = f"{tmp_path}/lake/invoices"
    fs = fsspec.filesystem(request.param, skip_instance_cache=True)
    fs.invalidate_cache()
    return Destination(fs, root, f"{request.param}://{root}")


@pytest.fixture
def local(tmp_path: Path) -> Destination:
    """A local folder."""
    return Destination(fsspec.filesystem("file"), str(tmp_path / "out"), f"file://{tmp_path}/out")


@pytest.fixture
def extract() -> Callable[..., Manifest]:
    """Extract pages of suppliers unless told otherwise."""

    def extract(pages: Any, destination: Destination, **options: Any) -> Manifest:
        options = {
            "resource": "suppliers",
            "instance": "acme.coupahost.com",
            "file_format": "ndjson",
        } | options
        return extract_pages(pages, options.pop("counters", Counters()), destination, **options)

    return extract
