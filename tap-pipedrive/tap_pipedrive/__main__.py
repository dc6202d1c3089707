"""Run the tap with ``python -m tap_pipedrive``."""

from tap_pipedrive.main import main

if __name__ == "__main__":  # pragma: no branch: only run, never imported
    main()
