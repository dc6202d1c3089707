"""Answers a call: token, limits, faults, operation, headers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from pipedrive_simulator.clock import SECONDS_PER_DAY, http_date
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from pipedrive_simulator.operations.operation import Operation
from pipedrive_simulator.operations.query_params import ApiError, Request, parse_query
from pipedrive_simulator.server.faults import EDIT, Faults, Rule
from pipedrive_simulator.server.limits import Gate, Limits
from pipedrive_simulator.server.oauth import OAuth, OAuthSettings
from pipedrive_simulator.server.reply import Reply, failure, unauthorized
from pipedrive_simulator.server.routing import Route, Router
from pipedrive_simulator.server.stats import Call, Stats


@dataclass
class ApiSettings:
    """Settings of the API. `removed_status` is the HTTP status of removed v1 paths: 410 or 404."""

    token: str = "demo-token"
    oauth: OAuthSettings = field(default_factory=OAuthSettings)
    strict: bool = True
    removed_status: int = 410


class Api:
    """The API of one account."""

    def __init__(self, account: SimulatedAccount, settings: ApiSettings, limits: Limits) -> None:
        self.account = account
        self.settings = settings
        self.stats = Stats()
        self.faults = Faults()
        self.router = Router()
        self.oauth = OAuth(settings.oauth, lambda: account.clock.seconds())
        self.gate = Gate(limits, lambda: account.clock.seconds() // SECONDS_PER_DAY)
        #: Delay of each response in seconds.
        self.latency = 0.0
        self._correlation = itertools.count(1)

    def answer(self, method: str, path: str, query: str, headers: dict[bytes, bytes]) -> Reply:
        """Return the reply to one call, without sending it."""
        self.stats.arrived()
        route = self.router.find(path)
        operation = route.operation if route else None
        token, oauth = self._token(headers)
        rule: Rule | None = None
        cost = 0
        if token is None:
            reply = unauthorized()
        elif route is None:
            reply = failure(404, "Unknown method .")
        elif method != "GET":
            reply = failure(405, "Method not allowed")
        else:
            cost = operation.cost if operation else 0
            refusal = self.gate.admit(token, cost, oauth=oauth)
            if refusal is None:
                reply, rule = self._serve(route, path, query)
            else:
                reply, cost = refusal, 0
        self._complete(reply, token, oauth)
        self.stats.answered(
            Call(operation.id if operation else None, path, query, reply.status, cost,
                 rule.kind if rule else None)
        )  # fmt: skip
        return reply

    def _token(self, headers: dict[bytes, bytes]) -> tuple[str | None, bool]:
        """Return the caller's valid token, and whether it is an OAuth token."""
        given = headers.get(b"x-api-token", b"").decode("latin-1")
        if given:
            return (given if given == self.settings.token else None), False
        scheme, _, bearer = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and self.oauth.accepts(bearer):
            return bearer, True
        return None, False

    def _serve(self, route: Route, path: str, query: str) -> tuple[Reply, Rule | None]:
        operation = route.operation
        given = parse_qs(query, keep_blank_values=True) if query else {}
        rule = None
        if self.faults.rules:
            name = operation.id if operation else "removed"
            rule = self.faults.pick(name, path, "cursor" in given)
        if rule is not None:
            replaced = rule.replacement(given)
            if replaced is not None:
                return replaced, rule
            if rule.kind == EDIT:
                self._edit(rule)
        if operation is None:
            status = self.settings.removed_status
            return failure(status, "Old resource permanently unavailable"), rule
        reply = self._run(operation, route.path, given)
        return (rule.damage(reply) if rule else reply), rule

    def _run(
        self, operation: Operation, path: dict[str, str], given: dict[str, list[str]]
    ) -> Reply:
        strict = self.settings.strict
        try:
            parsed = parse_query(given, operation.params, strict=strict)
            with self.account.lock:
                body = operation.answer(Request(self.account, path, parsed, strict))
        except ApiError as error:
            return failure(error.status, error.error, error.info)
        return Reply(200, body)

    def _edit(self, rule: Rule) -> None:
        if not rule.edits:
            self.account.advance(deals=rule.deals, hours=0)
        for edit in rule.edits:
            arguments = dict(edit)
            self.account.apply(arguments.pop("op"), **arguments)

    def _complete(self, reply: Reply, token: str | None, oauth: bool) -> None:
        headers = {
            "content-type": reply.content_type,
            "date": http_date(self.account.clock.seconds()),
            "x-correlation-id": f"sim-{next(self._correlation):012d}",
        }
        if token is not None:
            headers |= self.gate.headers(token, oauth=oauth)
        reply.headers = {**headers, **reply.headers}
