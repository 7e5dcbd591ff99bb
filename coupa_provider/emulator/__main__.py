"""``python -m coupa_provider.emulator``: the emulator as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    from coupa_provider.emulator.instance import Instance, read_data_file
    from coupa_provider.emulator.profiles import PROFILES
    from coupa_provider.emulator.running import listening_socket, server_for, url_of
    from coupa_provider.emulator.settings import SettingError
    from coupa_provider.emulator.stamps import DEFAULT_ZONE
    from coupa_provider.emulator.switches import SWITCHES
except ModuleNotFoundError as missing:
    if missing.name not in ("starlette", "uvicorn"):
        raise
    sys.exit(f"The emulator needs {missing.name}: pip install 'airflow-provider-coupa[emulator]'")

_SHOWN_RECORDS = ("invoices", "purchase_orders", "suppliers", "users", "exchange_rates")


def build_parser() -> argparse.ArgumentParser:
    """Return the reader of the command line."""
    switches = "\n".join(f"  {s.name:4} {s.meaning}: {', '.join(s.modes)}" for s in SWITCHES.values())
    profiles = "\n".join(f"  {name:8} {profile.meaning}" for name, profile in PROFILES.items())
    parser = argparse.ArgumentParser(
        prog="python -m coupa_provider.emulator",
        description="A stand-in Coupa to develop and test against.",
        epilog=f"profiles:\n{profiles}\n\nswitches, the default first:\n{switches}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8810, help="port; 0 for any that is free (default: 8810)")
    parser.add_argument("--seed", type=int, default=7, help="decides the seeded data (default: 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies their number (default: 1.0)")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="RESOURCE=N",
        help="number of records, as invoices=20000",
    )
    parser.add_argument("--empty", action="store_true", help="start without seeded data")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="your own records: JSON object of resource to list"
    )
    parser.add_argument(
        "--files",
        type=Path,
        metavar="DIR",
        help="folder that is Coupa's file server (default: a temporary one)",
    )
    parser.add_argument("--profile", choices=sorted(PROFILES), help="bundle of settings, see below")
    parser.add_argument(
        "--set", action="append", default=[], dest="switches", metavar="U7=200", help="position of a switch"
    )
    parser.add_argument("--rate-limit", type=float, default=None, help="requests per second (default: 25)")
    parser.add_argument("--burst", type=int, default=None, help="requests queued above it (default: 20)")
    parser.add_argument("--no-rate-limit", action="store_true", help="never answer 429 by itself")
    parser.add_argument("--latency-ms", type=float, default=None, help="time that each answer takes")
    parser.add_argument("--client-id", default="emulator", help="client that has every scope")
    parser.add_argument("--client-secret", default="emulator-secret", help="its secret")
    parser.add_argument("--zone", default=DEFAULT_ZONE, help=f"zone of the company (default: {DEFAULT_ZONE})")
    return parser


def _pairs(entries: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name or not value:
            raise SettingError(f"{option} {entry}: write it as NAME=VALUE")
        pairs[name] = value
    return pairs


def _instance(arguments: argparse.Namespace) -> Instance:
    changes: dict[str, Any] = {"switches": _pairs(arguments.switches, "--set")}
    if arguments.no_rate_limit:
        changes["rate_limit"] = None
    elif arguments.rate_limit is not None:
        changes["rate_limit"] = arguments.rate_limit
    if arguments.burst is not None:
        changes["burst"] = arguments.burst
    if arguments.latency_ms is not None:
        changes["latency"] = {"fixed_ms": arguments.latency_ms}
    sizes: dict[str, int] = {}
    for path, text in _pairs(arguments.size, "--size").items():
        if not text.isdecimal():
            raise SettingError(f"--size {path}={text}: the number of records is a whole number")
        sizes[path] = int(text)
    return Instance(
        seed=arguments.seed,
        scale=arguments.scale,
        sizes=sizes,
        profile=arguments.profile,
        empty=arguments.empty,
        data=read_data_file(arguments.data) if arguments.data else None,
        client_id=arguments.client_id,
        client_secret=arguments.client_secret,
        zone=arguments.zone,
        files=arguments.files,
        changes=changes,
    )


def _greeting(instance: Instance, url: str) -> str:
    settings = instance.settings
    counts = instance.store.seeded()
    if not instance.empty:
        planned = {path: instance.seeder.world.size(path) for path in _SHOWN_RECORDS}
        counts = {**planned, **counts}
    sizes = ", ".join(f"{path} {count}" for path, count in counts.items()) or "none"
    limit = f"{settings.rate_limit:g}/s, burst {settings.burst}" if settings.rate_limit else "none"
    lines = [
        "Coupa emulator is ready",
        f"  url            {url}",
        f"  client id      {instance.client_id}",
        f"  client secret  {instance.client_secret}",
        f"  rate limit     {limit}",
        f"  records        {sizes}",
        f"  control        {url}/_emulator",
    ]
    return "\n".join(lines)


async def _serve(instance: Instance, host: str, port: int) -> None:
    listener = listening_socket(host, port)
    server = server_for(instance)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    task = asyncio.create_task(server.serve([listener]))
    while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn tells by a flag only
        await asyncio.sleep(0.01)
    if server.started:
        print(_greeting(instance, url_of(listener)), flush=True)
    await task
    instance.files.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator until it is told to stop.

    :param argv: arguments of the command line; None for those of the process.
    :return: exit status.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        instance = _instance(arguments)
    except (SettingError, OSError) as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(instance, arguments.host, arguments.port))
    except OSError as error:
        print(f"Cannot listen on {arguments.host}:{arguments.port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
