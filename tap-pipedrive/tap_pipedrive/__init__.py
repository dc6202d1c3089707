"""A Singer tap for Pipedrive that stands alone."""
