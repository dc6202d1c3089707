"""The streams, one file per family.

A new stream: declare it in its family's file, add its operation to
``openapi/refresh.py`` and run that, and list the class here.
"""

from tap_pipedrive.streams.account import Users
from tap_pipedrive.streams.activities import Activities
from tap_pipedrive.streams.base import PipedriveStream
from tap_pipedrive.streams.catalog import Pipelines, Products, Stages
from tap_pipedrive.streams.deals import DealChangelog, DealChangelogSync, DealProducts, Deals
from tap_pipedrive.streams.fields import (
    ActivityFields,
    DealFields,
    OrganizationFields,
    PersonFields,
    ProductFields,
)
from tap_pipedrive.streams.people import Organizations, Persons

STREAMS: tuple[type[PipedriveStream], ...] = (
    Users,
    Pipelines,
    Stages,
    DealFields,
    PersonFields,
    OrganizationFields,
    ProductFields,
    ActivityFields,
    # Fed by one walk, in this order.
    Deals,
    DealProducts,
    DealChangelog,
    DealChangelogSync,
    Persons,
    Organizations,
    Activities,
    Products,
)
