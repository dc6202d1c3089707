"""The plan of a run, its metrics and its report."""
