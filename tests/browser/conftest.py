"""A real Airflow API server and a real Chromium for the tests in this folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

USER = PASSWORD = "admin"
START_TIMEOUT = 180
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",  # Chromium refuses to run as root, as CI does, without
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True)
class AirflowUi:
    url: str
    home: Path
    log: Path
    env: dict[str, str]


def need(request: pytest.FixtureRequest, what: str) -> None:
    """Fail when browser tests were asked for, skip them in a run of everything."""
    if request.config.option.markexpr == "browser":
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def airflow_ui(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowUi]:
    """Start ``airflow api-server`` with a home of its own; stop it with all its children."""
    import airflow

    if int(airflow.__version__.split(".")[0]) < 3:
        need(request, "the form is tested in the React interface of Airflow 3")
    home = tmp_path_factory.mktemp("airflow-ui")
    (home / "passwords.json").write_text(json.dumps({USER: PASSWORD}))
    url = f"http://127.0.0.1:{free_port()}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    log = home / "api-server.log"
    airflow_command = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow_command, "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
    with log.open("wb") as sink:
        # In a session of its own: a signal to the parent alone would leave its workers behind.
        server = subprocess.Popen(
            [*airflow_command, "api-server"], env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        wait_until_healthy(url, server, log)
        yield AirflowUi(url, home, log, env)
    finally:
        stop_group(server)


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"the API server ended with {server.returncode}:\n{log.read_text()[-3000:]}")
        try:
            with opener.open(f"{url}/api/v2/monitor/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the API server did not start in {START_TIMEOUT} s:\n{log.read_text()[-3000:]}")


def stop_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Start the Chromium of the system: Playwright's own would be a download from elsewhere."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        need(request, "Playwright is missing: pip install playwright")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        need(request, "no Chromium: apt-get install chromium, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, airflow_ui: AirflowUi) -> Iterator[Page]:
    """A page that is logged in."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(30_000)
    page.goto(f"{airflow_ui.url}/auth/login/")
    page.fill("input[name=username]", USER)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/auth/login" not in url)
    yield page
    page.close()


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[..., None]:
    """Take a screenshot, for the docs when COUPA_DOCS_IMAGES names their folder."""
    folder = Path(os.environ.get("COUPA_DOCS_IMAGES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(target: object, name: str, **options: object) -> None:
        target.screenshot(path=folder / f"{name}.png", animations="disabled", **options)  # type: ignore[attr-defined]

    return take
