"""A text for each decimal number so that texts sort as the numbers do.

SQLite knows no exact decimals and Coupa's have up to 46 digits, so comparing them as floats would lie.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_NEGATIVE, _ZERO, _POSITIVE = "0", "1", "2"
_EXPONENT_SHIFT = 500_000
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def decimal_key(value: object) -> str | None:
    """Return a sortable text for a number.

    :param value: a number, or text that holds one.
    :return: text that compares as the number does and is equal for equal numbers; None for no number.
    """
    if value is None:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    if not number:
        return _ZERO
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    magnitude = f"{number.adjusted() + _EXPONENT_SHIFT:07d}{digits}"
    if number > 0:
        return _POSITIVE + magnitude
    # Complemented, a greater magnitude sorts lower; the tilde puts a prefix behind what it begins.
    return _NEGATIVE + magnitude.translate(_COMPLEMENT) + "~"
