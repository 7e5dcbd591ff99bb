"""All operators for Coupa."""

from __future__ import annotations

from coupa_provider.operators.gather_manifests import CoupaGatherManifestsOperator
from coupa_provider.operators.graphql import CoupaGraphQLOperator
from coupa_provider.operators.mark_exported import CoupaMarkExportedOperator
from coupa_provider.operators.plan_partitions import CoupaPlanPartitionsOperator
from coupa_provider.operators.schema_drift import CoupaSchemaDriftOperator
from coupa_provider.operators.sweep_deletions import CoupaSweepDeletionsOperator

__all__ = [
    "CoupaGatherManifestsOperator",
    "CoupaGraphQLOperator",
    "CoupaMarkExportedOperator",
    "CoupaPlanPartitionsOperator",
    "CoupaSchemaDriftOperator",
    "CoupaSweepDeletionsOperator",
]
