"""Programs on this machine: PostgreSQL, the simulated account, Prefect, the stack of `up`."""
