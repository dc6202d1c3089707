"""The HTTP side: routing, limits, faults, statistics and the control routes."""
