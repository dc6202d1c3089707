"""What is measured: one file per question, each with a TITLE and a function `measure`."""

from bench.cases import batch, calls, cards, dbt, loader, memory, run, tap

CASES = {
    "tap": tap,
    "loader": loader,
    "run": run,
    "batch": batch,
    "memory": memory,
    "calls": calls,
    "dbt": dbt,
    # after dbt, whose marts it asks
    "cards": cards,
}
