"""Provision in order: settings, database, permissions, fields, cards, dashboards, trash."""

from __future__ import annotations

from pipeboard_metabase.bodies import COLLECTIONS, card_body, collection_body, dashboard_body
from pipeboard_metabase.connection import keep_database, known_fields, synced
from pipeboard_metabase.fields import describe
from pipeboard_metabase.objects import CARD, COLLECTION, DASHBOARD, ManagedObjects
from pipeboard_metabase.permissions import (
    keep_collection_permissions,
    keep_data_permissions,
    keep_groups,
)
from pipeboard_metabase.run import Run
from pipeboard_metabase.server_settings import keep_homepage, keep_settings, wanted_settings


def provision(run: Run, *, with_content: bool = True) -> None:
    """Bring Metabase into the state of the definitions; a dry run reports the changes only.

    Without content, the steps that need the marts are left out: before the first sync there are no
    marts, but the first visitor of a fresh Metabase becomes its administrator.

    Raises:
        PipeboardError: when Metabase refuses a request, or does not find a table of the
            warehouse. Earlier changes stay, and the next run continues from there.
    """
    keep_settings(run, wanted_settings(run.settings))
    database = keep_database(run)
    everyone, analysts = keep_groups(run)
    keep_data_permissions(run, database, everyone, analysts)
    if not with_content:
        return
    tables = synced(run, database)
    describe(run, database, tables)
    fields = known_fields(run, tables)

    managed = ManagedObjects(run)
    managed.read_collections()
    collections: dict[str, int] = {}
    for key, parent in COLLECTIONS.items():
        body = collection_body(run, key, collections[parent] if parent else None)
        collections[key] = managed.keep(COLLECTION, key, body)
    keep_collection_permissions(run, collections, everyone, analysts)

    managed.read_contents()
    definitions = run.definitions
    cards = {
        key: managed.keep(CARD, key, card_body(run, card, database, fields, collections["cards"]))
        for key, card in definitions.cards.items()
    }
    dashboards = {
        key: managed.keep(
            DASHBOARD, key, dashboard_body(run, dashboard, cards, collections["pipeboard"])
        )
        for key, dashboard in definitions.dashboards.items()
    }
    defined = {("collection", key) for key in COLLECTIONS}
    defined |= {("card", key) for key in cards} | {("dashboard", key) for key in dashboards}
    managed.archive_all_but(defined)
    keep_homepage(run, next(iter(dashboards.values())))
