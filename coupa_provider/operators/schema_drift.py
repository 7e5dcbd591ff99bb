"""Compare the tables of an extract with those of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.extract import SCHEMA_CHANGES
from coupa_provider.operators.urls import manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.extract.schema_diff import SchemaDiff
    from coupa_provider.operators.urls import ManifestArgument


class CoupaSchemaDriftOperator(BaseOperator):
    """Log how the tables of an extract differ from those of an earlier one, and fail if they may not.

    Only the two manifests are read. Where there is no earlier extract, there is nothing to compare and the task
    succeeds.

    The task's result, also if it fails: ``resource``, ``manifest`` and ``against`` (URLs, the second None if there is
    nothing), ``breaking`` (whether a column was removed or retyped) and ``changes``, each with ``what``, ``table``,
    ``name``, ``before`` and ``after``.

    :param manifest: the extract: URL of its manifest or folder, or the result of the task that wrote it:
        ``extract.output``. (templated)
    :param against: the earlier one, likewise; None, empty text or a folder without a manifest for none. (templated)
    :param fail_on: changes that fail the task, of ``removed``, ``retyped``, ``added``, ``vanished``, ``appeared`` and
        ``misfit``: see ``coupa_provider.extract.SCHEMA_CHANGES``. (templated: no)
    """

    template_fields: Sequence[str] = ("manifest", "against")
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        manifest: ManifestArgument,
        against: ManifestArgument | None,
        fail_on: Sequence[str] = ("removed", "retyped"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        wrong = (
            [fail_on]
            if isinstance(fail_on, str)
            else [name for name in fail_on if name not in SCHEMA_CHANGES]
        )
        if wrong:
            raise ValueError(f"fail_on {wrong[0]!r} is not a list of {', '.join(SCHEMA_CHANGES)}.")
        self.manifest = manifest
        self.against = against
        self.fail_on = fail_on

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare, and return the differences.

        :raises AirflowFailException: there are changes of ``fail_on``, or the extracts cannot be compared; a retry is
            useless.
        :raises ExtractError: there is no extract to look at, or a manifest cannot be read.
        """
        from coupa_provider.extract.destination import MANIFEST_NAME
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.extract.schema_diff import compare_schemas
        from coupa_provider.object_storage import open_folder

        new = ManifestReader(open_folder(manifest_url("manifest", self.manifest)))
        result: dict[str, Any] = {
            "resource": new.manifest.resource,
            "manifest": new.folder.manifest_url,
            "against": None,
            "breaking": False,
            "changes": [],
        }
        if self.against is None or str(self.against).strip() in ("", "None"):
            self.log.info(
                "%s: no earlier extract is named, so there is nothing to compare", result["resource"]
            )
            return result
        folder = open_folder(manifest_url("against", self.against))
        if not folder.fs.exists(folder.path_of(MANIFEST_NAME)):
            self.log.warning(
                "%s: there is no %s, so there is nothing to compare", result["resource"], folder.manifest_url
            )
            return result
        try:
            diff = compare_schemas(ManifestReader(folder).manifest, new.manifest)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
        result |= {"against": folder.manifest_url, **self._as_json(diff)}
        failing = diff.of(*self.fail_on)
        log = self.log.error if failing else self.log.warning if diff.breaking else self.log.info
        for line in str(diff).splitlines():
            log(line)
        if failing:
            if self.do_xcom_push:
                context["ti"].xcom_push(key="return_value", value=result)
            shown = "; ".join(" ".join(str(change).split()) for change in failing[:5])
            raise AirflowFailException(
                f"{diff.resource}: {len(failing)} change(s) that fail_on names: {shown}"
                f"{'; ...' if len(failing) > 5 else ''}. If they are wanted, clear this task with an extract of today as "
                "against, or take them out of fail_on."
            )
        return result

    def _as_json(self, diff: SchemaDiff) -> dict[str, Any]:
        import msgspec

        return {"breaking": diff.breaking, "changes": msgspec.to_builtins(diff.changes)}
