"""Reads the records of a BATCH message's files, one at a time."""

from __future__ import annotations

import gzip
import importlib.util
import typing as t
from collections.abc import Iterator

from singer_sdk.helpers._batch import BatchConfig, StorageTarget
from singer_sdk.singerlib.exceptions import InvalidInputLine
from singer_sdk.singerlib.json import deserialize_json

from pipeboard_target_postgres.errors import ConfigurationError, DataRefusedError, one_line


def records(message: dict[str, t.Any], config: t.Mapping[str, t.Any] | None) -> Iterator[t.Any]:
    """Yield the records of a BATCH message's files.

    Args:
        message: the message.
        config: the setting `batch_config`; it may name another storage.

    Raises:
        InvalidInputLine: the message does not say where its files are.
        DataRefusedError: a file is missing or broken.
        ConfigurationError: files of this format cannot be read here.
    """
    encoding, manifest = message.get("encoding"), message.get("manifest")
    if (
        not isinstance(encoding, dict)
        or not isinstance(manifest, list)
        or not all(isinstance(path, str) for path in manifest)
    ):
        raise InvalidInputLine("A BATCH message has no encoding or no manifest.")
    kind, compression = encoding.get("format"), encoding.get("compression")
    if kind not in ("jsonl", "parquet") or compression not in (None, "none", "gzip"):
        raise ConfigurationError(
            f"BATCH files of format {kind!r}, compression {compression!r}: jsonl (also with gzip) "
            "and parquet can be read."
        )
    if kind == "parquet" and not importlib.util.find_spec("pyarrow"):
        raise ConfigurationError("BATCH files of format parquet need the package pyarrow.")
    storage = BatchConfig.from_dict(dict(config)).storage if config else None
    for path in manifest:
        head, tail = StorageTarget.split_url(path)
        try:
            with (storage or StorageTarget.from_url(head)).open(tail, mode="rb") as file:
                yield from _parquet(file) if kind == "parquet" else _lines(file, compression)
        except ImportError as exc:
            raise ConfigurationError(
                f"BATCH file {path} is on a storage that this target cannot read: {one_line(exc)}"
            ) from exc
        except (OSError, EOFError, ValueError) as exc:
            raise DataRefusedError(f"BATCH file {path} cannot be read: {one_line(exc)}") from exc


def _lines(file: t.Any, compression: str | None) -> Iterator[t.Any]:
    with gzip.open(file) if compression == "gzip" else file as opened:
        for line in opened:
            if line.strip():
                yield deserialize_json(line)


def _parquet(file: t.Any) -> Iterator[t.Any]:  # pragma: no cover: pyarrow is optional
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches():
        yield from batch.to_pylist()
