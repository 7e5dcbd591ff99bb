"""What Airflow's providers manager asks this package about itself."""

from __future__ import annotations

from typing import Any

from coupa_provider import __version__
from coupa_provider.hooks import connection_form

__all__ = ["get_provider_info"]

INTEGRATION = "Coupa"


def get_provider_info() -> dict[str, Any]:
    """Describe the provider in the terms of Airflow's ``provider_info.schema.json``."""
    asset_uris = [
        {
            "schemes": ["coupa"],
            "handler": "coupa_provider.assets.coupa.sanitize_uri",
            "factory": "coupa_provider.assets.coupa.create_asset",
            "to_openlineage_converter": "coupa_provider.assets.coupa.convert_asset_to_openlineage",
        }
    ]
    return {
        "package-name": "airflow-provider-coupa",
        "name": "Coupa",
        "description": "`Coupa <https://www.coupa.com/>`__: complete extracts, near the rate limit.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://compass.coupa.com/",
                "tags": ["service"],
            },
        ],
        "hooks": [{"integration-name": INTEGRATION, "python-modules": ["coupa_provider.hooks.coupa"]}],
        "operators": [
            {"integration-name": INTEGRATION, "python-modules": ["coupa_provider.operators.coupa"]}
        ],
        "sensors": [{"integration-name": INTEGRATION, "python-modules": ["coupa_provider.sensors.coupa"]}],
        "triggers": [{"integration-name": INTEGRATION, "python-modules": ["coupa_provider.triggers.coupa"]}],
        "transfers": [
            {
                "source-integration-name": INTEGRATION,
                "target-integration-name": "Common IO",
                "python-module": "coupa_provider.transfers.coupa_to_object_storage",
            },
            {
                "source-integration-name": INTEGRATION,
                "target-integration-name": "Common IO",
                "python-module": "coupa_provider.transfers.coupa_attachments_to_object_storage",
            },
            {
                "source-integration-name": INTEGRATION,
                "target-integration-name": "Apache Arrow",
                "python-module": "coupa_provider.transfers.coupa_manifest_to_database",
            },
            {
                "source-integration-name": "Common IO",
                "target-integration-name": INTEGRATION,
                "python-module": "coupa_provider.transfers.object_storage_to_coupa",
            },
        ],
        "connection-types": [
            {
                "connection-type": "coupa",
                "hook-name": "Coupa",
                "hook-class-name": "coupa_provider.hooks.coupa.CoupaHook",
                "conn-fields": connection_form.conn_fields(),
                "ui-field-behaviour": connection_form.conn_ui_field_behaviour(),
            },
        ],
        "notifications": ["coupa_provider.notifications.coupa.CoupaIntegrationErrorNotifier"],
        "extra-links": ["coupa_provider.links.coupa.CoupaRecordLink"],
        # Airflow 2.11 reads the second name only, 3.3 the first only.
        "asset-uris": asset_uris,
        "dataset-uris": asset_uris,
    }
