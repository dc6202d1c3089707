"""Run as `python3 -IS orchestrate/deploy`; no environment has to be built for it."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from deploy.cli import main

    sys.exit(main())
