"""Checks before a run, and for `pipeboard doctor` and `pipeboard status`."""
