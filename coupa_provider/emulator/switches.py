"""Every behaviour of Coupa that no document settles, as a switch with a default.

The numbers U1-U34 are those of the project's list of open questions about Coupa. A client that is to be
trusted has to hold under every mode of every switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switch:
    """One open question and the answers that the emulator can give to it.

    :param name: number in the list of open questions, for instance ``"U7"``.
    :param meaning: what the switch decides, in one line.
    :param modes: allowed values, the default first.
    """

    name: str
    meaning: str
    modes: tuple[str, ...]

    @property
    def default(self) -> str:
        """The value that holds when nobody sets the switch."""
        return self.modes[0]


_ALL = (
    Switch("U1", "status of invalid_client at the token endpoint", ("401", "400")),
    Switch("U2", "call within activation_delay_s of minting its token", ("off", "401")),
    Switch(
        "U3",
        "refresh token after a refresh: replaced, kept, or replaced with the whole family revoked on reuse",
        ("rotate", "keep", "reuse_detect"),
    ),
    Switch("U4", "body of 401 and 403", ("errors", "empty", "html", "error")),
    Switch("U5", "body of 404 for an unknown id", ("errors", "html", "empty")),
    Switch("U6", "status of a failed validation", ("400", "422")),
    Switch("U7", "status of a successful create", ("201", "200")),
    Switch("U8", "limit above 50", ("capped", "400")),
    Switch("U9", "unknown attribute in a query", ("400", "ignored")),
    Switch("U10", "unknown name in fields", ("ignored", "400")),
    Switch("U11", "Retry-After on a 429 of the rate limit", ("absent", "seconds", "date")),
    Switch(
        "U12",
        "scope of the rate limit, and whether its 429 is JSON or HTML",
        ("client", "instance", "client_html", "instance_html"),
    ),
    Switch("U13", "answer that takes longer than request_time_limit_s", ("none", "504")),
    Switch(
        "U14",
        "deep offset: plain, slower as it grows, or beyond max_offset 504, refused (cap) or clamped to it",
        ("plain", "slow", "504", "cap", "clamp"),
    ),
    Switch(
        "U15",
        "id[gt] together with order_by: works, the order is ignored, or the id filter is ignored",
        ("works", "order_ignored", "filter_ignored"),
    ),
    Switch("U16", "letter case when texts are compared", ("insensitive", "sensitive")),
    Switch(
        "U17",
        "several conditions on one list: same line, any line, or same line with one row for each match",
        ("same_line", "any_line", "duplicates"),
    ),
    Switch("U18", "setting the exported flag moves updated-at", ("yes", "no")),
    Switch("U19", "null in an update clears the attribute", ("clears", "ignored")),
    Switch("U20", "reference in a write to a record that does not exist", ("400", "ignored")),
    Switch("U21", "transitions of integration runs", ("lenient", "strict")),
    Switch("U22", "answer of resolve and unresolve", ("object", "array")),
    Switch("U23", "body of load_from_sftp", ("json", "multipart")),
    Switch("U24", "paging of GraphQL", ("query_text", "arguments")),
    Switch("U25", "GraphQL answer for a missing object", ("null", "errors")),
    Switch("U26", "showing one attachment", ("metadata", "binary")),
    Switch("U27", "archive path of loaded files", ("incoming_archive", "archive_incoming")),
    Switch("U28", "body of a successful DELETE", ("empty", "object", "text")),
    Switch("U29", "null keys in JSON", ("present", "omitted")),
    Switch("U30", "exchange rates filtered by both currencies", ("empty", "and")),
    Switch("U31", "token endpoint alias /oauth2/access_tokens", ("works", "404")),
    Switch("U32", "status for a deactivated client or a revoked token", ("401", "400", "403")),
    Switch("U33", "scope text in the token answer", ("echoed", "absent")),
    Switch("U34", "create payload wrapped in its singular name", ("refused", "accepted")),
)

SWITCHES: Mapping[str, Switch] = {switch.name: switch for switch in _ALL}


class Switches(Mapping[str, str]):
    """The position of every switch; immutable.

    :param chosen: positions that differ from the defaults.
    """

    def __init__(self, chosen: Mapping[str, object] | None = None) -> None:
        self._positions = {name: switch.default for name, switch in SWITCHES.items()}
        for name, value in (chosen or {}).items():
            switch = SWITCHES.get(name.upper())
            if switch is None:
                raise ValueError(f"no switch {name!r}; there are U1 to U{len(SWITCHES)}")
            mode = str(value).lower()
            if mode not in switch.modes:
                raise ValueError(
                    f"switch {switch.name} ({switch.meaning}) cannot be {mode!r}; "
                    f"modes are {', '.join(switch.modes)}"
                )
            self._positions[switch.name] = mode

    def __getitem__(self, name: str) -> str:
        return self._positions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def with_changes(self, chosen: Mapping[str, object]) -> Switches:
        """Return a copy with some switches set anew.

        :param chosen: positions to set; the others stay.
        :return: new switches.
        """
        return Switches({**self._positions, **chosen})
