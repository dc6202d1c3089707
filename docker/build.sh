#!/bin/sh
# Build what the image runs, make it smaller, and try it. The Dockerfile calls this.
set -eu
cd "$(dirname "$0")/.."

python3 orchestrate/bootstrap.py image

# Only building needs these; the image is read-only afterwards. Meltano requires them to install plugins.
.pipeboard/env/uv/bin/uv --quiet pip uninstall --python .pipeboard/env/meltano/bin/python pip uv
rm -rf .pipeboard/env/uv .pipeboard/cache .pipeboard/bootstrap.lock
python3 docker/shrink.py .

# Try every program once, so that a broken image is never finished. No database is asked: dbt reads
# its project, and the URL below leads nowhere.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch" XDG_STATE_HOME="$scratch" PIPEBOARD_STATE_DIR="$scratch" PIPEBOARD_WORLD=build
export MELTANO_SYS_DIR_ROOT="$scratch/meltano" MELTANO_CLI_DISABLE_VERSION_CHECK=1
export PIPEBOARD_DATABASE_URL=postgresql://nobody:nothing@nowhere.invalid:5432/none
export DBT_TARGET_PATH="$scratch/target" DBT_LOG_PATH="$scratch/logs"
export PYTHONDONTWRITEBYTECODE=1
PATH="$PWD/.pipeboard/bin:$PATH"
pipeboard --help >/dev/null
meltano --version
tap-pipedrive --version
target-postgres --version
query-exporter --version
export PREFECT_HOME="$scratch/prefect" DO_NOT_TRACK=1
prefect --version
.pipeboard/env/prefect/bin/python orchestrate/flows/register.py --help >/dev/null
pipeboard-metabase --help >/dev/null
# As a sync runs it, dbt leaves what it parsed in .pipeboard/dbt/parsed, and no container parses again.
mkdir -p .pipeboard/dbt
PIPEBOARD_DBT_OF_SYNC=1 dbt --quiet parse --project-dir transform --profiles-dir transform
# What the models say of themselves, for Metabase to say it, too.
cp "$scratch/target/manifest.json" .pipeboard/dbt/manifest.json
chmod -R a+rX .pipeboard/dbt
echo "image         built and tried"
