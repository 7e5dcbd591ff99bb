"""Links from a task to what it worked on in Coupa."""

from __future__ import annotations
