"""Metabase's REST API: one session, retries with backoff, and every error as a problem to mend."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pipeboard_metabase.errors import ExitCode, PipeboardError

#: Of the first retry; each further one waits twice as long.
BACKOFF_SECONDS = 0.5
RETRIES = 5
TIMEOUT_SECONDS = 60
HIDDEN = "***"
MEMBERS = ("GET", "PUT", "DELETE")


class Refused(PipeboardError):
    """Metabase answered with an error: its status, and its message without secrets."""

    def __init__(self, status: int, what: str, remedy: str, code: ExitCode) -> None:
        super().__init__(what, remedy, code)
        self.status = status


class Client:
    """Speaks JSON with one Metabase; below /api, with what identifies us once that is known.

    What only reads or sets is sent again after an error of the network or the server. What creates
    is sent again only if it cannot have arrived.
    """

    def __init__(self, url: str, secrets: Iterable[str] = (), *, retries: int = RETRIES) -> None:
        self.url = url.rstrip("/")
        self._secrets = [secret for secret in secrets if secret]
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        retry = Retry(
            total=retries,
            backoff_factor=BACKOFF_SECONDS,
            backoff_max=30,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=MEMBERS,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    @property
    def identified_by_key(self) -> bool:
        """Tell whether an API key is sent, rather than a session."""
        return "x-api-key" in self._session.headers

    def identify(self, *, key: str = "", session: str = "") -> None:
        """Send an API key, or else a session, with every request from now on."""
        self._secrets += [secret for secret in (key, session) if secret]
        for header, value in (("x-api-key", key), ("X-Metabase-Session", session)):
            self._session.headers.pop(header, None)
            if value:
                self._session.headers[header] = value

    def get(self, path: str, **query: Any) -> Any:
        """Read; `query` as the parameters of the address."""
        return self._send("GET", path, None, query)

    def post(self, path: str, body: Any = None) -> Any:
        """Create or do something."""
        return self._send("POST", path, body)

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        """Set something to what `body` says."""
        return self._send("PUT", path, body, query)

    def delete(self, path: str) -> Any:
        """Remove something."""
        return self._send("DELETE", path, None)

    def hide(self, text: str) -> str:
        """Return a text without the known secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _send(self, method: str, path: str, body: Any, query: dict[str, Any] | None = None) -> Any:
        parameters = {name: _parameter(value) for name, value in (query or {}).items()}
        try:
            answer = self._session.request(
                method,
                f"{self.url}/api/{path}",
                params=parameters,
                json=body,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            what = f"the certificate of {self.url} is not accepted: {self.hide(str(error))}"
            remedy = "Give Metabase a valid one, or name its CA in REQUESTS_CA_BUNDLE"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from None
        except requests.exceptions.RequestException as error:
            what = f"Metabase at {self.url} does not answer ({type(error).__name__})"
            remedy = "Does it run, and is METABASE_URL right? Then try again"
            raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE) from None
        if answer.status_code >= 300:
            raise self._refusal(method, path, answer)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            what = f"{self.url} answers {method} /api/{path} with something that is not JSON"
            remedy = "Is that Metabase? METABASE_URL is its address without /api"
            raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from None

    def _refusal(self, method: str, path: str, answer: requests.Response) -> Refused:
        status = answer.status_code
        what = f"Metabase refuses {method} /api/{path} ({status}): {self._message(answer)}"
        remedy, code = "", ExitCode.DATA
        if status in (401, 403):
            remedy = "An administrator's API key or password is needed"
            code = ExitCode.NOT_PERMITTED
        elif status == 402:
            remedy, code = "That needs a paid edition of Metabase", ExitCode.CONFIGURATION
        elif 300 <= status < 400:
            remedy = f"It redirects to {answer.headers.get('Location')}: name that in METABASE_URL"
            code = ExitCode.CONFIGURATION
        elif status == 404:
            remedy = "Is METABASE_URL right, and is this a supported version of Metabase?"
            code = ExitCode.CONFIGURATION
        elif status == 429 or status >= 500:
            remedy, code = "Try again; Metabase's own log says more", ExitCode.UNAVAILABLE
        return Refused(status, what, remedy, code)

    def _message(self, answer: requests.Response) -> str:
        """Return what an error says, on one line: fields by name, or the message, or the text."""
        try:
            body = answer.json()
        except ValueError:
            body = answer.text
        if isinstance(body, dict):
            detail = body.get("errors") or body.get("message") or body.get("error") or body
            body = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
        return self.hide(" ".join(str(body).split())[:400]) or "no reason given"


def _parameter(value: Any) -> Any:
    """Write a parameter as Metabase reads it."""
    return str(value).lower() if isinstance(value, bool) else value
