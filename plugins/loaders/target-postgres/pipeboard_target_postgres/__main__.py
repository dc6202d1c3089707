"""`python -m pipeboard_target_postgres`: the same as the console script."""

from pipeboard_target_postgres.main import main

if __name__ == "__main__":  # pragma: no branch: only run, never imported
    main()
