"""From an address to a client that may do everything: health, version, first setup, login, key."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pipeboard_metabase.client import Client, Refused
from pipeboard_metabase.console import Console
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.settings import Settings

#: Queries have the form that is read here since 57; the known API ends with 65.
OLDEST, NEWEST = 57, 65
POLL_SECONDS = 1.0
KEY_NAME = "Pipeboard"
REMEDY = "Set METABASE_API_KEY, or METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD"


def wait_until_healthy(settings: Settings, console: Console, timeout_seconds: float) -> None:
    """Wait until Metabase is up: its first start, or an upgrade, takes minutes.

    Raises:
        PipeboardError: when it is not up in time.
    """
    client = Client(settings.url, retries=0)
    deadline = time.monotonic() + timeout_seconds
    announced = False
    while True:
        refused: PipeboardError | None = None
        try:
            if client.get("health")["status"] == "ok":
                # The health check succeeds a moment before all routes work.
                client.get("session/properties")
                return
        except PipeboardError as error:
            refused = error
        except (TypeError, KeyError):
            pass
        if time.monotonic() >= deadline:
            what = f"{settings.url} does not say how it is"
            remedy = "Is that Metabase? METABASE_URL is its address without /api"
            raise refused or PipeboardError(what, remedy, ExitCode.CONFIGURATION)
        if not announced:
            console.note("metabase", f"waiting for {settings.url} to start")
            announced = True
        time.sleep(POLL_SECONDS)


def check_version(properties: Mapping[str, Any], console: Console) -> None:
    """Refuse a Metabase that is too old, and report when it is newer than the newest known one.

    Raises:
        PipeboardError: when it is too old.
    """
    tag = str((properties.get("version") or {}).get("tag") or "")
    found = re.match(r"v[01]\.(\d+)", tag)
    if not found:
        if tag:
            console.note("metabase", f"version {tag}, which says nothing; going on")
        return
    if int(found[1]) < OLDEST:
        what = f"Metabase is {tag}, and 0.{OLDEST} or newer is needed"
        raise PipeboardError(
            what, "Upgrade it (back up its database first)", ExitCode.CONFIGURATION
        )
    newer = f", newer than 0.{NEWEST}, the newest known version" if int(found[1]) > NEWEST else ""
    console.note("metabase", f"{tag}{newer}")


def connect(
    settings: Settings, console: Console, *, timeout_seconds: float, set_up: bool
) -> Client | None:
    """Return a client that may administrate, or None where nobody has set Metabase up yet.

    An API key of the environment comes first, then the stored one of the file, then the
    administrator's password. With `set_up`, a Metabase without users gets that administrator.

    Raises:
        PipeboardError: when no login works, or none is an administrator.
    """
    wait_until_healthy(settings, console, timeout_seconds)
    client = Client(settings.url, settings.secrets)
    properties = client.get("session/properties")
    check_version(properties, console)
    if not properties.get("has-user-setup", True):
        if not set_up:
            return None
        if first_setup(client, settings, properties):
            console.note("metabase", f"set up, with {settings.email} as its administrator")
            return administrator(client)
    if settings.api_key:
        client.identify(key=settings.api_key)
        return administrator(client, "METABASE_API_KEY")
    if key := stored_key(settings):
        client.identify(key=key)
        with suppress(Refused):
            return administrator(client, str(settings.key_file))
    login(client, settings)
    return administrator(client, "METABASE_ADMIN_EMAIL")


def first_setup(client: Client, settings: Settings, properties: Mapping[str, Any]) -> bool:
    """Create the first administrator and stay logged in; False if another client was first.

    Raises:
        PipeboardError: when the settings name no administrator.
    """
    if not (settings.email and settings.password):
        what = f"nobody has set up the Metabase at {settings.url} yet"
        remedy = "METABASE_ADMIN_EMAIL and METABASE_ADMIN_PASSWORD name its administrator: set both"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    body = {
        "token": properties.get("setup-token") or "none",
        "user": {
            "email": settings.email,
            "password": settings.password,
            "first_name": "Pipeboard",
            "last_name": "Admin",
        },
        "prefs": {"site_name": settings.site_name, "site_locale": settings.locale},
    }
    try:
        client.identify(session=client.post("setup", body)["id"])
    except Refused as refused:
        if refused.status == 403:
            return False
        raise
    return True


def login(client: Client, settings: Settings) -> None:
    """Log in with the administrator's password, once: Metabase slows down who guesses.

    Raises:
        PipeboardError: when there is no password, or it is not accepted.
    """
    if not (settings.email and settings.password):
        what = "there are no credentials for Metabase"
        raise PipeboardError(what, REMEDY, ExitCode.CONFIGURATION)
    client.identify()
    body = {"username": settings.email, "password": settings.password}
    try:
        client.identify(session=client.post("session", body)["id"])
    except Refused as refused:
        if refused.status == 429 or "too many attempts" in refused.what.lower():
            what = f"Metabase has seen too many logins of {settings.email}"
            raise PipeboardError(what, "Try again in a minute", ExitCode.UNAVAILABLE) from None
        if refused.status in (400, 401):
            what = "Metabase does not accept METABASE_ADMIN_EMAIL with METABASE_ADMIN_PASSWORD"
            remedy = "Correct them, or use METABASE_API_KEY"
            raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED) from None
        raise


def administrator(client: Client, source: str = "") -> Client:
    """Return the client if it speaks as an administrator.

    Raises:
        Refused: when Metabase does not know us.
        PipeboardError: when it does, but not as an administrator.
    """
    try:
        user = client.get("user/current")
    except Refused as refused:
        if refused.status == 401:
            what = f"Metabase does not accept {source or 'the session'} (401)"
            remedy = "`pipeboard-metabase api-key` makes one, with the administrator's password"
            raise Refused(401, what, remedy, ExitCode.NOT_PERMITTED) from None
        raise
    if not user.get("is_superuser"):
        what = f"{source or user.get('email')} is no administrator of Metabase"
        raise PipeboardError(what, REMEDY, ExitCode.NOT_PERMITTED)
    return client


def stored_key(settings: Settings) -> str:
    """Return the stored API key, or nothing."""
    try:
        return settings.key_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        what = f"{settings.key_file} cannot be read: {error.strerror}"
        raise PipeboardError(
            what, "It is 0600: read by who wrote it", ExitCode.NOT_PERMITTED
        ) from None


def keep_key(client: Client, settings: Settings) -> str:
    """Make an API key, or a new one under the same name: Metabase shows a key only once."""
    keys = {key["name"]: key["id"] for key in client.get("api-key")}
    if KEY_NAME in keys:
        made = client.put(f"api-key/{keys[KEY_NAME]}/regenerate")
    else:
        body = {"name": KEY_NAME, "group_id": magic_groups(client)["admin"]}
        made = client.post("api-key", body)
    return str(made["unmasked_key"])


def write_key(settings: Settings, key: str) -> None:
    """Store an API key in a file that only its owner can read."""
    settings.key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(settings.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        # An older file keeps the mode it had.
        os.fchmod(handle, 0o600)
        file.write(f"{key}\n")


def magic_groups(client: Client) -> dict[str, int]:
    """Return the ids of the groups that every Metabase has: `admin` and `everyone`."""
    names = {"admin": "admin", "all-internal-users": "everyone"}
    names |= {"Administrators": "admin", "All Users": "everyone"}
    found: dict[str, int] = {}
    for group in client.get("permissions/group"):
        kind = names.get(str(group.get("magic_group_type") or group["name"]))
        if kind:
            found[kind] = int(group["id"])
    if set(found) != {"admin", "everyone"}:
        what = "Metabase names no group of administrators, or none of all users"
        raise PipeboardError(what, "", ExitCode.DATA)
    return found
