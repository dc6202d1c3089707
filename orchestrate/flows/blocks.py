"""The blocks that flows read: for workers without the settings of the account.

In Kubernetes, and beside a .env, nobody needs them. They come last: what the environment says wins,
then .env, then the block.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from pydantic import Field, SecretStr


class Warehouse(Block):
    """The PostgreSQL database that runs write to."""

    _block_type_name = "Pipeboard Warehouse"
    _block_type_slug = "pipeboard-warehouse"
    _description = "The PostgreSQL database that Pipeboard writes to."

    url: SecretStr = Field(description="postgresql://user:password@host:5432/database")


class RedisServer(Block):
    """The Redis in which runs share rate limits and the token count."""

    _block_type_name = "Pipeboard Redis"
    _block_type_slug = "pipeboard-redis"
    _description = "The Redis in which runs of Pipeboard share rate limits and the token count."

    url: SecretStr = Field(description="redis://:password@host:6379/0")


#: Setting, and the block that holds it. The last is for the git pull step of prefect.yaml.
BLOCKS: dict[str, tuple[type[Block], str]] = {
    "PIPEDRIVE_API_TOKEN": (Secret, "pipedrive-api-token"),
    "PIPEBOARD_DATABASE_URL": (Warehouse, "pipeboard-warehouse"),
    "PIPEBOARD_TRANSFORM_DATABASE_URL": (Warehouse, "pipeboard-transform"),
    "REDIS_URL": (RedisServer, "pipeboard-redis"),
    "GITHUB_PAT": (Secret, "github-pat"),
}


def held_by(block: Any) -> str:
    """Return the secret of one of our blocks."""
    return str(block.get() if isinstance(block, Secret) else block.url.get_secret_value())


def made_of(kind: type[Block], value: str) -> Block:
    """Return a block that holds a secret."""
    return Secret(value=SecretStr(value)) if kind is Secret else kind(url=SecretStr(value))


def load(kind: type[Block], name: str) -> Block | None:
    """Return a block from the server, None if there is none."""
    try:
        found: Block = kind.load(name, _sync=True)  # type: ignore[call-arg, assignment]
        return found
    except ValueError:  # what Prefect raises for a block that it does not have
        return None


def settings_from_blocks(dotenv: Path) -> dict[str, str]:
    """Return the settings that neither the environment nor .env has, but a block does."""
    known: Mapping[str, str | None] = {**dotenv_values(dotenv), **os.environ}
    found = {}
    for setting, (kind, name) in BLOCKS.items():
        if setting != "GITHUB_PAT" and not known.get(setting):
            block = load(kind, name)
            if block:
                found[setting] = held_by(block)
    return found
