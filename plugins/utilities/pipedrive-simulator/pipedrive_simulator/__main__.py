"""`python -m pipedrive_simulator`: the same as the console script."""

import sys

from pipedrive_simulator.cli import main

sys.exit(main())
