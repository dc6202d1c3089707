"""What is measured: one file per question, each with a TITLE and a function `measure`."""

from bench.cases import batch, calls, cards, dbt, idle, loader, memory, page, run, tap

CASES = {
    "tap": tap,
    "idle": idle,
    "loader": loader,
    "run": run,
    "batch": batch,
    "memory": memory,
    "calls": calls,
    "dbt": dbt,
    # after dbt, whose marts it asks
    "cards": cards,
    "page": page,
}
