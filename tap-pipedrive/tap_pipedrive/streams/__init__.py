"""The streams, one file per family.

A new stream: see ``docs/recipes.md``. Children come after their parent.
"""

from tap_pipedrive.streams import (
    account,
    activities,
    catalog,
    deals,
    fields,
    leads,
    people,
    projects,
    statistics,
)
from tap_pipedrive.streams.base import PipedriveStream

__all__ = [
    "STREAMS",
    "account",
    "activities",
    "catalog",
    "deals",
    "fields",
    "leads",
    "people",
    "projects",
    "statistics",
]

#: The class of each stream: the import of its family has registered it.
STREAMS = tuple(PipedriveStream.declared)
