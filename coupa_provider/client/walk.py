"""A complete walk: every record that matches, once, or a clear failure.

Offsets shift when rows are added or change, and Coupa gives no total and no cursor (article 0006). So a walk
goes by id: ``id[gt]=last & order_by=id & dir=asc``. One page answers a small resource. For a larger one the
highest id is asked for, the ids between are cut into ranges that are read at a time, and a range is split
when there is room for one more request; the shared pace, not the number of ranges, sets the speed. At the
end the walk goes on from the highest id, for rows born meanwhile.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from coupa_provider.client.answer import Answer
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaIncompleteError,
    CoupaQueryError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.id_ranges import LAST_ID, IdRange, IdRanges
from coupa_provider.client.page import Counters, Page
from coupa_provider.client.page_reader import PageContent, PageReader
from coupa_provider.client.query import (
    Condition,
    encode_fields,
    encode_query,
    parse_filters,
    top_level_fields,
    window_conditions,
)
from coupa_provider.client.spans import (
    Span,
    density_of,
    needs_confirmation,
    plan_spans,
    split_widest,
    workers_for,
)
from coupa_provider.resources import Resource, find_resource

#: The most Coupa gives, and the steps down when even that takes it too long.
PAGE_SIZES = (50, 20, 5)
#: Ids or keys to ask for at a time: a page that is not full needs no second one to prove that it was all.
BATCH = PAGE_SIZES[0] - 1
#: Pages that may wait for the consumer; more are not fetched.
_WAITING_PAGES = 8
#: Requests a second that Coupa takes at most. An emulator on this machine may take more, but is near: more
#: requests under way would only wait for each other there.
_MOST_RATE = 25.0
#: An attribute no instance has: tells whether an instance refuses unknown ones.
_CANARY = "airflow_provider_coupa_probe"


class Walk:
    """One walk over the records of a resource. Nothing is sent before iteration begins.

    :param client: an entered client.
    :param resource: path under ``/api``: ``"invoices"``.
    :param filters: Coupa's query keys with Python values; see :func:`.query.parse_filters`.
    :param fields: attributes to return, nested; None for Coupa's default. ``id`` is always asked for.
    :param updated_since: first instant of ``updated-at`` inside the window, aware.
    :param updated_until: first instant of ``updated-at`` after the window, aware.
    :param covered: ranges of ids that an earlier, interrupted walk of the same query has handed on; they are
        left out.
    :raises CoupaQueryError: the query is wrong.
    """

    def __init__(
        self,
        client: CoupaClient,
        resource: str,
        *,
        filters: Mapping[str, Any] | None = None,
        fields: Sequence[Any] | None = None,
        updated_since: datetime | None = None,
        updated_until: datetime | None = None,
        covered: Sequence[IdRange] = (),
    ) -> None:
        self.client = client
        self.resource = resource.strip("/")
        if self.resource.rpartition("/")[2].isdigit():
            raise CoupaQueryError(
                f"{resource!r} is one record, not a list. Name the resource, and use get for a single record."
            )
        self.counters = Counters()
        #: What a person should know about how the walk went.
        self.reports: list[str] = []
        known = find_resource(self.resource)
        conditions, arguments = parse_filters(filters, known)
        window = window_conditions(updated_since, updated_until, conditions)
        needed = ["id", "updated_at"] if window else ["id"]
        encoded = encode_fields(fields, always=needed)
        self._report_unlisted_values(conditions, known)
        self._asked = (
            [*top_level_fields(fields), *(name.replace("_", "-") for name in needed)] if fields else []
        )
        self._after, self._upto, conditions = _fold_id_bounds(conditions)
        self._conditions = conditions + window
        documented = set(known.attributes) if known else set()
        self._reader = PageReader(self.resource, [_by_association(c, documented) for c in self._conditions])
        self._arguments = list(arguments.items()) + ([("fields", encoded)] if encoded else [])
        self._limit = PAGE_SIZES[0]
        self._gaps = IdRanges(covered).gaps(*self.id_range)
        self._spans: list[Span] = []
        self._deliver: Callable[[Page], Awaitable[None]]

    @property
    def instance(self) -> str:
        """Host of the instance."""
        return self.client.config.instance

    @property
    def id_range(self) -> IdRange:
        """The ids the whole walk is about: the pages and what was ``covered`` before add up to it."""
        return 0 if self._after is None else self._after, LAST_ID if self._upto is None else self._upto

    @property
    def query(self) -> dict[str, str]:
        """The arguments that say what is asked for; ranges of ids, order and page size come on top."""
        bounds = _bounds(self._after, self._upto)
        return dict([*((c.key, c.text) for c in self._conditions), *bounds, *self._arguments])

    async def pages(self) -> AsyncIterator[Page]:
        """Yield checked pages as they come: rising ids within a page, pages in no order.

        Leaving the iteration early stops all requests.

        :raises CoupaIncompleteError: Coupa's answers cannot be trusted to hold every record.
        :raises CoupaError: a request failed for good.
        """
        waiting: asyncio.Queue[Page] = asyncio.Queue(_WAITING_PAGES)
        self._deliver = waiting.put
        work = asyncio.create_task(self._run())
        upcoming: asyncio.Task[Page] | None = None
        try:
            while True:
                upcoming = asyncio.create_task(waiting.get())
                await asyncio.wait((upcoming, work), return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    upcoming.cancel()
                    break
                yield upcoming.result()
            while not waiting.empty():
                yield waiting.get_nowait()
            await work
        finally:
            unfinished = [task for task in (work, upcoming) if task is not None]
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def sample(self, positions: Sequence[int]) -> list[list[int]]:
        """Look at the records here and there, without walking.

        :param positions: ids, each before a place to look at.
        :return: for each of them the ids of the first page after it, rising; empty if nothing comes after.
        :raises CoupaIncompleteError: Coupa ignored a part of the query.
        :raises CoupaError: a request failed for good.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                pages = [tasks.create_task(self._fetch(position, self._upto)) for position in positions]
        except ExceptionGroup as group:
            raise _first(group) from None
        return [page.result().in_order().ids for page in pages]

    async def highest_id(self, known: int) -> int:
        """Ask for the highest id that matches, without walking.

        :param known: highest id met so far.
        :return: the id, or the one given if there is nothing above it.
        :raises CoupaError: as :meth:`sample`.
        """
        return await self._highest_id(known, met=known)

    async def _run(self) -> None:
        try:
            await self._walk()
        except ExceptionGroup as group:  # one clear error instead of a group of its echoes
            raise _first(group) from None

    async def _walk(self) -> None:
        if not self._gaps:
            return
        # The first page is asked for as if nothing were covered: only so it shows how Coupa takes such a query, and
        # whether it gives fewer records a page. A range with little left could not tell.
        low, high = self.id_range
        first = await self._fetch(low, high)
        await self._check_filters(first)
        if not first.full and not await self._capped(first, high):
            page = first.in_order()
        elif first.rising:
            page = replace(first.page, upto=first.page.ids[-1])
        else:
            await self._walk_unsorted(first)
            return
        for piece in _pieces(page, self._gaps):
            await self._emit(piece)
        gaps = [(max(after, page.upto), upto) for after, upto in self._gaps if upto > page.upto]
        if not gaps:
            return
        # What comes above the highest id is read at the end, for rows born during the walk.
        open_after, end = gaps.pop()
        top = min(await self._highest_id(open_after, met=page.ids[-1]), end)
        if top > open_after:
            gaps.append((open_after, top))
        density = density_of(page.ids, low)
        if gaps:
            self._spans = self._plan(gaps, density)
            async with asyncio.TaskGroup() as tasks:
                for span in list(self._spans):
                    tasks.create_task(self._read_span(span, tasks))
        await self._read_tail(max(open_after, top), end)

    def _plan(self, gaps: Sequence[IdRange], density: float) -> list[Span]:
        """Cut what is left into ranges, the workers shared out by width."""
        workers, width = self._workers(), sum(high - low for low, high in gaps)
        return [
            span
            for low, high in gaps
            for span in plan_spans(
                low, high, density, workers=max(1, workers * (high - low) // width), page_size=self._limit
            )
        ]

    async def _read_span(self, span: Span, tasks: asyncio.TaskGroup) -> None:
        """Read one range, and let others share it while there is room for more requests."""
        while span.after < span.upto:
            content = await self._fetch(span.after, span.upto)
            if not content.rising:
                raise self._sort_lost()
            page, full = content.page, content.full
            if page.ids:
                span.density = density_of(page.ids, span.after)
            kept = _cut(page, span.upto)
            # Moved on before the page is handed over: while that waits, others may split what is left.
            span.after = page.ids[-1] if full else span.upto
            if span.after >= span.upto:
                self._spans.remove(span)
            await self._emit(kept)
            while len(self._spans) < self._workers():
                upper = split_widest(self._spans, self._limit)
                if upper is None:
                    break
                self._spans.append(upper)
                tasks.create_task(self._read_span(upper, tasks))

    async def _read_tail(self, after: int, end: int) -> None:
        """Go on from the highest id: rows born during the walk."""
        while after < end:
            content = await self._fetch(after, end)
            if not content.rising:
                raise self._sort_lost()
            await self._emit(content.page)
            if not content.full:
                return
            after = content.page.ids[-1]

    async def _walk_unsorted(self, first: PageContent) -> None:
        """Walk without trusting the order: a range whose page is full is cut in two and asked for again."""
        self._report(
            "Coupa ignored order_by=id: every range of ids is read until its page is not full, which costs up to "
            "four times the requests"
        )
        density = len(first.page.ids) / max(1, max(first.page.ids) - min(first.page.ids) + 1)
        gaps = list(self._gaps)
        low, end = gaps.pop()
        known = max(first.page.ids)
        # Rows born meanwhile stand above the top of before.
        while True:
            top = min(await self._top_by_probing(max(low, known)), end)
            if top > low:
                gaps.append((low, top))
            if not gaps:
                break
            await self._read_all_unsorted(gaps, density)
            gaps, low, known = [], top, top
        if low < end:
            await self._emit(Page([], [], low, end))

    async def _read_all_unsorted(self, gaps: Sequence[IdRange], density: float) -> None:
        workers = self._workers()
        slices = (
            span
            for low, high in gaps
            for span in plan_spans(low, high, density, workers=workers * 4, page_size=self._limit)
        )

        async def read_slices() -> None:
            for span in slices:
                await self._read_unsorted(span.after, span.upto)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(read_slices())

    async def _read_unsorted(self, after: int, upto: int) -> None:
        ranges = [(after, upto)]
        while ranges:
            low, high = ranges.pop()
            content = await self._fetch(low, high)
            if content.full and high - low > 1:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]
            else:
                await self._emit(content.in_order())

    async def _highest_id(self, after: int, *, met: int) -> int:
        """Ask for the highest id that matches; the walk goes on above it anyway.

        :param after: only what comes above it matters.
        :param met: highest id met so far: less than that is no answer to the question.
        """
        content = await self._fetch(self._after, self._upto, descending=True)
        if not content.page.ids:
            return after
        if content.page.ids[0] > after:
            return content.page.ids[0]
        if content.page.ids[0] < met:
            self._report("Coupa ignored dir=desc: the highest id was found by probing")
        return await self._top_by_probing(after)

    async def _top_by_probing(self, known: int) -> int:
        """Find an id above which there is nothing, or the id given if nothing is above it."""
        top, step = known, 64
        while self._upto is None or top < self._upto:
            content = await self._fetch(top, self._upto)
            if not content.page.ids:
                return top
            top = max(*content.page.ids, top + step)
            step *= 4
            if self._upto is not None:
                top = min(top, self._upto)
        return top

    async def _capped(self, first: PageContent, upto: int) -> bool:
        """Find out whether a short first page is a lower ceiling of this instance rather than the end."""
        if not needs_confirmation(first.received, self._limit):
            return False
        if first.rising and not (await self._fetch(first.page.ids[-1], upto)).page.ids:
            return False
        if first.rising:
            self._report(
                f"Coupa gives no more than {first.received} records a page here, though {self._limit} were asked for"
            )
        self._limit = first.received
        return True

    async def _check_filters(self, first: PageContent) -> None:
        """Make sure that no condition was dropped, as far as the first page can tell."""
        if not first.page.ids:
            return
        unseen = self._reader.undecided(first.page) if self._conditions else []
        unproved = [condition.key for condition in unseen if condition.base is None]
        if unproved and await self._ignores_unknown_attributes():
            raise CoupaQueryError(
                f"Coupa's answers do not show whether it applied the condition on {', '.join(unproved)}, which the "
                "documents do not know, and this instance ignores attributes it does not know. Check the name, or "
                "name the attribute in fields so that each record can be checked"
            )
        if any(condition.path == ("updated_at",) for condition in unseen):
            self._report("The records do not show updated-at, so the window could not be checked")
        if self._asked:
            records = [
                msgspec.json.decode(record, type=dict[str, msgspec.Raw]) for record in first.page.records
            ]
            missing = [name for name in self._asked if not any(name in record for record in records)]
            if missing:
                self._report(
                    f"No record of the first page has: {', '.join(missing)}. Unknown to Coupa, or not shown to this client"
                )

    async def _ignores_unknown_attributes(self) -> bool:
        try:
            query = encode_query([(_CANARY, "1"), ("limit", "1")])
            await self.client.request("GET", self.resource, query=query, counters=self.counters)
        except CoupaValidationError:
            return False
        return True

    async def _fetch(self, after: int | None, upto: int | None, *, descending: bool = False) -> PageContent:
        """Fetch one page and check it; ask for fewer records if Coupa takes too long."""
        upto = None if upto == LAST_ID else upto
        while True:
            limit = 1 if descending else self._limit
            query = encode_query(
                [
                    *((condition.key, condition.text) for condition in self._conditions),
                    *_bounds(after, upto),
                    ("order_by", "id"),
                    ("dir", "desc" if descending else "asc"),
                    ("limit", str(limit)),
                    *self._arguments,
                ]
            )
            contents: list[PageContent] = []

            def check(answer: Answer, limit: int = limit, into: list[PageContent] = contents) -> None:
                into.append(self._reader.read(answer, after=after, upto=upto, limit=limit))

            try:
                await self.client.request(
                    "GET", self.resource, query=query, check=check, counters=self.counters
                )
            except CoupaUnavailableError as error:
                smaller = next((size for size in PAGE_SIZES if size < limit), None)
                if not error.timed_out or smaller is None:
                    raise
                if smaller < self._limit:
                    self._limit = smaller
                    self._report(
                        f"Coupa took too long for {limit} records a page: asked for {smaller} from then on"
                    )
            else:
                return contents[-1]

    def _workers(self) -> int:
        """How many requests should be under way now."""
        return workers_for(min(self.client.pacer.rate, _MOST_RATE), self.client.latency)

    async def _emit(self, page: Page) -> None:
        # A page without records counts as well: it says that there are none in its range.
        self.counters.records += len(page.ids)
        await self._deliver(page)

    def _report_unlisted_values(self, conditions: Sequence[Condition], known: Resource | None) -> None:
        """A misspelt value finds nothing, which looks like an empty table: say which one is not documented."""
        for condition in conditions:
            attribute = known.attributes.get(condition.path[0].replace("_", "-")) if known else None
            if attribute is None or len(condition.path) > 1 or condition.operator not in ("", "in"):
                continue
            odd = [
                value for value in condition.values if attribute.allowed and value not in attribute.allowed
            ]
            if odd:
                self._report(
                    f"The documents do not list {', '.join(odd)} among the values of {attribute.name}: "
                    f"{', '.join(attribute.allowed)}"
                )

    def _report(self, text: str) -> None:
        if text not in self.reports:
            self.reports.append(text)

    def _sort_lost(self) -> CoupaIncompleteError:
        return CoupaIncompleteError(
            f"Coupa sorted the first page of {self.resource!r} by id but not a later one, so records may have been "
            "passed over. Nothing of this walk can be used; run it again"
        )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _pieces(page: Page, gaps: Sequence[IdRange]) -> list[Page]:
    """Return what a page says of the ranges that are not covered yet."""
    pieces = []
    for after, upto in gaps:
        after, upto = max(after, page.after), min(upto, page.upto)
        if after < upto:
            first, last = bisect_right(page.ids, after), bisect_right(page.ids, upto)
            pieces.append(Page(page.records[first:last], page.ids[first:last], after, upto))
    return pieces


def _cut(page: Page, upto: int) -> Page:
    """Leave out what belongs to the range that was split off while the page was on its way."""
    if page.upto <= upto:
        return page
    keep = bisect_right(page.ids, upto)
    return Page(page.records[:keep], page.ids[:keep], page.after, upto)


def _bounds(after: int | None, upto: int | None) -> list[tuple[str, str]]:
    bounds = [("id[gt]", str(after))] if after is not None else []
    return bounds + ([("id[lt_or_eq]", str(upto))] if upto is not None else [])


def _fold_id_bounds(conditions: Sequence[Condition]) -> tuple[int | None, int | None, list[Condition]]:
    """Take a user's own bounds on id as the ends of the walk: a key may stand in a query once only."""
    after: int | None = None
    upto: int | None = None
    rest: list[Condition] = []
    for condition in conditions:
        if condition.path != ("id",) or condition.operator not in ("gt", "gt_or_eq", "lt", "lt_or_eq"):
            rest.append(condition)
            continue
        try:
            bound = int(condition.text)
        except ValueError:
            raise CoupaQueryError(
                f"filters: {condition.key!r} needs a whole number; got {condition.text!r}."
            ) from None
        if condition.operator in ("gt", "gt_or_eq"):
            low = bound - (condition.operator == "gt_or_eq")
            after = low if after is None else max(after, low)
        else:
            high = bound - (condition.operator == "lt")
            upto = high if upto is None else min(upto, high)
    return after, upto, rest


def _by_association(condition: Condition, documented: set[str]) -> Condition:
    """Look at ``supplier_id`` as ``supplier[id]``: records show the association, not its key."""
    name = condition.path[0]
    owner = name.removesuffix("_id")
    if condition.base is None and owner != name and owner.replace("_", "-") in documented:
        return replace(condition, path=(owner, "id", *condition.path[1:]), base="integer")
    return condition
