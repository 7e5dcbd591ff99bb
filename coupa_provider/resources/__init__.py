"""What Coupa has: paths, scopes, keys and types of every documented resource, as data.

The facts live in ``catalog.json`` beside this file, one attribute a line; :mod:`.catalog` reads them.
"""

from __future__ import annotations

from coupa_provider.resources.catalog import (
    Attribute,
    Resource,
    attributes_of_type,
    find_resource,
    resource_paths,
)

__all__ = ["Attribute", "Resource", "attributes_of_type", "find_resource", "resource_paths"]
