"""Permissions: everyone can read the dashboards; analysts can also write questions.

Only the entries of the managed database and collections are sent; Metabase does not change entries
that are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeboard_metabase.client import Client, Refused
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.run import Run
from pipeboard_metabase.setup import magic_groups

ANALYSTS = "Pipeboard analysts"
ATTEMPTS = 5
#: What a group may do with the database. Without a paid edition every user may see its data;
#: only the right to write questions can be set.
READ_ONLY = {"view-data": "unrestricted", "create-queries": "no"}
ASK = {"view-data": "unrestricted", "create-queries": "query-builder-and-native"}
#: The meaning of a graph without an entry.
DEFAULT_GRANT = {"view-data": "unrestricted", "create-queries": "no"}

Grants = Mapping[str, Mapping[str, Any]]


def keep_groups(run: Run) -> tuple[int, int]:
    """Return the groups of everyone and of the analysts; make the second if need be."""
    everyone = magic_groups(run.client)["everyone"] if run.client else run.unmade()
    for group in run.get("permissions/group", []):
        if group["name"] == ANALYSTS:
            return everyone, int(group["id"])
    made = run.change(
        "create",
        "group",
        ANALYSTS,
        lambda client: client.post("permissions/group", {"name": ANALYSTS}),
    )
    return everyone, int(made["id"]) if made else run.unmade()


def keep_data_permissions(run: Run, database: int, everyone: int, analysts: int) -> None:
    """Set what the groups may do with the managed database."""
    wanted = {str(everyone): {str(database): READ_ONLY}, str(analysts): {str(database): ASK}}
    names = {str(everyone): "everyone", str(analysts): ANALYSTS}
    _keep_graph(run, "permissions/graph", wanted, names, run.settings.database_name)


def keep_collection_permissions(
    run: Run, collections: Mapping[str, int], everyone: int, analysts: int
) -> None:
    """Let every user read the managed collections, and only administrators change them."""
    ids = [str(number) for number in collections.values()]
    wanted = {str(group): dict.fromkeys(ids, "read") for group in (everyone, analysts)}
    names = {str(everyone): "everyone", str(analysts): ANALYSTS}
    _keep_graph(run, "collection/graph", wanted, names, "managed collections")


def _keep_graph(run: Run, path: str, wanted: Grants, names: Mapping[str, str], what: str) -> None:
    graph = run.get(path, {"revision": 0, "groups": {}})
    missing = _missing(wanted, graph["groups"])
    if missing:
        details = [
            f"{names[group]}: {reported}"
            for group, reported in _differences(missing, wanted, graph)
        ]
        run.change(
            "update",
            "permissions",
            what,
            lambda client: _put_graph(client, path, wanted, graph),
            details,
        )


def _put_graph(client: Client, path: str, wanted: Grants, graph: Mapping[str, Any]) -> None:
    """Set what is missing; if another user changed the graph meanwhile, start again from it.

    Raises:
        PipeboardError: when other changes come first in every attempt.
    """
    for _ in range(ATTEMPTS):
        missing = _missing(wanted, graph["groups"])
        if not missing:
            return
        try:
            body = {"revision": graph["revision"], "groups": missing}
            client.put(path, body, **{"skip-graph": True})
            return
        except Refused as refused:
            if refused.status != 409:
                raise
        graph = client.get(path)
    error = "another user keeps changing the permissions of this Metabase"
    raise PipeboardError(error, "Try again later", ExitCode.UNAVAILABLE)


def _missing(wanted: Grants, there: Grants) -> dict[str, dict[str, Any]]:
    missing: dict[str, dict[str, Any]] = {}
    for group, grants in wanted.items():
        for number, grant in grants.items():
            if _in_the_form_of(there.get(group, {}).get(number), grant) != grant:
                missing.setdefault(group, {})[number] = grant
    return missing


def _in_the_form_of(found: Any, like: Any) -> Any:
    """Return what a graph says, or means by saying nothing, of the managed parts."""
    if isinstance(like, str):
        return found or "none"
    known = found if isinstance(found, dict) else {}
    return {part: known.get(part, DEFAULT_GRANT[part]) for part in like}


def _differences(
    missing: Grants, wanted: Grants, graph: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for group, grants in missing.items():
        for number, grant in grants.items():
            present = _in_the_form_of(graph["groups"].get(group, {}).get(number), grant)
            if isinstance(grant, str):
                yield group, f"{present} -> {grant}"
            else:
                for part, value in grant.items():
                    if present[part] != value:
                        yield group, f"{part}: {present[part]} -> {value}"
