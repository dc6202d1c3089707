"""`python -m pipeboard_target_postgres`: the same as the console script."""

from pipeboard_target_postgres.target import TargetPostgres

TargetPostgres.cli()
