# The image of every job: pipeboard, Meltano, tap, loader and dbt, each in its pinned environment.
# The base is pinned by tag. Pin it by digest where you build, with a registry at hand:
#   docker build --build-arg PYTHON_IMAGE=python:3.11.15-slim-bookworm@sha256:... .
ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV UV_LINK_MODE=copy
WORKDIR /project
COPY . .
RUN --mount=type=cache,target=/root/.cache docker/build.sh

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pipeboard" \
      org.opencontainers.image.description="Pipedrive in your own PostgreSQL" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# tini hands on SIGTERM, which a first process would not even hear, and buries what Meltano started.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends 'tini=0.19.*' \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /tmp pipeboard \
    && install --directory --owner=10001 --group=10001 /state

# COPY would pack and hash each of the many files, and takes twice as long.
RUN --mount=type=bind,from=build,source=/project,target=/built cp --archive /built /project

# Everything else may be read-only: a run writes below /state and /tmp, and keeps nothing there that
# the next one needs. What lasts lies in PostgreSQL and Redis.
ENV PATH=/project/.pipeboard/bin:$PATH \
    HOME=/tmp \
    PIPEBOARD_STATE_DIR=/state \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MELTANO_ENVIRONMENT=prod \
    PIPEBOARD_LOG_FORMAT=json \
    PIPEBOARD_GIT_SHA=${REVISION}
WORKDIR /project
VOLUME ["/state", "/tmp"]
USER 10001:10001

# No HEALTHCHECK: a job has none; its exit code says how it went.
ENTRYPOINT ["tini", "--", "pipeboard"]
CMD ["--help"]
