# The gateway on one machine, with its own database. docs/one-machine.md says how to run it.
#
# The base image is pinned by its version, not by its digest, because the digest could not be looked up where this was
# written. `docker buildx imagetools inspect python:3.13-slim` prints it: add it if you need the same bytes each time.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements/pip.txt requirements/server.txt requirements/
RUN python -m venv .venv \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/pip.txt \
    && .venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/server.txt
COPY functions functions
COPY layers layers
COPY server server
COPY admin admin
COPY gateway-admin template.yaml LICENSE ./
# At run time nothing below /app can be written: compile the code and build the API's description now.
ENV PYTHONPATH=/app:/app/layers/shared
RUN .venv/bin/python -m functions.build_openapi functions/site/openapi.json \
    && .venv/bin/python -m compileall -q admin functions layers server

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/stt-gateway --create-home stt-gateway
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app:/app/layers/shared \
    PYTHONUNBUFFERED=1 \
    BIND=0.0.0.0 \
    PORT=3000 \
    DATA_DIR=/var/lib/stt-gateway/data
USER stt-gateway
# The data directory is inside the volume, so that `gateway-admin restore` can put another in its place.
VOLUME /var/lib/stt-gateway
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "server"]
