"""The Secrets: made on minikube, expected in other clusters.

Values reach kubectl through its standard input: its arguments are visible to every user of the
machine, and no file holds them.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Any

from deploy.cluster import Cluster
from deploy.errors import DeployError, ExitCode
from deploy.manifest import Manifest
from deploy.settings import Settings
from deploy.shell import say

PASSWORD_BYTES = 24


@dataclass(frozen=True)
class StoredSecrets:
    """The values in the Secrets of a namespace, by Secret and key."""

    values: dict[str, dict[str, str]]

    @classmethod
    def read(cls, cluster: Cluster) -> StoredSecrets:
        """Read all Secrets at once. Raises 69 on failure: a password must not be replaced then."""
        return cls(
            {
                secret["metadata"]["name"]: {
                    key: base64.b64decode(value).decode()
                    for key, value in (secret.get("data") or {}).items()
                }
                for secret in cluster.read_items("the Secrets", "get", "secrets")
            }
        )

    def get(self, secret: str, key: str) -> str:
        """Return a value; empty if there is none."""
        return self.values.get(secret, {}).get(key, "")

    def get_or_generate(self, secret: str, key: str) -> str:
        """Return the value that is stored, or a new password."""
        return self.get(secret, key) or secrets.token_hex(PASSWORD_BYTES)


def make_secrets(cluster: Cluster, settings: Settings, stored: StoredSecrets) -> None:
    """Create or update all Secrets; passwords that are stored stay."""
    contents = secret_contents(cluster.namespace, settings, stored)
    cluster.apply_objects(*(secret(name, values) for name, values in contents.items()))
    say(
        "secrets",
        f"made from {settings.file}; passwords are generated once and stay in the cluster",
    )


def secret_contents(
    namespace: str, settings: Settings, stored: StoredSecrets
) -> dict[str, dict[str, str]]:
    """Return the values of every Secret, by Secret and key."""
    postgres = {
        f"{role}_PASSWORD": stored.get_or_generate("postgres", f"{role}_PASSWORD")
        for role in ("POSTGRES", "WAREHOUSE", "METRICS", "READER", "METABASE", "PREFECT")
    }
    server = f"postgres.{namespace}.svc:5432"

    def url(
        role: str, password: str, database: str = "pipeboard", scheme: str = "postgresql"
    ) -> str:
        return f"{scheme}://{role}:{postgres[f'{password}_PASSWORD']}@{server}/{database}"

    warehouse = {"PIPEBOARD_DATABASE_URL": url("pipeboard", "WAREHOUSE")}
    # PostgreSQL creates the role of dbt with its volume. A volume from before that role existed
    # goes on with one role, until `pipeboard roles` has run and the Secret has TRANSFORM_PASSWORD.
    is_new = not stored.get("postgres", "POSTGRES_PASSWORD")
    if is_new or stored.get("postgres", "TRANSFORM_PASSWORD"):
        postgres["TRANSFORM_PASSWORD"] = stored.get_or_generate("postgres", "TRANSFORM_PASSWORD")
        warehouse["PIPEBOARD_TRANSFORM_DATABASE_URL"] = url("pipeboard_transform", "TRANSFORM")
    redis = stored.get_or_generate("redis", "REDIS_PASSWORD")
    # The administrator whom Metabase knows already stays.
    administrator = (
        stored.get("metabase-provision", "METABASE_ADMIN_EMAIL")
        or settings.get("METABASE_ADMIN_EMAIL")
        or "admin@pipeboard.internal"
    )
    return {
        "postgres": postgres,
        "pipedrive": {"PIPEDRIVE_API_TOKEN": settings.get("PIPEDRIVE_API_TOKEN")},
        "warehouse": warehouse,
        "redis": {
            "REDIS_PASSWORD": redis,
            "REDIS_URL": f"redis://:{redis}@redis.{namespace}.svc:6379/0",
        },
        "metrics-server": {"PIPEBOARD_METRICS_DATABASE_URL": url("pipeboard_metrics", "METRICS")},
        "grafana": {
            "GF_SECURITY_ADMIN_PASSWORD": stored.get_or_generate(
                "grafana", "GF_SECURITY_ADMIN_PASSWORD"
            ),
            "WAREHOUSE_HOST": server,
            "WAREHOUSE_DATABASE": "pipeboard",
            "WAREHOUSE_SSLMODE": "disable",
            "WAREHOUSE_USER": "pipeboard_metrics",
            "WAREHOUSE_PASSWORD": postgres["METRICS_PASSWORD"],
        },
        "metabase": {
            "MB_ENCRYPTION_SECRET_KEY": stored.get_or_generate(
                "metabase", "MB_ENCRYPTION_SECRET_KEY"
            ),
            "MB_DB_CONNECTION_URI": f"jdbc:postgresql://{server}/metabase"
            f"?user=metabase&password={postgres['METABASE_PASSWORD']}",
        },
        "metabase-provision": {
            "METABASE_ADMIN_EMAIL": administrator,
            "METABASE_ADMIN_PASSWORD": stored.get_or_generate(
                "metabase-provision", "METABASE_ADMIN_PASSWORD"
            ),
            "METABASE_DATABASE_URL": url("metabase_ro", "READER"),
        },
        "prefect": {
            "PREFECT_API_AUTH_STRING": stored.get_or_generate("prefect", "PREFECT_API_AUTH_STRING"),
            "PREFECT_API_DATABASE_CONNECTION_URL": url(
                "prefect", "PREFECT", "prefect", "postgresql+asyncpg"
            ),
        },
    }


def secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    """Return one Secret as an object of Kubernetes."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def missing_secrets(cluster: Cluster, manifest: Manifest) -> list[str]:
    """Return the Secrets that pods of the release need and that do not exist."""
    needed = manifest.secrets()
    if not needed:
        return []
    # By name: an operator need not have the right to list them all.
    found = cluster.read(
        "the Secrets", "get", "secret", *needed, "--ignore-not-found", "-o", "name"
    ).split()
    return [name for name in needed if f"secret/{name}" not in found]


def require_secrets(cluster: Cluster, manifest: Manifest) -> None:
    """Raise 78 if a Secret is missing."""
    missing = missing_secrets(cluster, manifest)
    if missing:
        raise DeployError(
            ExitCode.CONFIGURATION,
            f"these Secrets are not in namespace {cluster.namespace}: {' '.join(missing)}. "
            "What each holds stands in docs/operators-guide.md",
        )
