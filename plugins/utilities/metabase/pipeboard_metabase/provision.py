"""Everything in its order: settings, database, permissions, fields, cards, dashboards, trash."""

from __future__ import annotations

from pipeboard_metabase.bodies import COLLECTIONS, card_body, collection_body, dashboard_body
from pipeboard_metabase.connection import keep_database, known_fields, synced
from pipeboard_metabase.fields import describe
from pipeboard_metabase.objects import CARD, COLLECTION, DASHBOARD, Ours
from pipeboard_metabase.permissions import (
    keep_collection_permissions,
    keep_data_permissions,
    keep_groups,
)
from pipeboard_metabase.run import Run
from pipeboard_metabase.server_settings import keep_homepage, keep_settings, wanted_settings


def provision(run: Run, *, with_content: bool = True) -> None:
    """Make Metabase be what the definitions say, or with a dry run say what that would take.

    Without content nothing is done that needs the marts: before the first sync there are none, but
    whoever sets Metabase up first owns it.

    Raises:
        Problem: when Metabase refuses something, or does not find what the warehouse has. What was
            done until then stays, and the next run goes on from there.
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

    ours = Ours(run)
    ours.read_collections()
    collections: dict[str, int] = {}
    for key, parent in COLLECTIONS.items():
        body = collection_body(run, key, collections[parent] if parent else None)
        collections[key] = ours.keep(COLLECTION, key, body)
    keep_collection_permissions(run, collections, everyone, analysts)

    ours.read_contents()
    definitions = run.definitions
    cards = {
        key: ours.keep(CARD, key, card_body(run, card, database, fields, collections["cards"]))
        for key, card in definitions.cards.items()
    }
    dashboards = {
        key: ours.keep(
            DASHBOARD, key, dashboard_body(run, dashboard, cards, collections["pipeboard"])
        )
        for key, dashboard in definitions.dashboards.items()
    }
    defined = {("collection", key) for key in COLLECTIONS}
    defined |= {("card", key) for key in cards} | {("dashboard", key) for key in dashboards}
    ours.archive_all_but(defined)
    keep_homepage(run, next(iter(dashboards.values())))
