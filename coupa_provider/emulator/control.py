"""The control endpoint under ``/_emulator``: set the emulator and ask what it saw, while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.profiles import PROFILES
from coupa_provider.emulator.settings import Outage, SettingError
from coupa_provider.emulator.switches import SWITCHES
from coupa_provider.emulator.timed_changes import read_change

Handler = Callable[[Request], Awaitable[Response]]


def control_routes(instance: Instance) -> list[Route]:
    """Return the routes of the control endpoint.

    :param instance: what they control.
    :return: routes.
    """

    async def seen(request: Request) -> Response:
        return JSONResponse(instance.observed.report())

    async def writes(request: Request) -> Response:
        return JSONResponse(instance.observed.writes())

    async def reset_seen(request: Request) -> Response:
        instance.observed.reset()
        return JSONResponse({})

    async def configure(request: Request) -> Response:
        instance.configure(await _object(request))
        return JSONResponse({"switches": dict(instance.settings.switches)})

    async def data(request: Request) -> Response:
        return JSONResponse(instance.load(await _object(request)), 201)

    async def ids(request: Request) -> Response:
        return Response(
            msgspec.json.encode(instance.ids(request.path_params["resource"])), media_type="application/json"
        )

    async def record(request: Request) -> Response:
        found = instance.record(request.path_params["resource"], request.path_params["record_id"])
        body = msgspec.json.encode(found)
        return Response(body, 200 if found is not None else 404, media_type="application/json")

    async def drift(request: Request) -> Response:
        return JSONResponse(instance.drift_log.report())

    async def files(request: Request) -> Response:
        if request.method == "PUT":
            instance.files.put(request.path_params["path"], await request.body())
            return JSONResponse({}, 201)
        return JSONResponse(instance.files.paths())

    async def changes(request: Request) -> Response:
        if request.method == "POST":
            planned = [read_change(given) for given in await _objects(request)]
            return JSONResponse({"ids": [instance.plan(change) for change in planned]}, 201)
        body = msgspec.json.encode(instance.timed_changes.report())
        return Response(body, media_type="application/json")

    async def outages(request: Request) -> Response:
        if request.method == "POST":
            for outage in [Outage.read(given) for given in await _objects(request)]:
                instance.outages.plan(outage)
            return JSONResponse({}, 201)
        return JSONResponse(instance.outages.report())

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            given = await _object(request)
            if "now" in given:
                instance.clock.set(None if given["now"] is None else _instant(given["now"]))
            if "advance" in given:
                instance.advance(_seconds(given["advance"]))
        now = datetime.fromtimestamp(instance.clock.now(), UTC)
        return JSONResponse({"now": now.isoformat(), "is_set": instance.clock.is_set})

    async def revoke_tokens(request: Request) -> Response:
        return JSONResponse({"revoked": instance.authority.revoke_tokens()})

    async def clients(request: Request) -> Response:
        given = await _object(request)
        try:
            instance.authority.add_client(
                given["client_id"], given["client_secret"], given.get("scopes"), given.get("active", True)
            )
        except KeyError as error:
            raise SettingError(f"{error.args[0]} is missing") from None
        return JSONResponse({}, 201)

    async def refresh_tokens(request: Request) -> Response:
        given = await _object(request)
        client_id = given.get("client_id", instance.client_id)
        return JSONResponse(
            {
                "refresh_token": instance.issue_refresh_token(
                    client_id, given.get("scopes", ["offline_access"])
                )
            },
            201,
        )

    async def reset(request: Request) -> Response:
        instance.reset()
        return JSONResponse({})

    async def about(request: Request) -> Response:
        switches = {
            switch.name: {
                "meaning": switch.meaning,
                "modes": list(switch.modes),
                "now": instance.settings.switches[switch.name],
            }
            for switch in SWITCHES.values()
        }
        profiles = {name: profile.meaning for name, profile in PROFILES.items()}
        return JSONResponse({"switches": switches, "profiles": profiles, "records": instance.store.seeded()})

    table: list[tuple[str, str, Handler]] = [
        ("GET", "", about),
        ("GET", "/seen", seen),
        ("GET", "/writes", writes),
        ("POST", "/reset_seen", reset_seen),
        ("POST", "/configure", configure),
        ("POST", "/data", data),
        ("GET", "/ids/{resource:path}", ids),
        ("GET", "/record/{resource:path}/{record_id:int}", record),
        ("GET", "/drift", drift),
        ("GET", "/files", files),
        ("PUT", "/files/{path:path}", files),
        ("GET", "/changes", changes),
        ("POST", "/changes", changes),
        ("GET", "/outages", outages),
        ("POST", "/outages", outages),
        ("GET", "/clock", clock),
        ("POST", "/clock", clock),
        ("POST", "/revoke_tokens", revoke_tokens),
        ("POST", "/clients", clients),
        ("POST", "/refresh_tokens", refresh_tokens),
        ("POST", "/reset", reset),
    ]
    return [
        Route(f"/_emulator{path}", _refusing(handler), methods=[method]) for method, path, handler in table
    ]


def _instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise SettingError(f"{value!r} is no time, as 2026-03-30T02:00:00Z") from None


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SettingError("advance is a number of seconds")
    return float(value)


async def _object(request: Request) -> dict[str, Any]:
    value = await _json(request)
    if not isinstance(value, dict):
        raise SettingError("the body must be a JSON object")
    return value


async def _objects(request: Request) -> list[Mapping[str, Any]]:
    value = await _json(request)
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in several):
        raise SettingError("the body must be a JSON object or a list of them")
    return several


async def _json(request: Request) -> Any:
    try:
        return msgspec.json.decode(await request.body() or b"{}")
    except msgspec.DecodeError as error:
        raise SettingError(f"the body is not JSON: {error}") from None


def _refusing(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except (SettingError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    return guarded
