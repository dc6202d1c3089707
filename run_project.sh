#!/bin/sh
# Pipeboard on Kubernetes: from nothing to running, and back. ./run_project.sh --help
# Finds a Python and starts orchestrate/deploy, which needs its standard library only.
set -eu
root=$(cd "$(dirname "$0")" && pwd)

for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    if "$python" -ISc 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        exec "$python" -IS "$root/orchestrate/deploy" "$@"
    fi
done
echo "run_project.sh: Python 3.10 or newer is not installed, or not on the PATH as python3" >&2
exit 78
