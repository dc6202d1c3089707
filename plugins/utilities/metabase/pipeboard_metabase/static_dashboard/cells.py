"""Values of PostgreSQL as the page carries them."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from itertools import pairwise

#: The longest text that a cell carries; titles of Pipedrive end at 255.
LONGEST_TEXT = 300


def plain(value: object) -> str | float | int | bool | None:
    """Return a value as JSON knows it; numbers as the double that JavaScript has."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Decimal | float):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def stored(value: object) -> str | int | float | list[int] | None:
    """Return a plain value as SQLite has it: truth as 0 and 1, numbers as short as they can be.

    An array is of numbers with two decimals, the smallest first: its first value, and what each of
    the others adds, in hundredths. Small numbers compress well.
    """
    if isinstance(value, list):
        hundredths = [round(number * 100) for number in value]
        return [one - before for before, one in pairwise([0, *hundredths])]
    found = plain(value)
    if isinstance(found, bool) or (isinstance(found, float) and found.is_integer()):
        return int(found)
    return found
