"""Try a connection out, and say in one sentence what works or what to mend."""

from __future__ import annotations

from collections.abc import Iterator

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError, CoupaScopeError
from coupa_provider.client.token import Token
from coupa_provider.resources import find_resource, resource_paths

#: Small resources to try when the scopes do not say which ones the client may read.
_USUAL = ("departments", "suppliers", "invoices", "purchase_orders", "users")


async def check_connection(client: CoupaClient) -> tuple[bool, str]:
    """Mint a token and read one record.

    :param client: an entered client.
    :return: whether it works, and a message for a person, free of secrets.
    """
    # Whoever asks has often just mended something in Coupa: neither a token nor a refusal of before may hide it.
    client.tokens.start_afresh()
    try:
        token = await client.token()
    except CoupaError as error:
        return False, _sentence(error)
    reached = f"Reached {client.config.instance}; the token lives {_duration(token.lifetime)}"
    refusals: list[str] = []
    for resource in _readable(client, token):
        try:
            records = await client.call("GET", resource, params={"limit": "1", "return_object": "limited"})
        except CoupaScopeError:
            refusals.append(resource)
        except CoupaError as error:
            return False, f"{reached}, but reading {resource} failed: {_sentence(error)}"
        else:
            if not isinstance(records, list):
                return False, f"{reached}, but {resource} did not come as a list. Check the field 'host'"
            found = "one record" if records else "no record there"
            return True, f"{reached}; read {resource} ({found}). {_scopes(client, token)}"
    return False, (
        f"{reached}, but it may not read any of: {', '.join(refusals)} (HTTP 403). Grant the client a read scope in "
        f"Coupa ({client.config.base_url}/oauth2/clients) and name it in the connection's scopes. {_scopes(client, token)}"
    )


def _readable(client: CoupaClient, token: Token) -> Iterator[str]:
    """Yield up to five resources that the scopes allow, else the usual ones."""
    scopes = set(token.scope or client.config.scopes)
    granted = [
        path
        for path in (*_USUAL, *resource_paths())
        if ":" not in path and (resource := find_resource(path)) is not None and resource.read_scope in scopes
    ]
    yield from list(dict.fromkeys(granted or _USUAL))[:5]


def _scopes(client: CoupaClient, token: Token) -> str:
    known = token.scope or client.config.scopes
    if not known:
        return "Coupa did not say which scopes it has"
    shown = ", ".join(known[:6]) + (f" and {len(known) - 6} more" if len(known) > 6 else "")
    return f"Scopes: {shown}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _sentence(error: CoupaError) -> str:
    status = f" (HTTP {error.status})" if error.status is not None else ""
    return f"{error.message}{status}"
