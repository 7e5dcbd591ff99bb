"""Blueprints of the records in which integrations tell what they did."""

from __future__ import annotations

from coupa_provider.emulator.seed.blueprint import Blueprint
from coupa_provider.emulator.seed.draft import Draft
from coupa_provider.emulator.seed.template import fragment
from coupa_provider.emulator.seed.world import World, quoted

_DOCUMENTS = (
    ("OrderHeader", "purchase_orders"),
    ("InvoiceHeader", "invoices"),
    ("ExpenseReport", "expense_reports"),
    ("Supplier", "suppliers"),
)


def _integration(world: World, number: int, record_id: int) -> dict[str, str]:
    words = ("PO", "INVOICE", "SUPPLIER", "RECEIPT", "ACCOUNT", "FX")
    code = f"ERP_{words[number % 6]}" + ("" if number < 6 else f"_{number // 6 + 1}")
    return {"code": quoted(code), "name": quoted(code.replace("_", " ").title())}


def _run_fill(draft: Draft) -> dict[str, str]:
    records = int(draft.chance() * 500)
    status = draft.pick(
        ('"successful"', '"successful"', '"successful"', '"failed"', '"errored"', '"started"')
    )
    done = status != '"started"'
    return {
        "status": status,
        "start-time": draft.values["created-at"],
        "end-time": draft.values["updated-at"] if done else "null",
        "total-records": str(records),
        "records-processed": str(records if done else records // 2),
        "integration": draft.pick(draft.world.pool("integrations")),
        "flow": "null",
    }


def _document(draft: Draft) -> dict[str, str]:
    kind, path = _DOCUMENTS[draft.number % len(_DOCUMENTS)]
    ids = draft.world.ids(path)
    return {
        "document-type": quoted(kind),
        "document-id": str(ids[int(draft.chance() * len(ids))]) if ids else "null",
        "contact-alert-type": draft.pick(('"Functional"', '"Technical"', '"Both"')),
        "resolved": "true" if draft.chance() < 0.7 else "false",
        "integration": draft.pick(draft.world.pool("integrations")),
        "integration-run-id": draft.pick(
            [str(run) for run in draft.world.ids("integration_runs")[:50]] or ["null"]
        ),
    }


def _history_fill(draft: Draft) -> dict[str, str]:
    good = draft.chance() < 0.8
    answer = {
        "response-code": f"{'OK' if good else 'ERR'}-{draft.id}",
        "response-message": "posted" if good else "Über limit",
    }
    return {
        **_document(draft),
        "document-status": draft.pick(('"issued"', '"approved"')),
        "status": '"Success"' if good else '"Error"',
        "responses": fragment([{"id": draft.id, **answer}]),
    }


def _data_file_fill(draft: Draft) -> dict[str, str]:
    status = draft.pick(('"done"', '"done"', '"done"', '"Failed"', '"Loading"', '"Pending"'))
    kind = draft.pick(("Supplier", "InvoiceHeader", "LookupValue", "Account", "User", "Item"))
    rows = int(draft.chance() * 200)
    errors = [
        {
            "id": draft.id * 100 + place,
            "type": "UploadRowError",
            "row": place + 2,
            "first-column": f"{place:04d}",
            "field-with-error": "name",
            "value": f"TEST{place}",
            "field-errors": ["Name has already been taken"],
        }
        for place in range(int(draft.chance() * 4) if status == '"done"' else 0)
    ]
    done = status == '"done"'
    return {
        "type": '"BackgroundCsvFileLoad"',
        "source-for": quoted(kind),
        "status": status,
        "file-file-name": quoted(f"_Incoming_{kind}s_{kind.lower()}_{draft.id}.csv"),
        "file-content-type": '"text/csv"',
        "file-file-size": quoted(str(rows * 83)),
        "progress": str(rows) if done else "null",
        "result-text": quoted(f"{rows} rows processed, creating 0 new rows and updating {rows} rows.")
        if done
        else "null",
        "records-count": str(rows),
        "records-created": "0",
        "records-updated": str(rows - len(errors) if rows > len(errors) else 0),
        "upload-errors-count": str(len(errors)),
        "upload-errors": fragment(errors),
    }


BLUEPRINTS = (
    Blueprint("integrations", 12, False, _integration),
    Blueprint("integration_runs", 400, True, None, _run_fill),
    Blueprint("integration_errors", 250, True, None, _document),
    Blueprint("integration_history_records", 1000, True, None, _history_fill),
    Blueprint("data_file_sources", 200, True, None, _data_file_fill),
)
