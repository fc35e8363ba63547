# The pipeline as an image whose command is `meltano` (target runtime), and the same with Airflow (target airflow);
# see docs/operate.md for running them. They write only to /tmp and /project/.meltano/run, where nothing must be kept.
ARG BASE_IMAGE=docker.io/library/python:3.12.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION=0.13.9
ENV UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_NO_CACHE=1 \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/meltano/venv \
    MELTANO_PROJECT_ROOT=/project \
    PATH=/opt/meltano/venv/bin:/opt/uv/bin:$PATH
WORKDIR /project
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet uv==${UV_VERSION}
COPY pyproject.toml uv.lock ./
RUN uv sync --quiet --frozen --no-default-groups --no-install-workspace
COPY . .
RUN uv sync --quiet --locked --no-default-groups --no-editable \
    && meltano install \
    && meltano schedule list --format=json > orchestrate/schedules.json \
    && rm -rf .meltano/analytics.json .meltano/cache .meltano/logs .meltano/meltano.db .meltano/run
# The packages of each environment, in CycloneDX.
RUN UV_PROJECT_ENVIRONMENT=/opt/sbom uv sync --quiet --locked --only-group sbom \
    && mkdir /sbom \
    && for environment in /opt/meltano/venv .meltano/*/*/venv; do \
        /opt/sbom/bin/cyclonedx-py environment "$environment" \
            --output-file "/sbom/$(basename "$(dirname "$environment")").cdx.json" || exit 1; \
    done

FROM build AS build-airflow
RUN UV_PROJECT_ENVIRONMENT=/opt/airflow/venv uv sync --quiet --locked --project orchestrate/airflow \
    && /opt/sbom/bin/cyclonedx-py environment /opt/airflow/venv --output-file /sbom/airflow.cdx.json

FROM ${BASE_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Pipedrive warehouse" \
      org.opencontainers.image.description="Pipedrive in your own Postgres: complete, readable, incremental, modelled for BI" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Home and state are in /tmp because Meltano does not start if it cannot write to them.
ENV PATH=/opt/meltano/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    XDG_STATE_HOME=/tmp/state \
    MELTANO_PROJECT_ROOT=/project \
    MELTANO_PROJECT_READONLY=1 \
    MELTANO_AUTO_INSTALL=false \
    MELTANO_CLI_LOG_FORMAT=json \
    DBT_TARGET_PATH=/tmp/dbt \
    DBT_LOG_PATH=/tmp/dbt
RUN groupadd --gid 10001 meltano \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin meltano \
    && install --directory --owner=10001 --group=10001 --mode=700 /project/.meltano/run
COPY --from=build /sbom /usr/share/sbom
COPY --from=build /opt/meltano /opt/meltano
COPY --from=build /project /project
WORKDIR /project
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["meltano"]

FROM runtime AS airflow
USER 0:0
RUN install --directory --owner=10001 --group=10001 --mode=700 /var/log/airflow
USER 10001:10001
ENV PATH=/opt/meltano/venv/bin:/opt/airflow/venv/bin:$PATH \
    AIRFLOW_HOME=/tmp/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/project/orchestrate/airflow/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=false
COPY --from=build-airflow /sbom/airflow.cdx.json /usr/share/sbom/
COPY --from=build-airflow /opt/airflow /opt/airflow
ENTRYPOINT ["airflow"]
