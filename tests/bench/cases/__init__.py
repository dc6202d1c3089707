"""What is measured: one file per question, each with a TITLE and a function `measure`."""

from bench.cases import calls, loader, memory, run, tap

CASES = {"tap": tap, "loader": loader, "run": run, "memory": memory, "calls": calls}
