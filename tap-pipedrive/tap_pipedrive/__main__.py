"""Run the tap with ``python -m tap_pipedrive``."""

from tap_pipedrive.main import main

main()
