"""All operators for Coupa."""

from __future__ import annotations

from coupa_provider.operators.action import CoupaActionOperator
from coupa_provider.operators.create_record import CoupaCreateOperator
from coupa_provider.operators.end_integration_run import CoupaEndIntegrationRunOperator
from coupa_provider.operators.gather_manifests import CoupaGatherManifestsOperator
from coupa_provider.operators.get_record import CoupaGetOperator
from coupa_provider.operators.graphql import CoupaGraphQLOperator
from coupa_provider.operators.mark_exported import CoupaMarkExportedOperator
from coupa_provider.operators.plan_partitions import CoupaPlanPartitionsOperator
from coupa_provider.operators.report_outcomes import CoupaReportOutcomesOperator
from coupa_provider.operators.request import CoupaRequestOperator
from coupa_provider.operators.schema_drift import CoupaSchemaDriftOperator
from coupa_provider.operators.start_integration_run import CoupaStartIntegrationRunOperator
from coupa_provider.operators.sweep_deletions import CoupaSweepDeletionsOperator
from coupa_provider.operators.update_record import CoupaUpdateOperator
from coupa_provider.operators.upload_attachment import CoupaUploadAttachmentOperator

__all__ = [
    "CoupaActionOperator",
    "CoupaCreateOperator",
    "CoupaEndIntegrationRunOperator",
    "CoupaGatherManifestsOperator",
    "CoupaGetOperator",
    "CoupaGraphQLOperator",
    "CoupaMarkExportedOperator",
    "CoupaPlanPartitionsOperator",
    "CoupaReportOutcomesOperator",
    "CoupaRequestOperator",
    "CoupaSchemaDriftOperator",
    "CoupaStartIntegrationRunOperator",
    "CoupaSweepDeletionsOperator",
    "CoupaUpdateOperator",
    "CoupaUploadAttachmentOperator",
]
