"""Lets `python -m pipedrive_simulator` do what the console script does."""

import sys

from pipedrive_simulator.cli import main

sys.exit(main())
