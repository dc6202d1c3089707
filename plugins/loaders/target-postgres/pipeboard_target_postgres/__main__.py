"""`python -m pipeboard_target_postgres`: the same as the console script."""

from pipeboard_target_postgres.main import main

main()
