"""Create, update, restore and archive the objects that this project manages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeboard_metabase.client import Client, Refused
from pipeboard_metabase.ownership_tag import OwnershipTag, fingerprint, read_tag, without_tag
from pipeboard_metabase.run import Run
from pipeboard_metabase.views import (
    View,
    card_view,
    collection_view,
    dashboard_view,
    differing,
)

Body = Mapping[str, Any]
Adapt = Callable[[Body, Body], dict[str, Any]]


def _as_is(body: Body, found: Body) -> dict[str, Any]:
    return dict(body)


def with_known_ids(body: Body, found: Body) -> dict[str, Any]:
    """Give tabs and cards of a dashboard the ids that they have in Metabase.

    Subscriptions refer to these ids; with new ids, mails to users would be empty.
    """
    tabs_there = list(found.get("tabs") or [])
    tab_ids = {tab["id"]: there["id"] for tab, there in zip(body["tabs"], tabs_there, strict=False)}
    left = list(found.get("dashcards") or [])
    cards = []
    for card in body["dashcards"]:
        tab = tab_ids.get(card["dashboard_tab_id"], card["dashboard_tab_id"])
        same = [there for there in left if there.get("card_id") == card["card_id"]]
        # A card may be on several tabs: the one on its own tab first.
        same.sort(key=lambda there: there.get("dashboard_tab_id") != tab)
        if same:
            left.remove(same[0])
        cards.append({**card, "dashboard_tab_id": tab, "id": same[0]["id"] if same else card["id"]})
    tabs = [{**tab, "id": tab_ids.get(tab["id"], tab["id"])} for tab in body["tabs"]]
    return {**body, "tabs": tabs, "dashcards": cards}


@dataclass(frozen=True)
class Kind:
    """A kind of object: its API name, how it is compared, which fields creating it accepts."""

    name: str
    view: View
    adapt: Adapt = _as_is
    #: The fields that making one accepts, where setting it accepts more.
    creating: tuple[str, ...] = ()


COLLECTION = Kind("collection", collection_view)
CARD = Kind("card", card_view)
DASHBOARD = Kind(
    "dashboard",
    dashboard_view,
    with_known_ids,
    creating=("name", "description", "collection_id", "collection_position", "parameters"),
)


class ManagedObjects:
    """The objects of one Metabase with an ownership tag, in the managed collections.

    A copy that a user makes has the tag too, but is in another collection. If two objects in the
    managed collections have the same tag, the older one is the original.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._found: dict[tuple[str, str], Body] = {}

    def read_collections(self) -> None:
        """Find the managed collections, also those in the trash."""
        for archived in (False, True):
            listed = self._run.get("collection", [], archived=archived)
            self._note(COLLECTION, [c for c in listed if not c.get("personal_owner_id")])

    def read_contents(self) -> None:
        """Find cards and dashboards in the managed collections, also those in the trash."""
        collections = [
            int(found["id"]) for (kind, _), found in self._found.items() if kind == "collection"
        ]
        managed = set(collections)
        listed: dict[str, list[Body]] = {"card": [], "dashboard": []}
        for collection in collections:
            items = self._run.get(
                f"collection/{collection}/items", {"data": []}, models=["card", "dashboard"]
            )
            for item in items["data"]:
                if item["model"] in listed:
                    listed[item["model"]].append(item)
        for kind in (CARD, DASHBOARD):
            archived = [a for a in self._archived(kind) if a.get("collection_id") in managed]
            self._note(kind, [*listed[kind.name], *archived])

    def _archived(self, kind: Kind) -> list[Body]:
        try:
            return list(self._run.get(kind.name, [], f="archived"))
        except Refused as refused:
            # The list of dashboards is deprecated. Without it, dashboards in the trash are not
            # found and are created again.
            if refused.status == 404:
                return []
            raise

    def _note(self, kind: Kind, listed: list[Body]) -> None:
        for found in sorted(listed, key=lambda found: str(found["id"]).zfill(12)):
            tag = read_tag(found.get("description"))
            if tag and tag.kind == kind.name:
                self._found.setdefault((kind.name, tag.key), found)

    def whole(self, kind: Kind, key: str) -> Body | None:
        """Return all fields of a managed object."""
        found = self._found.get((kind.name, key))
        return self._run.get(f"{kind.name}/{found['id']}", None) if found else None

    def id(self, kind: Kind, key: str) -> int | None:
        """Return the number of a managed object."""
        found = self._found.get((kind.name, key))
        return int(found["id"]) if found else None

    def keep(self, kind: Kind, key: str, body: Body) -> int:
        """Create or update an object so that it equals `body`; return its number."""
        spec = fingerprint(body)
        found = self.whole(kind, key)
        if found is None:
            make = self._making(kind, key, body, spec)
            made = self._run.change("create", kind.name, f"{key}  {body['name']!r}", make)
            return int(made) if made is not None else self._run.unmade()
        tag = read_tag(found.get("description"))
        details = self._why(kind, body, spec, tag, found)
        if details is not None:
            action = "restore" if found.get("archived") else "update"
            set_to = self._setting(kind, key, body, spec, found)
            self._run.change(action, kind.name, f"{key}  {body['name']!r}", set_to, details)
        return int(found["id"])

    def _why(
        self, kind: Kind, body: Body, spec: str, tag: OwnershipTag | None, found: Body
    ) -> list[str] | None:
        """Say what differs, or None if nothing does."""
        wanted, there = kind.view(body), kind.view(found)
        if found.get("archived"):
            return ["it is in the trash", *differing(wanted, there)]
        if tag is None or tag.spec != spec:
            return ["the definition changed", *differing(wanted, there)]
        if not tag.seen:
            return ["it was left unfinished", *differing(wanted, there)]
        if tag.seen != fingerprint(there):
            return ["it was changed in Metabase", *differing(wanted, there)]
        return None

    def _making(self, kind: Kind, key: str, body: Body, spec: str) -> Callable[[Client], int]:
        def make(client: Client) -> int:
            tagged = _tagged(body, OwnershipTag(kind.name, key, spec))
            accepted = kind.creating or tuple(tagged)
            made = client.post(kind.name, {name: tagged[name] for name in accepted})
            if kind.creating:
                client.put(f"{kind.name}/{made['id']}", kind.adapt(tagged, made))
            self._seal(client, kind, key, body, spec, int(made["id"]))
            return int(made["id"])

        return make

    def _setting(
        self, kind: Kind, key: str, body: Body, spec: str, found: Body
    ) -> Callable[[Client], None]:
        def set_to(client: Client) -> None:
            tagged = {**_tagged(body, OwnershipTag(kind.name, key, spec)), "archived": False}
            if kind is COLLECTION and kind.view(found)["parent"] == body["parent_id"]:
                # Naming the parent means to move it.
                del tagged["parent_id"]
            client.put(f"{kind.name}/{found['id']}", kind.adapt(tagged, found))
            self._seal(client, kind, key, body, spec, int(found["id"]))

        return set_to

    def _seal(
        self, client: Client, kind: Kind, key: str, body: Body, spec: str, number: int
    ) -> None:
        """Read back what Metabase stored, and add its hash to the tag.

        Until then the tag has no hash, so that the next run completes an interrupted one.
        """
        seen = fingerprint(kind.view(client.get(f"{kind.name}/{number}")))
        tagged = _tagged(body, OwnershipTag(kind.name, key, spec, seen))
        client.put(f"{kind.name}/{number}", {"description": tagged["description"]})

    def archive_all_but(self, defined: set[tuple[str, str]]) -> None:
        """Move objects without a definition to the trash; cards before their collections."""
        for kind in (DASHBOARD, CARD, COLLECTION):
            for (name, key), found in self._found.items():
                if name == kind.name and (name, key) not in defined and not found.get("archived"):
                    title = f"{key}  {without_tag(found['name'])!r}"
                    self._run.change("archive", name, title, _archiving(f"{name}/{found['id']}"))


def _archiving(path: str) -> Callable[[Client], Any]:
    def archive(client: Client) -> Any:
        return client.put(path, {"archived": True})

    return archive


def _tagged(body: Body, tag: OwnershipTag) -> dict[str, Any]:
    return {**body, "description": tag.on(str(body["description"]))}
