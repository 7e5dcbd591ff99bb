"""What became of a file that Coupa has loaded: counts, and the rows it did not take.

A load that is ``done`` may have taken no row at all; only the errors of its rows tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from coupa_provider.watch.data_files import named
from coupa_provider.watch.verdict import State, Verdict

#: Rows and texts that a message names, and rows in a task's result.
_MOST_ROWS = 100
_MOST_TEXTS = 5
_LONGEST_TEXT = 200
_LONGEST_SUMMARY = 500
_MOST_SAMPLES = 20

_RESULT_TEXT = {
    "count": re.compile(r"([\d,]+) rows? processed", re.IGNORECASE),
    "created": re.compile(r"creating ([\d,]+)", re.IGNORECASE),
    "updated": re.compile(r"updating ([\d,]+)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why Coupa did not take a row.

    :param row: its number, as Coupa counts.
    :param first_column: what stands in its first column.
    :param field: the column with the fault.
    :param value: what stands there.
    :param messages: Coupa's messages.
    """

    row: int | None
    first_column: Any
    field: str | None
    value: Any
    messages: tuple[str, ...]

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """Read a member of ``upload-errors``; its messages come as a list or as text."""
        messages = record.get("field-errors")
        listed = messages if isinstance(messages, list) else [] if messages in (None, "") else [messages]
        return cls(
            _whole(record.get("row")),
            record.get("first-column"),
            record.get("field-with-error"),
            record.get("value"),
            tuple(str(message) for message in listed),
        )

    @property
    def text(self) -> str:
        """Field and messages, without the row's values."""
        said = "; ".join(self.messages) or "no message"
        return (f"{self.field}: {said}" if self.field else said)[:_LONGEST_TEXT]


@dataclass(frozen=True, slots=True)
class Load:
    """A load that came to its end.

    :param name: how messages name it.
    :param id: id of the data file source.
    :param file: name of the file as Coupa shows it.
    :param status: as Coupa shows it.
    :param result_text: Coupa's own summary.
    :param records: rows of the file, None where Coupa tells it nowhere.
    :param created: rows that made a record.
    :param updated: rows that changed one.
    :param errors: number of errors, of which a row may have several; None where Coupa tells it nowhere.
    :param row_errors: those that are shown.
    """

    name: str
    id: int
    file: str | None
    status: str | None
    result_text: str | None
    records: int | None
    created: int | None
    updated: int | None
    errors: int | None
    row_errors: tuple[RowError, ...]

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """Read a data file source; older releases tell the counts in ``result-text`` only."""
        result_text = record.get("result-text")
        records, created, updated = (
            _told(record, name, result_text) for name in ("count", "created", "updated")
        )
        listed = record.get("upload-errors")
        row_errors = tuple(RowError.read(one) for one in listed or () if isinstance(one, Mapping))
        known = [len(row_errors)] if listed is not None else []
        if (count := _whole(record.get("upload-errors-count"))) is not None:
            known.append(count)
        if not known and records is not None and records == (created or 0) + (updated or 0):
            known.append(0)  # each row had an effect
        return cls(
            name=named(record),
            id=int(record["id"]),
            file=record.get("file-file-name"),
            status=record.get("status"),
            result_text=result_text,
            errors=max(known, default=None),
            row_errors=row_errors,
            records=records,
            created=created,
            updated=updated,
        )

    def summary(self, errors_file: str | None) -> dict[str, Any]:
        """Return the task's result.

        :param errors_file: URL of the file with all errors, None where there is none.
        """
        return {
            "id": self.id,
            "file": self.file,
            "status": self.status,
            "result_text": self.result_text,
            "records": self.records,
            "created": self.created,
            "updated": self.updated,
            "errors": self.errors,
            "error_rows": [
                {"row": one.row, "field": one.field, "value": one.value, "messages": list(one.messages)}
                for one in self.row_errors[:_MOST_SAMPLES]
            ],
            "errors_file": errors_file,
        }

    def lines(self) -> Iterator[bytes]:
        """Yield the errors as lines of NDJSON: ``row``, ``first_column``, ``field``, ``value``, ``messages``."""
        for one in self.row_errors:
            yield msgspec.json.encode(one) + b"\n"

    def verdict(self, ended: Verdict, max_errors: float, errors_file: str | None) -> Verdict:
        """Say whether the load will do. A pure decision.

        :param ended: how it ended: done or not.
        :param max_errors: so many errors may be, or such a share of the rows.
        :param errors_file: URL of the file with all errors, for the message.
        """
        told = f". Coupa says: {self.result_text.strip()[:_LONGEST_SUMMARY]!r}" if self.result_text else ""
        if ended.state is not State.MET:
            return Verdict(ended.state, f"{ended.reason}{told}{self._details(errors_file)}")
        if self.errors is None:
            return Verdict(
                State.NEVER,
                f"{self.name} is done, but Coupa shows this connection neither upload-errors nor their number, so whether "
                f"rows failed cannot be told{told}",
            )
        if not self.errors:
            return Verdict(State.MET, f"{self.name} is done without errors{told}")
        counted = f"{_count(self.errors, 'error')} in {self._extent()}"
        if self._is_borne(max_errors):
            return Verdict(
                State.MET,
                f"{self.name} is done with {counted}, of which max_errors={max_errors} bears{self._details(errors_file)}",
            )
        return Verdict(
            State.NEVER,
            f"{self.name} is done, but with {counted}; max_errors is {max_errors}{told}{self._details(errors_file)}",
        )

    def _is_borne(self, max_errors: float) -> bool:
        assert self.errors is not None  # noqa: S101 - the caller has looked
        if isinstance(max_errors, int):
            return self.errors <= max_errors
        return self.records is not None and self.errors <= max_errors * self.records

    @property
    def _rows(self) -> list[int]:
        return sorted({one.row for one in self.row_errors if one.row is not None})

    def _extent(self) -> str:
        of = f" of {self.records:,}" if self.records is not None else ""
        return f"{len(self._rows) or 'some'}{of} rows"

    def _details(self, errors_file: str | None) -> str:
        """The rows and what Coupa says of them; values stay out, they are the company's."""
        details = ""
        if rows := self._rows:
            more = f" and {len(rows) - _MOST_ROWS:,} more" if len(rows) > _MOST_ROWS else ""
            listed = ", ".join(map(str, rows[:_MOST_ROWS]))
            details += f". {'Row' if len(rows) == 1 else 'Rows'} {listed}{more}"
        texts = Counter(one.text for one in self.row_errors)
        if texts:
            said = [
                f"{text}{f' ({count:,} times)' if count > 1 else ''}"
                for text, count in texts.most_common(_MOST_TEXTS)
            ]
            other = f" | and {len(texts) - _MOST_TEXTS:,} other messages" if len(texts) > _MOST_TEXTS else ""
            details += f". Coupa's messages: {' | '.join(said)}{other}"
        if self.errors is not None and 0 < len(self.row_errors) < self.errors:
            details += f". Coupa shows {len(self.row_errors):,} of the errors"
        return details + (f". All errors are in {errors_file}" if errors_file else "")


def _told(record: Mapping[str, Any], name: str, result_text: str | None) -> int | None:
    """A number of rows, from its attribute or from Coupa's text."""
    told = _whole(record.get(f"records-{name}"))
    match = _RESULT_TEXT[name].search(result_text or "")
    return _whole(match[1]) if told is None and match else told


def _whole(value: Any) -> int | None:
    text = str(value).replace(",", "").strip()
    return int(text) if not isinstance(value, bool) and text.isdecimal() else None


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
