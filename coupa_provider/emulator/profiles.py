"""Bundles of settings under a name. This module is the only place that says what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coupa_provider.emulator.settings import FAULT_KINDS


@dataclass(frozen=True, slots=True)
class Profile:
    """A bundle of settings.

    :param meaning: what it stands for, in one line.
    :param settings: as for the control endpoint.
    """

    meaning: str
    settings: Mapping[str, Any]


PROFILES: Mapping[str, Profile] = {
    "default": Profile("documented behaviour; open questions as most sources suggest", {}),
    "lenient": Profile(
        "ignores what it does not understand, limits nothing",
        {
            "rate_limit": None,
            "switches": {
                "U9": "ignored",
                "U10": "ignored",
                "U16": "insensitive",
                "U17": "any_line",
                "U18": "yes",
                "U19": "ignored",
                "U20": "ignored",
                "U21": "lenient",
                "U22": "object",
                "U34": "accepted",
            },
        },
    ),
    "strict": Profile(
        "refuses whatever may be refused, and makes a new token wait",
        {
            "switches": {
                "U2": "401",
                "U3": "reuse_detect",
                "U6": "422",
                "U8": "400",
                "U9": "400",
                "U10": "400",
                "U14": "cap",
                "U16": "sensitive",
                "U17": "same_line",
                "U18": "yes",
                "U19": "clears",
                "U20": "400",
                "U21": "strict",
                "U22": "object",
                "U31": "404",
                "U34": "refused",
            },
        },
    ),
    "hostile": Profile(
        "the worst that is still a Coupa: odd bodies, ignored arguments, faults, drift, delay",
        {
            "switches": {
                "U1": "400",
                "U4": "html",
                "U5": "html",
                "U6": "422",
                "U7": "200",
                "U9": "ignored",
                "U11": "date",
                "U12": "instance_html",
                "U14": "slow",
                "U15": "order_ignored",
                "U17": "duplicates",
                "U18": "no",
                "U19": "ignored",
                "U20": "ignored",
                "U22": "array",
                "U28": "text",
                "U29": "omitted",
                "U31": "404",
                "U32": "403",
                "U33": "absent",
            },
            "latency": {"fixed_ms": 80, "jitter_ms": 120, "per_1000_offset_ms": 100},
            "faults": {
                "rate": 0.03,
                "seed": 1,
                "kinds": [kind for kind in FAULT_KINDS if kind != "stall"],
            },
            "drift": {"resource": "invoices", "inserts_per_s": 2, "updates_per_s": 10, "deletes_per_s": 0.5},
        },
    ),
}
