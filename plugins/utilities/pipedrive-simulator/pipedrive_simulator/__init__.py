"""A local Pipedrive account that speaks the REST API, for demos and tests."""

__version__ = "0.1.0"
