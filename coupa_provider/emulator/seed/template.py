"""JSON of a record as text with gaps, so that thousands of wide records a second can be made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from coupa_provider.emulator.attributes import readable_attributes

_FIRST = ("id", "created-at", "updated-at")


def fragment(value: object) -> str:
    """Return a value as JSON text.

    :param value: plain object.
    :return: JSON.
    """
    return msgspec.json.encode(value).decode()


class Template:
    """All readable attributes of a type, most of them fixed.

    :param type_name: type of the catalog.
    :param gaps: attributes that differ from record to record; undocumented ones come last.
    :param fixed: JSON of attributes that never differ. All others are null, or an empty list.
    :param leave_out: documented attributes that are not in the record.
    """

    def __init__(
        self,
        type_name: str,
        gaps: Iterable[str],
        fixed: Mapping[str, str] | None = None,
        leave_out: Iterable[str] = (),
    ) -> None:
        fixed = fixed or {}
        wanted = set(gaps)
        attributes = readable_attributes(type_name)
        skipped = set(leave_out)
        names = [name for name in _FIRST if name in attributes and name not in skipped]
        names += [name for name in attributes if name not in _FIRST and name not in skipped]
        names += [name for name in (*sorted(wanted), *fixed) if name not in attributes]
        parts: list[str] = []
        order: list[str] = []
        for name in dict.fromkeys(names):
            if name in wanted:
                order.append(name)
                parts.append(f'"{name}":%s')
            else:
                is_list = name in attributes and attributes[name].base == "list"
                value = fixed.get(name, "[]" if is_list else "null")
                parts.append(f'"{name}":{value}'.replace("%", "%%"))
        self._text = "{" + ",".join(parts) + "}"
        self._order = order

    def render(self, values: Mapping[str, str]) -> str:
        """Fill the gaps.

        :param values: JSON text for every gap.
        :return: JSON of the record.
        """
        return self._text % tuple([values[name] for name in self._order])
