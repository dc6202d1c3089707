"""Make `python -m pipeboard` the same as the command `pipeboard`."""

from pipeboard.cli import main

main()
