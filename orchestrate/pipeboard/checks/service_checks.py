"""Checks of the account, Redis and the Pushgateway, for `pipeboard doctor`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

from pipeboard.checks.preflight import Account
from pipeboard.errors import ExitCode, PipeboardError

#: The tap looks back two minutes; a larger difference makes dates wrong.
MOST_SKEW = 60.0
#: Below this share of the day's tokens, the day's remaining syncs are at risk.
LOW_TOKENS = 0.15


def check_permissions(account: Account) -> str:
    """Check that the user of the token is an administrator."""
    if account.is_admin is False:
        what = f"{account.user} is no administrator: what this user may not see is not synced"
        remedy = "Use the token of an administrator, or accept that the warehouse is not complete"
        raise PipeboardError(what, remedy, ExitCode.NOT_PERMITTED)
    return (
        f"{account.user} is an administrator"
        if account.is_admin
        else "unknown: the API does not say"
    )


def check_tokens(account: Account, given: Mapping[str, str]) -> str:
    """Compare the plan's daily tokens with PIPEDRIVE_DAILY_TOKENS."""
    own = given.get("PIPEDRIVE_DAILY_TOKENS")
    own_budget = int(own) if own else None
    plan, left = account.daily_tokens, account.tokens_left
    if plan is None or left is None:
        budget = f"a budget of {own_budget:,} a day" if own_budget else "no budget is set"
        return f"{budget}; the API does not report that of the plan"
    if own_budget and own_budget > plan:
        what = f"PIPEDRIVE_DAILY_TOKENS is {own_budget:,}, but the plan grants {plan:,} a day"
        raise PipeboardError(what, f"Write {plan} or less", ExitCode.CONFIGURATION)
    if left < LOW_TOKENS * plan:
        what = f"only {left:,} of the plan's {plan:,} tokens are left today"
        raise PipeboardError(what, "Runs stop early until midnight UTC", ExitCode.BUDGET)
    budget = f", own budget: {own_budget:,}" if own_budget else ""
    return f"{left:,} of the plan's {plan:,} left today{budget}"


def check_clock(account: Account) -> str:
    """Compare the clock of this machine with that of the API."""
    if account.date is None:
        return "the API does not tell the time"
    if urlsplit(account.base).hostname in ("127.0.0.1", "localhost", "::1"):
        return "not compared: a simulated account has a clock of its own"
    skew = account.requested_at - parsedate_to_datetime(account.date).timestamp()
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's"
    if abs(skew) > MOST_SKEW:
        what = f"this machine's clock is {text}"
        remedy = (
            "Let it be set by NTP (timedatectl set-ntp true); data is safe, times shown are not"
        )
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION)
    return text if abs(skew) >= 2 else "agrees with the API's"


def check_redis(url: str) -> str:
    """Check that Redis responds, stores values and may not evict them."""
    import redis  # not needed by a run, which starts faster without

    place = place_of(url)
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
            version = str(client.info("server").get("redis_version", "?"))
            policy = str(client.info("memory").get("maxmemory_policy", "noeviction"))
            client.set("pipeboard:doctor", "written by pipeboard doctor", px=1000)
    except redis.AuthenticationError as error:
        what = f"Redis at {place} refuses the password"
        raise PipeboardError(what, "Check REDIS_URL", ExitCode.NOT_PERMITTED) from error
    except redis.ResponseError as error:  # a replica, a full one, a user who may not
        what = f"Redis at {place} refuses to keep anything ({error})"
        remedy = "Name the primary in REDIS_URL, give it room (maxmemory, disk), or its user rights"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error
    except ValueError as error:
        what = "REDIS_URL is malformed"
        remedy = "Write redis://host:6379/0 (rediss:// for TLS), a password percent-encoded"
        raise PipeboardError(what, remedy, ExitCode.CONFIGURATION) from error
    except redis.RedisError as error:
        what = f"Redis at {place} does not answer ({type(error).__name__})"
        remedy = "Check REDIS_URL and the server; runs go on without it, with limits of their own"
        raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE) from error
    if policy.startswith("allkeys"):
        what = f"Redis at {place} may drop the token ledger (maxmemory-policy {policy})"
        raise PipeboardError(what, "Set maxmemory-policy to volatile-lru", ExitCode.CONFIGURATION)
    return f"Redis {version}, {place}"


def check_pushgateway(url: str) -> str:
    """Check that a Pushgateway responds; a Prometheus has another status page."""
    base = url if "://" in url else f"http://{url}"
    try:
        with urllib.request.urlopen(f"{base.rstrip('/')}/api/v1/status", timeout=5) as answer:
            build = dict(json.loads(answer.read())["data"]["build_information"])
        return f"Pushgateway {build.get('version', '?')}, {place_of(base)}"
    except urllib.error.HTTPError as error:
        error.close()
        what = f"what answers at {place_of(base)} is no Pushgateway ({error.code})"
        raise PipeboardError(what, "Check PUSHGATEWAY_URL", ExitCode.CONFIGURATION) from error
    except (KeyError, TypeError, ValueError, HTTPException) as error:
        what = f"what answers at {place_of(base)} is no Pushgateway"
        raise PipeboardError(what, "Check PUSHGATEWAY_URL", ExitCode.CONFIGURATION) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        what = f"the Pushgateway at {place_of(base)} cannot be reached ({reason})"
        remedy = "Check PUSHGATEWAY_URL and the server; runs still work, but their metrics are lost"
        raise PipeboardError(what, remedy, ExitCode.UNAVAILABLE) from error


def place_of(url: str) -> str:
    """Return host and port of a URL, without its password."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "an address that is none"
