"""Small questions to what a run talks to: does it answer as it should."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

from pipeboard.checks.preflight import Account
from pipeboard.problems import ExitCode, Problem

#: The tap looks back two minutes; a clock that is further off is not worth trusting with dates.
MOST_SKEW = 60.0
#: Below this share of the day's tokens, the day's remaining syncs are at risk.
LOW_TOKENS = 0.15


def check_permissions(account: Account) -> str:
    """Say what the token's user may see."""
    if account.is_admin is False:
        what = f"{account.user} is no administrator: what this user may not see is not synced"
        remedy = "Use the token of an administrator, or accept that the warehouse is not complete"
        raise Problem(what, remedy, ExitCode.NOT_PERMITTED)
    return f"{account.user} is an administrator" if account.is_admin else "not told by the API"


def check_tokens(account: Account, given: Mapping[str, str]) -> str:
    """Compare the plan's daily tokens with what we may spend."""
    own = given.get("PIPEDRIVE_DAILY_TOKENS")
    ours = int(own) if own else None
    plan, left = account.daily_tokens, account.tokens_left
    if plan is None or left is None:
        told = f"a budget of {ours:,} a day" if ours else "no budget is set"
        return f"{told}; the API does not tell the plan's"
    if ours and ours > plan:
        what = f"PIPEDRIVE_DAILY_TOKENS is {ours:,}, but the plan grants {plan:,} a day"
        raise Problem(what, f"Write {plan} or less", ExitCode.CONFIGURATION)
    if left < LOW_TOKENS * plan:
        what = f"only {left:,} of the plan's {plan:,} tokens are left today"
        raise Problem(what, "Runs stop early until midnight UTC", ExitCode.BUDGET)
    return f"{left:,} of the plan's {plan:,} left today" + (f", ours: {ours:,}" if ours else "")


def check_clock(account: Account) -> str:
    """Compare our clock with the API's."""
    if account.date is None:
        return "the API does not tell the time"
    if urlsplit(account.base).hostname in ("127.0.0.1", "localhost", "::1"):
        return "not compared: a simulated account has a clock of its own"
    skew = account.asked_at - parsedate_to_datetime(account.date).timestamp()
    words = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's"
    if abs(skew) > MOST_SKEW:
        what = f"this machine's clock is {words}"
        remedy = (
            "Let it be set by NTP (timedatectl set-ntp true); data is safe, times shown are not"
        )
        raise Problem(what, remedy, ExitCode.CONFIGURATION)
    return words if abs(skew) >= 2 else "agrees with the API's"


def check_redis(url: str) -> str:
    """Ask Redis whether it is there and keeps what it is told."""
    import redis  # a run needs none of it, and starts sooner

    place = place_of(url)
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as home:
            home.ping()
            version = str(home.info("server").get("redis_version", "?"))
            policy = str(home.info("memory").get("maxmemory_policy", "noeviction"))
            home.set("pipeboard:doctor", "is it kept?", px=1000)
    except redis.AuthenticationError as error:
        what = f"Redis at {place} refuses the password"
        raise Problem(what, "Check REDIS_URL", ExitCode.NOT_PERMITTED) from error
    except redis.ResponseError as error:  # a replica, a full one, a user who may not
        what = f"Redis at {place} refuses to keep anything ({error})"
        remedy = "Name the primary in REDIS_URL, give it room (maxmemory, disk), or its user rights"
        raise Problem(what, remedy, ExitCode.CONFIGURATION) from error
    except ValueError as error:
        what = "REDIS_URL is malformed"
        remedy = "Write redis://host:6379/0 (rediss:// for TLS), a password percent-encoded"
        raise Problem(what, remedy, ExitCode.CONFIGURATION) from error
    except redis.RedisError as error:
        what = f"Redis at {place} does not answer ({type(error).__name__})"
        remedy = "Check REDIS_URL and the server; runs go on without it, with limits of their own"
        raise Problem(what, remedy, ExitCode.UNAVAILABLE) from error
    if policy.startswith("allkeys"):
        what = f"Redis at {place} may drop the token ledger (maxmemory-policy {policy})"
        raise Problem(what, "Set maxmemory-policy to volatile-lru", ExitCode.CONFIGURATION)
    return f"Redis {version}, {place}"


def check_pushgateway(url: str) -> str:
    """Ask the Pushgateway whether it is one: a Prometheus would say that it is ready, too."""
    base = url if "://" in url else f"http://{url}"
    try:
        with urllib.request.urlopen(f"{base.rstrip('/')}/api/v1/status", timeout=5) as answer:
            told = dict(json.loads(answer.read())["data"]["build_information"])
        return f"Pushgateway {told.get('version', '?')}, {place_of(base)}"
    except urllib.error.HTTPError as error:
        what = f"what answers at {place_of(base)} is no Pushgateway ({error.code})"
        raise Problem(what, "Check PUSHGATEWAY_URL", ExitCode.CONFIGURATION) from error
    except (KeyError, TypeError, ValueError, HTTPException) as error:
        what = f"what answers at {place_of(base)} is no Pushgateway"
        raise Problem(what, "Check PUSHGATEWAY_URL", ExitCode.CONFIGURATION) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        what = f"the Pushgateway at {place_of(base)} cannot be reached ({reason})"
        remedy = "Check PUSHGATEWAY_URL and the server; runs go on without it, unseen"
        raise Problem(what, remedy, ExitCode.UNAVAILABLE) from error


def place_of(url: str) -> str:
    """Return host and port of a URL, without its password."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        return "an address that is none"
