"""What keeps the tap inside Pipedrive's limits."""
