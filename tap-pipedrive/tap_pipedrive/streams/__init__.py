"""The streams, one file per family.

A new stream: declare its class in the file of its family, with one of the types of
``stream_types.py``; children after their parent. Then run ``python -m tap_pipedrive.generate`` (see
there), and select the stream in ``meltano.yml``.
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
