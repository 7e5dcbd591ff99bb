"""Files to records: what was landed goes back to Coupa, once, whatever is lost or killed on the way.

Knows nothing of Airflow. :func:`coupa_provider.push.exported.mark_exported` sets the exported flag.
"""

from __future__ import annotations
