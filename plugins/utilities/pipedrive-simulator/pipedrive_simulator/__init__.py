"""A simulated Pipedrive account with the REST API, for demos and tests."""

__version__ = "0.1.0"
