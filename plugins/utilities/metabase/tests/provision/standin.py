"""A stand-in for Metabase: its API on a real port, with state, and as strict as its document.

It does what Metabase does where that has bitten people: it stores queries in its own grammar, masks
passwords, refuses a second setup (403), a stale graph (409) and what only paid editions have (402,
404), slows down who guesses passwords, and moves what is archived to the trash with all that lies
in it. A request that the document does not provide for gets 400 and is kept in `violations`.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin_contract import Violation, check_answer, check_request, document

MASK = "**MetabasePass**"
EVERYONE, ADMINISTRATORS = 1, 2
_STATE = (
    *("setup_token", "users", "sessions", "keys", "databases", "tables", "collections", "cards"),
    *("dashboards", "groups", "graph", "collection_graph", "settings", "_next"),
)
FREE = re.compile(r"^(GET (health|session/properties)|POST (setup|session))$")


class Refusal(Exception):
    """An error of Metabase's own: a status, and what it says."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body


class StandIn:
    """One Metabase."""

    def __init__(self, columns: list[tuple[str, str, str]], password: str) -> None:
        #: What its PostgreSQL holds, and the password that PostgreSQL takes.
        self.columns, self.reader_password = columns, password
        self.version = "v0.61.3"
        self.starting = 0
        #: How often it is asked for metadata until a sync is done.
        self.sync_takes = 2
        self.run_query: Callable[[dict[str, Any]], dict[str, Any]] = lambda card: {
            "status": "completed",
            "row_count": 1,
            "data": {"rows": [[1]]},
        }
        #: (pattern, status): the next request that fits fails; a callable may do more harm first.
        self.faults: list[tuple[str, int | Callable[[], None]]] = []
        self.log: list[tuple[str, str, Any]] = []
        self.violations: list[str] = []
        self.setup_token: str | None = str(uuid.uuid4())
        self.users: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, str] = {}
        self.keys: dict[int, dict[str, Any]] = {}
        self.failed_logins = 0
        self.databases: dict[int, dict[str, Any]] = {}
        self.tables: dict[int, dict[str, Any]] = {}
        self.collections: dict[int, dict[str, Any]] = {}
        self.cards: dict[int, dict[str, Any]] = {}
        self.dashboards: dict[int, dict[str, Any]] = {}
        self.groups = {EVERYONE: "All Users", ADMINISTRATORS: "Administrators"}
        self.graph: dict[str, Any] = {"revision": 1, "groups": {"1": {}}}
        self.collection_graph: dict[str, Any] = {"revision": 1, "groups": {"1": {"root": "write"}}}
        self.settings: dict[str, dict[str, Any]] = {
            key: {"key": key, "value": None, "default": default, "is_env_setting": False}
            for key, default in {
                "site-locale": "en",
                "report-timezone": None,
                "start-of-week": "sunday",
                "enable-public-sharing": True,
                # Its older name, enable-embedding, is gone.
                "enable-embedding-static": False,
                "anon-tracking-enabled": True,
                "site-url": None,
                "custom-homepage": False,
                "custom-homepage-dashboard": None,
            }.items()
        }
        self._next = 100
        self._left_to_sync = 0
        self._lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"standin": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def writes(self) -> list[str]:
        """What was asked of it that changes something; logging in changes nothing."""
        return [
            f"{method} {path}"
            for method, path, _ in self.log
            if method != "GET" and path != "session" and not path.endswith("/query")
        ]

    def save(self) -> dict[str, Any]:
        """Return all that it keeps, to begin another stand-in with."""
        return deepcopy({name: getattr(self, name) for name in _STATE})

    def load(self, state: dict[str, Any]) -> None:
        for name, value in deepcopy(state).items():
            setattr(self, name, value)

    def number(self) -> int:
        self._next += 1
        return self._next

    # --- One request -----------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, headers: Any
    ) -> tuple[int, Any]:
        with self._lock:
            self.log.append((method, path, deepcopy(body)))
            try:
                return self._answer(method, path, query, body, headers)
            except Refusal as refusal:
                return refusal.status, refusal.body
            except Violation as violation:
                self.violations.append(str(violation))
                return 400, {"errors": {"request": str(violation)}}

    def _answer(
        self, method: str, path: str, query: dict[str, list[str]], body: Any, headers: Any
    ) -> tuple[int, Any]:
        for number, (pattern, harm) in enumerate(self.faults):
            if re.fullmatch(pattern, f"{method} {path}"):
                del self.faults[number]
                if isinstance(harm, int):
                    raise Refusal(harm, {"message": "out of order"})
                harm()
                break
        if path.startswith("ee/"):
            raise Refusal(404, "API endpoint does not exist.")
        operation, handler, numbers = _route(method, path)
        if handler is None:
            msg = f"{method} /api/{path} is no route of Metabase that we know"
            raise Violation(msg)
        parameters = check_request(operation, query, body)
        if self.starting and path in ("health", "session/properties"):
            self.starting -= 1
            raise Refusal(503, {"status": "initializing", "progress": 0.5})
        if not FREE.match(f"{method} {path}"):
            self._admit(headers)
        answer = handler(
            self, *numbers, **({"body": body} if body is not None else {}), **parameters
        )
        if answer is not None:
            check_answer(operation, answer)
        return (202 if path.endswith("/query") else 200 if answer is not None else 204), answer

    def _admit(self, headers: Any) -> None:
        key, session = headers.get("x-api-key"), headers.get("X-Metabase-Session")
        user = self.sessions.get(session or "")
        if key:
            (user,) = [k["user"] for k in self.keys.values() if k["key"] == key] or [None]
        if user is None:
            raise Refusal(401, "Unauthenticated")
        self.current = user

    def _superuser(self) -> None:
        if not self.users[self.current]["is_superuser"]:
            raise Refusal(403, "You don't have permissions to do that.")

    # --- Who is who ------------------------------------------------------------------------------

    def health(self) -> Any:
        return {"status": "ok"}

    def openapi(self) -> Any:
        return document()

    def properties(self) -> Any:
        return {
            "has-user-setup": bool(self.users),
            "setup-token": self.setup_token,
            "version": {"tag": self.version},
        }

    def setup(self, body: Any) -> Any:
        if self.users:
            raise Refusal(403, "The /api/setup route can only be used to create the first user")
        if body["token"] != self.setup_token:
            raise Refusal(400, {"errors": {"token": "Token does not match the setup token."}})
        if len(body["user"]["password"]) < 6:
            raise Refusal(400, {"errors": {"password": "password is too common."}})
        self.add_user(body["user"]["email"], body["user"]["password"])
        self.setup_token = None
        self.settings["site-locale"]["value"] = body["prefs"].get("site_locale")
        return self._session(body["user"]["email"])

    def add_user(self, email: str, password: str, *, superuser: bool = True) -> None:
        self.users[email] = {"password": password, "is_superuser": superuser}

    def _session(self, email: str) -> Any:
        session = str(uuid.uuid4())
        self.sessions[session] = email
        return {"id": session}

    def login(self, body: Any) -> Any:
        if self.failed_logins >= 5:
            message = "Too many attempts! You must wait 15 seconds before trying again."
            raise Refusal(400, {"errors": {"username": message}})
        user = self.users.get(body["username"])
        if user is None or user["password"] != body["password"]:
            self.failed_logins += 1
            raise Refusal(401, {"errors": {"password": "did not match stored password"}})
        return self._session(body["username"])

    def me(self) -> Any:
        return {
            "id": 1,
            "email": self.current,
            "is_superuser": self.users[self.current]["is_superuser"],
        }

    def list_keys(self) -> Any:
        self._superuser()
        return [{"id": n, "name": k["name"], "masked_key": "mb_a***"} for n, k in self.keys.items()]

    def make_key(self, body: Any) -> Any:
        self._superuser()
        if any(key["name"] == body["name"] for key in self.keys.values()):
            raise Refusal(400, {"errors": {"name": "An API key with this name already exists."}})
        user = f"api-key-user-{len(self.keys)}"
        self.add_user(user, "", superuser=body["group_id"] == ADMINISTRATORS)
        number = self.number()
        self.keys[number] = {"name": body["name"], "user": user}
        return self.renew_key(number)

    def renew_key(self, number: int) -> Any:
        self._superuser()
        self.keys[number]["key"] = f"mb_{uuid.uuid4().hex}"
        return {"id": number, "unmasked_key": self.keys[number]["key"]}

    # --- Settings, database, fields --------------------------------------------------------------

    def list_settings(self) -> Any:
        self._superuser()
        return list(deepcopy(self.settings).values())

    def set_setting(self, key: str, body: Any) -> Any:
        self._superuser()
        if key not in self.settings:
            msg = f"Metabase has no setting {key}"
            raise Violation(msg)
        if self.settings[key]["is_env_setting"]:
            raise Refusal(400, f"You cannot set {key}: it is set by an environment variable.")
        self.settings[key]["value"] = body["value"]

    def _reach(self, details: dict[str, Any]) -> None:
        if details["password"] != self.reader_password:
            message = f'FATAL: password authentication failed for user "{details["user"]}"'
            raise Refusal(400, {"message": message, "errors": {"password": message}})

    def _masked(self, database: dict[str, Any]) -> Any:
        shown = deepcopy(database)
        shown["details"]["password"] = MASK
        return shown

    def list_databases(self) -> Any:
        found = [self._masked(database) for database in self.databases.values()]
        return {"data": found, "total": len(found)}

    def get_database(self, number: int) -> Any:
        return self._masked(self.databases[number])

    def make_database(self, body: Any) -> Any:
        self._superuser()
        self._reach(body["details"])
        number = self.number()
        self.databases[number] = {"id": number, **deepcopy(body)}
        self.graph["groups"]["1"][str(number)] = {
            "view-data": "unrestricted",
            "create-queries": "query-builder-and-native",
        }
        return self._masked(self.databases[number])

    def set_database(self, number: int, body: Any) -> Any:
        self._superuser()
        details = body.get("details") or {}
        if details.get("password") == MASK:
            details["password"] = self.databases[number]["details"]["password"]
        if details:
            self._reach(details)
        self.databases[number].update(deepcopy(body))
        return self._masked(self.databases[number])

    def healthcheck(self, number: int) -> Any:
        try:
            self._reach(self.databases[number]["details"])
        except Refusal as refusal:
            return {"status": "error", "message": refusal.body["message"]}
        return {"status": "ok"}

    def sync(self, number: int) -> Any:
        self._superuser()
        self._left_to_sync = self.sync_takes
        return {"status": "ok"}

    def metadata(self, number: int, include_hidden: bool = False, **_: Any) -> Any:
        if self._left_to_sync:
            self._left_to_sync -= 1
            if not self._left_to_sync:
                self.sync_now()
        tables = deepcopy(list(self.tables.values()))
        for table in tables:
            table["fields"] = [
                f for f in table["fields"] if include_hidden or f["visibility_type"] == "normal"
            ]
        return {"id": number, "engine": "postgres", "tables": tables}

    def sync_now(self) -> None:
        by_name = {(t["schema"], t["name"]): t for t in self.tables.values()}
        for schema, relation, column in self.columns:
            table = by_name.get((schema, relation))
            if table is None:
                number = self.number()
                table = by_name[(schema, relation)] = self.tables[number] = {
                    "id": number,
                    "schema": schema,
                    "name": relation,
                    "display_name": _humanised(relation),
                    "description": None,
                    "points_of_interest": None,
                    "caveats": None,
                    "visibility_type": None,
                    "fields": [],
                }
            if column not in {field["name"] for field in table["fields"]}:
                table["fields"].append(
                    {
                        "id": self.number(),
                        "name": column,
                        "display_name": _humanised(column),
                        "description": None,
                        "visibility_type": "normal",
                        "semantic_type": None,
                        "fk_target_field_id": None,
                        "has_field_values": None,
                        "coercion_strategy": None,
                        "settings": None,
                    }
                )

    def field(self, number: int) -> dict[str, Any]:
        found = {f["id"]: f for t in self.tables.values() for f in t["fields"]}
        if number not in found:
            msg = f"there is no field {number}"
            raise Violation(msg)
        return found[number]

    def set_field(self, number: int, body: Any) -> Any:
        return self._describe(self.field(number), body)

    def set_table(self, number: int, body: Any) -> Any:
        return self._describe(self.tables[number], body)

    def _describe(self, item: dict[str, Any], body: Any) -> Any:
        self._superuser()
        item.update(body)
        if item["display_name"] is None:
            item["display_name"] = _humanised(item["name"])
        return item

    # --- Permissions -----------------------------------------------------------------------------

    def list_groups(self) -> Any:
        magic = {EVERYONE: "all-internal-users", ADMINISTRATORS: "admin"}
        return [
            {"id": n, "name": name, "magic_group_type": magic.get(n)}
            for n, name in self.groups.items()
        ]

    def make_group(self, body: Any) -> Any:
        self._superuser()
        if body["name"] in self.groups.values():
            raise Refusal(400, {"errors": {"name": "A group with that name already exists."}})
        number = self.number()
        self.groups[number] = body["name"]
        return {"id": number, "name": body["name"]}

    def get_graph(self) -> Any:
        self._superuser()
        return deepcopy(self.graph)

    def set_graph(self, body: Any, **parameters: Any) -> Any:
        return self._set_graph(self.graph, body, {str(n) for n in self.databases})

    def get_collection_graph(self) -> Any:
        self._superuser()
        return deepcopy(self.collection_graph)

    def set_collection_graph(self, body: Any, **parameters: Any) -> Any:
        return self._set_graph(self.collection_graph, body, {str(n) for n in self.collections})

    def _set_graph(self, graph: dict[str, Any], body: Any, known: set[str]) -> Any:
        self._superuser()
        if body["revision"] != graph["revision"]:
            message = "Looks like someone else edited the permissions and your data is out of date."
            raise Refusal(409, message)
        for group, grants in body["groups"].items():
            if int(group) not in self.groups or int(group) == ADMINISTRATORS:
                msg = f"the graph names group {group}"
                raise Violation(msg)
            if unknown := set(grants) - known - {"root"}:
                msg = f"the graph names {unknown}, which is not there"
                raise Violation(msg)
            there = graph["groups"].setdefault(group, {})
            for number, grant in grants.items():
                if grant == "none":
                    there.pop(number, None)
                elif isinstance(grant, dict):
                    if grant.get("view-data", "unrestricted") != "unrestricted":
                        raise Refusal(402, "blocked is a paid feature")
                    there[number] = {**there.get(number, {}), **grant}
                else:
                    there[number] = grant
        graph["revision"] += 1
        return {"revision": graph["revision"]}

    # --- Collections -----------------------------------------------------------------------------

    def list_collections(self, archived: bool = False, **_: Any) -> Any:
        found = [c for c in self.collections.values() if c["archived"] == archived]
        return [{"id": "root", "name": "Our analytics"}, *deepcopy(found)]

    def get_collection(self, number: int) -> Any:
        return deepcopy(self._there(self.collections, number))

    def make_collection(self, body: Any) -> Any:
        self._paid(body)
        parent = body.get("parent_id")
        above = self._there(self.collections, parent) if parent else None
        number = self.number()
        self.collections[number] = {
            "id": number,
            "name": body["name"],
            "description": body.get("description"),
            "archived": False,
            "location": f"{above['location']}{parent}/" if above else "/",
            "parent_id": parent,
            "personal_owner_id": None,
            "entity_id": uuid.uuid4().hex[:21],
        }
        for grants in self.collection_graph["groups"].values():
            if inherited := grants.get(str(parent) if parent else "root"):
                grants[str(number)] = inherited
        return self.get_collection(number)

    def set_collection(self, number: int, body: Any) -> Any:
        self._paid(body)
        collection = self._there(self.collections, number)
        for name in ("name", "description"):
            if name in body:
                collection[name] = body[name]
        if "archived" in body and body["archived"] != collection["archived"]:
            self._trash(collection, body["archived"])
        return self.get_collection(number)

    def _trash(self, collection: dict[str, Any], archived: bool) -> None:
        """What lies in a collection goes to the trash with it, and comes back with it."""
        collection["archived"] = archived
        inside = f"{collection['location']}{collection['id']}/"
        for other in self.collections.values():
            if other["location"].startswith(inside):
                self._trash(other, archived)
        for item in (*self.cards.values(), *self.dashboards.values()):
            if item["collection_id"] == collection["id"] and not item.get("archived_directly"):
                item["archived"] = archived

    def items(self, number: int, models: list[str] | None = None, archived: bool = False) -> Any:
        self._there(self.collections, number)
        shelves = {"card": self.cards, "dashboard": self.dashboards}
        found = [
            {"id": item["id"], "model": model, **{k: item[k] for k in ("name", "description")}}
            for model, shelf in shelves.items()
            for item in shelf.values()
            if (models is None or model in models)
            and item["collection_id"] == number
            and item["archived"] == archived
        ]
        return {"data": found, "total": len(found)}

    # --- Cards -----------------------------------------------------------------------------------

    def list_cards(self, f: str = "all", model_id: int | None = None) -> Any:
        assert f in ("all", "archived"), f
        found = [c for c in self.cards.values() if c["archived"] == (f == "archived")]
        return deepcopy(found)

    def get_card(self, number: int, **_: Any) -> Any:
        return deepcopy(self._there(self.cards, number))

    def make_card(self, body: Any) -> Any:
        number = self.number()
        self.cards[number] = {
            "id": number,
            "archived": False,
            "description": None,
            "collection_id": None,
            "parameters": [],
            "entity_id": uuid.uuid4().hex[:21],
            "result_metadata": None,
        }
        return self.set_card(number, body)

    def set_card(self, number: int, body: Any) -> Any:
        card = self._there(self.cards, number)
        if body.get("collection_id"):
            self._there(self.collections, body["collection_id"])
        stored = deepcopy(body)
        if "dataset_query" in stored:
            stored["dataset_query"] = self._rewritten(stored["dataset_query"])
        if "visualization_settings" in stored:
            stored["visualization_settings"] = _normal(stored["visualization_settings"])
        if "archived" in stored:
            stored["archived_directly"] = stored["archived"]
        card.update(stored)
        card["updated_at"] = str(uuid.uuid4())
        tags = _tags(card)
        for parameter in card["parameters"] or []:
            if parameter["target"][1][1] not in tags:
                msg = f"card {number} has a parameter for no tag: {parameter}"
                raise Violation(msg)
        return self.get_card(number)

    def _rewritten(self, query: dict[str, Any]) -> dict[str, Any]:
        """Store a native query as Metabase does since 0.57: stages, with ids of its own."""
        if query.get("type") != "native":
            msg = "this stand-in takes native queries only"
            raise Violation(msg)
        if query["database"] not in self.databases:
            msg = f"there is no database {query['database']}"
            raise Violation(msg)
        native_query = query["native"]
        named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", native_query["query"]))
        if named != set(native_query.get("template-tags", {})):
            msg = f"tags {sorted(named)} of a query are not all described"
            raise Violation(msg)
        tags = {}
        for name, tag in native_query.get("template-tags", {}).items():
            # A text is put into the query; a dimension becomes a condition on its field.
            needed_for = {
                "text": ("id", "name", "display-name"),
                "dimension": ("id", "name", "display-name", "widget-type", "dimension"),
            }
            for needed in needed_for[tag["type"]]:
                if not tag.get(needed):
                    msg = f"tag {name} has no {needed}"
                    raise Violation(msg)
            if tag["type"] == "text":
                tags[name] = dict(tag)
                continue
            self.field(tag["dimension"][1])
            dimension = ["field", {"lib/uuid": str(uuid.uuid4())}, tag["dimension"][1]]
            tags[name] = {**tag, "dimension": dimension, "required": False}
        stage = {
            "lib/type": "mbql.stage/native",
            "native": native_query["query"],
            "template-tags": tags,
        }
        return {"lib/type": "mbql/query", "database": query["database"], "stages": [stage]}

    def query(self, number: int, body: Any) -> Any:
        return self.run_query(self._there(self.cards, number))

    # --- Dashboards ------------------------------------------------------------------------------

    def list_dashboards(self, f: str = "all") -> Any:
        found = [d for d in self.dashboards.values() if d["archived"] == (f == "archived")]
        return [{k: v for k, v in deepcopy(d).items() if k != "dashcards"} for d in found]

    def get_dashboard(self, number: int) -> Any:
        shown = deepcopy(self._there(self.dashboards, number))
        for card in shown["dashcards"]:
            card["card"] = self.get_card(card["card_id"]) if card["card_id"] else None
        return shown

    def make_dashboard(self, body: Any) -> Any:
        number = self.number()
        self.dashboards[number] = {
            "id": number,
            "archived": False,
            "description": None,
            "collection_id": None,
            "parameters": [],
            "dashcards": [],
            "tabs": [],
            "entity_id": uuid.uuid4().hex[:21],
        }
        return self.set_dashboard(number, body)

    def set_dashboard(self, number: int, body: Any) -> Any:
        dashboard = self._there(self.dashboards, number)
        stored = deepcopy(body)
        if stored.get("collection_id"):
            self._there(self.collections, stored["collection_id"])
        for parameter in stored.get("parameters") or []:
            parameter.setdefault("values_source_type", None)
        if "archived" in stored:
            stored["archived_directly"] = stored["archived"]
        tabs, cards = stored.pop("tabs", None), stored.pop("dashcards", None)
        dashboard.update(stored)
        if cards is not None:
            self._lay_out(dashboard, tabs or [], cards)
        return self.get_dashboard(number)

    def _lay_out(self, dashboard: dict[str, Any], tabs: list[Any], cards: list[Any]) -> None:
        """Tabs and cards are replaced as a whole; those below zero are new."""
        known_tabs = {tab["id"] for tab in dashboard["tabs"]}
        ids = {}
        for tab in tabs:
            if tab["id"] >= 0 and tab["id"] not in known_tabs:
                msg = f"tab {tab['id']} is not on dashboard {dashboard['id']}"
                raise Violation(msg)
            ids[tab["id"]] = tab["id"] if tab["id"] >= 0 else self.number()
        known_cards = {card["id"] for card in dashboard["dashcards"]}
        if len({card["id"] for card in cards}) != len(cards) or len(ids) != len(tabs):
            raise Refusal(400, {"errors": {"dashcards": "seq of maps in which ids are unique"}})
        parameters = {parameter["id"] for parameter in dashboard["parameters"]}
        taken: set[tuple[Any, int, int]] = set()
        laid = []
        for card in cards:
            if card["id"] >= 0 and card["id"] not in known_cards:
                msg = f"dashcard {card['id']} is not on dashboard {dashboard['id']}"
                raise Violation(msg)
            if bool(tabs) != (card.get("dashboard_tab_id") is not None):
                raise Refusal(400, "This dashboard has tab, makes sure every card has a tab")
            tab = ids[card["dashboard_tab_id"]] if tabs else None
            if card["col"] + card["size_x"] > 24:
                msg = f"a card ends at column {card['col'] + card['size_x']} of 24"
                raise Violation(msg)
            for row in range(card["row"], card["row"] + card["size_y"]):
                for column in range(card["col"], card["col"] + card["size_x"]):
                    if (tab, row, column) in taken:
                        msg = f"two cards lie on ({row}, {column})"
                        raise Violation(msg)
                    taken.add((tab, row, column))
            tags = _tags(self._there(self.cards, card["card_id"])) if card["card_id"] else set()
            for mapping in card.get("parameter_mappings") or []:
                if mapping["parameter_id"] not in parameters:
                    msg = f"mapping of unknown parameter {mapping['parameter_id']}"
                    raise Violation(msg)
                if mapping["target"][1][1] not in tags or mapping["card_id"] != card["card_id"]:
                    msg = f"mapping to nothing: {mapping}"
                    raise Violation(msg)
            laid.append(
                {
                    **card,
                    "id": card["id"] if card["id"] >= 0 else self.number(),
                    "dashboard_tab_id": tab,
                    "dashboard_id": dashboard["id"],
                    "inline_parameters": None,
                    "series": [],
                }
            )
        dashboard["tabs"] = [
            {"id": ids[tab["id"]], "name": tab["name"], "position": n} for n, tab in enumerate(tabs)
        ]
        dashboard["dashcards"] = laid

    # --- Small words -----------------------------------------------------------------------------

    @staticmethod
    def _there(shelf: dict[int, Any], number: int) -> Any:
        if number not in shelf:
            raise Refusal(404, "Not found.")
        return shelf[number]

    @staticmethod
    def _paid(body: Any) -> None:
        if body.get("authority_level"):
            raise Refusal(402, "Official Collections is a paid feature")


def _humanised(name: str) -> str:
    return name.replace("_", " ").title()


def _tags(card: dict[str, Any]) -> set[str]:
    return set(card["dataset_query"]["stages"][0]["template-tags"])


def _normal(settings: Any) -> Any:
    """Metabase keeps no setting that is null."""
    if isinstance(settings, dict):
        return {k: _normal(v) for k, v in settings.items() if v is not None}
    return settings


_ROUTES: dict[str, Callable[..., Any]] = {
    "GET api-key": StandIn.list_keys,
    "GET card": StandIn.list_cards,
    "GET card/{}": StandIn.get_card,
    "GET collection": StandIn.list_collections,
    "GET collection/graph": StandIn.get_collection_graph,
    "GET collection/{}": StandIn.get_collection,
    "GET collection/{}/items": StandIn.items,
    "GET dashboard": StandIn.list_dashboards,
    "GET dashboard/{}": StandIn.get_dashboard,
    "GET database": StandIn.list_databases,
    "GET database/{}": StandIn.get_database,
    "GET database/{}/healthcheck": StandIn.healthcheck,
    "GET database/{}/metadata": StandIn.metadata,
    "GET docs/openapi.json": StandIn.openapi,
    "GET health": StandIn.health,
    "GET permissions/graph": StandIn.get_graph,
    "GET permissions/group": StandIn.list_groups,
    "GET session/properties": StandIn.properties,
    "GET setting": StandIn.list_settings,
    "GET user/current": StandIn.me,
    "POST api-key": StandIn.make_key,
    "POST card": StandIn.make_card,
    "POST card/{}/query": StandIn.query,
    "POST collection": StandIn.make_collection,
    "POST dashboard": StandIn.make_dashboard,
    "POST database": StandIn.make_database,
    "POST database/{}/sync_schema": StandIn.sync,
    "POST permissions/group": StandIn.make_group,
    "POST session": StandIn.login,
    "POST setup": StandIn.setup,
    "PUT api-key/{}/regenerate": StandIn.renew_key,
    "PUT card/{}": StandIn.set_card,
    "PUT collection/graph": StandIn.set_collection_graph,
    "PUT collection/{}": StandIn.set_collection,
    "PUT dashboard/{}": StandIn.set_dashboard,
    "PUT database/{}": StandIn.set_database,
    "PUT field/{}": StandIn.set_field,
    "PUT permissions/graph": StandIn.set_graph,
    "PUT table/{}": StandIn.set_table,
}


def _route(method: str, path: str) -> tuple[str, Callable[..., Any] | None, list[Any]]:
    if method == "PUT" and path.startswith("setting/"):
        return "PUT /api/setting/{}", StandIn.set_setting, [path.removeprefix("setting/")]
    numbers = [int(part) for part in path.split("/") if part.isdigit()]
    name = "/".join("{}" if part.isdigit() else part for part in path.split("/"))
    return f"{method} /api/{name}", _ROUTES.get(f"{method} {name}"), numbers


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn
    protocol_version = "HTTP/1.1"
    # Headers and body go out as one, not one after the other's acknowledgement.
    wbufsize = -1

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if not parts.path.startswith("/api/"):
            status, answer = 404, "Not found."
        else:
            path = parts.path.removeprefix("/api/").rstrip("/")
            status, answer = self.standin.answer(
                self.command, path, parse_qs(parts.query), body, self.headers
            )
        payload = b"" if status == 204 else json.dumps(answer).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Tests look at the stand-in's own log."""
