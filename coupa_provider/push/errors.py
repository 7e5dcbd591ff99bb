"""What stops a push."""

from __future__ import annotations

from coupa_provider.client.errors import CoupaGiveUpError


class PushError(CoupaGiveUpError):
    """Records cannot be sent as they are, or Coupa refused them; what was done before stays done.

    The message names the records and what to do.
    """
