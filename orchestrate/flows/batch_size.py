"""The batch-size experiment: which number of rows per batch loads fastest here."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from supervised import supervise


@flow(name="batch_size_experiment_flow", timeout_seconds=3600)
def batch_size_experiment_flow(
    rows: int = 30_000, rounds: int = 3, sizes: list[int] | None = None
) -> State[Any]:
    """Measure the loader with deals of this warehouse: `pipeboard tune`.

    The result is stored in the history of runs, and every later run uses it, however it is started,
    unless TARGET_POSTGRES_BATCH_SIZE_ROWS is set.

    Args:
        rows: how many deals each load gets.
        rounds: how often each size is measured.
        sizes: rows per batch to try; the shipped list without any.

    """
    arguments = ["tune", "--rows", str(rows), "--rounds", str(rounds)]
    if sizes:
        arguments += ["--sizes", ",".join(map(str, sizes))]
    return supervise("batch-size-experiment", arguments)
