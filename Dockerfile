# One image for every command: docker run backstop [run | serve | worker | db upgrade | …]
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/backstop
RUN python -m venv /opt/venv
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY app app
COPY alerts alerts
COPY indexer indexer
COPY ledger ledger
COPY solvency solvency
COPY web web
COPY docs docs
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --editable .

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --home-dir /data --uid 10001 backstop
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/backstop /opt/backstop
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BACKSTOP_DATA_DIR=/data \
    BACKSTOP_HOST=0.0.0.0
USER backstop
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["backstop"]
CMD ["run"]
