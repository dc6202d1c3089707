"""Check the settings that are addresses, and find the company's name in a domain."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from tap_pipedrive.errors import ConfigurationError

#: Hosts of Pipedrive that belong to no company.
_NO_COMPANY = frozenset({"api", "app", "developers", "marketplace", "oauth", "support", "www"})


def split_url(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """Split a URL that has a host and one of these schemes; None for any other text."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not match, or a port that is not a number
        return None
    return parts if usable and not re.search(r"\s", url) else None


def without_password(url: str) -> str:
    """Return an address, valid or not, without its password.

    >>> without_password("http://me:secret@proxy:port")
    'http://***@proxy:port'
    """
    return re.sub(r"//.*@", "//***@", url, flags=re.DOTALL)


def http_url(url: str, setting: str) -> str:
    """Return an HTTP address in its usual form: lower case, no slash at the end.

    Raises:
        ConfigurationError: it is not an HTTP address.

    """
    parts = split_url(url.strip(), ("http", "https"))
    if parts is None:
        msg = f"{setting} is not an http(s) address: {without_password(url)}"
        raise ConfigurationError(msg)
    account, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{account}{at}{host.lower()}").geturl().rstrip("/")


def company_of(domain: str) -> str:
    """Return the company's name from its domain or its address.

    >>> company_of("HTTPS://Acme.Pipedrive.com/deals")
    'acme'

    Raises:
        ConfigurationError: there is no company in it.

    """
    setting = "company_domain (PIPEDRIVE_COMPANY_DOMAIN)"
    typed = domain.strip().lower()
    if not typed:
        msg = f"{setting} is not set: it is the acme of https://acme.pipedrive.com"
        raise ConfigurationError(msg)
    address = typed if re.match(r"[a-z]+://", typed) else f"https://{typed}"
    parts = split_url(address, ("http", "https"))
    name = (parts.hostname or "").removesuffix(".pipedrive.com") if parts else ""
    if name in _NO_COMPANY:
        msg = (
            f"{setting} names no company: {domain!r} is the same for all of them. Look at the "
            "address of your browser in Pipedrive: it is the acme of https://acme.pipedrive.com"
        )
        raise ConfigurationError(msg)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        msg = f"{setting} is not a name like acme: {domain!r}"
        raise ConfigurationError(msg)
    return name
