"""The five fields of a schedule as Kubernetes reads them; no schema looks into the string."""

from __future__ import annotations

import re

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
ITEM = re.compile(r"(?:(\*|\?)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def cron_problem(schedule: str) -> str | None:
    """Say what is wrong with a schedule, None if nothing is."""
    values = schedule.split()
    if len(values) != len(FIELDS):
        return f"{len(values)} fields instead of {len(FIELDS)}"
    for word, (name, low, high, names) in zip(values, FIELDS, strict=True):
        for item in word.split(","):
            found = ITEM.fullmatch(item)
            if not found:
                return f"{name}: {item!r}"
            _, first, last, every = found.groups()
            values = []
            for text in filter(None, (first, last)):
                if text.lower() in names:
                    values.append(list(names).index(text.lower()) + low)
                elif text.isdigit():
                    values.append(int(text))
                else:
                    return f"{name}: {text!r}"
            if any(not low <= value <= high for value in values):
                return f"{name}: {item!r} is outside {low}-{high}"
            if values != sorted(values) or every == "0":
                return f"{name}: {item!r}"
    return None
