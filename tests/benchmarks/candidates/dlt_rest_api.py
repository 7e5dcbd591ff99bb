"""dlt's rest_api source into its filesystem destination, as Parquet, with its own defaults."""

from __future__ import annotations

import dlt
from dlt.destinations import filesystem
from dlt.sources.helpers.rest_client.auth import OAuth2ClientCredentials
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source
from measuring import PAGE, Task, measure


def source(task: Task, max_table_nesting: int | None = None) -> dlt.sources.DltSource:
    config: RESTAPIConfig = {
        "client": {
            "base_url": f"{task.url}/api/",
            "headers": {"Accept": "application/json"},
            "auth": OAuth2ClientCredentials(
                access_token_url=f"{task.url}/oauth2/token",
                client_id=task.client_id,
                client_secret=task.client_secret,
                access_token_request_data={"scope": "core.invoice.read"},
            ),
            "paginator": {"type": "offset", "limit": PAGE, "total_path": None, "stop_after_empty_page": True},
        },
        "resources": [
            {
                "name": "invoices",
                "primary_key": "id",
                "endpoint": {
                    "path": "invoices",
                    "data_selector": "$",
                    "params": {"id[lt_or_eq]": task.last_id, "order_by": "id", "dir": "asc"},
                },
            }
        ],
    }
    return rest_api_source(config, max_table_nesting=max_table_nesting)


def load(task: Task, max_table_nesting: int | None = None) -> int:
    pipeline = dlt.pipeline(
        pipeline_name=f"invoices_{task.folder.name.replace('-', '_')}",
        pipelines_dir=str(task.folder / "work"),
        destination=filesystem(bucket_url=f"file://{task.folder / 'lake'}"),
        dataset_name="coupa",
    )
    pipeline.run(source(task, max_table_nesting), loader_file_format="parquet")
    return pipeline.last_trace.last_normalize_info.row_counts["invoices"]


def work(task: Task) -> int:
    return load(task)


if __name__ == "__main__":
    measure(work)
