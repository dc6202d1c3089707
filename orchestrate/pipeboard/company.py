"""Find the name of the company in PIPEDRIVE_COMPANY_DOMAIN."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: Hosts of Pipedrive that belong to no company.
SHARED_HOSTS = frozenset({"api", "app", "developers", "marketplace", "oauth", "support", "www"})


def company_of(domain: str) -> str | None:
    """Return the acme of `Acme.Pipedrive.com` or `https://acme.pipedrive.com/deals`, else None."""
    typed = domain.strip().lower()
    try:
        host = urlsplit(typed if "://" in typed else f"https://{typed}").hostname or ""
    except ValueError:
        return None
    name = host.removesuffix(".pipedrive.com")
    usable = re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and name not in SHARED_HOSTS
    return name if usable else None
