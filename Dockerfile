# The gateway in a container: docs/container.md. For a base that never changes, give its digest:
# --build-arg BASE=python:3.11-slim-bookworm@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY locks/build.txt locks/runtime.txt locks/
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "-r", "locks/build.txt"]
RUN ["python", "-m", "venv", "--without-pip", "/opt/gateway"]
RUN ["python", "-m", "pip", "--python", "/opt/gateway/bin/python", "install", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes", "-r", "locks/runtime.txt"]
COPY pyproject.toml README.md ./
COPY gateway gateway
RUN ["python", "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
RUN ["python", "-m", "pip", "--python", "/opt/gateway/bin/python", "install", "--no-cache-dir", "--no-deps", "--no-index", "--find-links", "dist", "gateway"]

FROM ${BASE}
# What installs packages has no work here. `var` is the one directory that the gateway writes to beside /tmp and /dev/shm.
RUN python -m pip uninstall --yes --root-user-action ignore pip setuptools wheel \
    && install -d -m 755 /var/lib/gateway \
    && install -d -m 700 -o 10001 -g 10001 /var/lib/gateway/var
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BIND=0.0.0.0:4180
USER 10001:10001
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway/var
EXPOSE 4180
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['BIND'].rpartition(':')[2]), timeout=3); c.request('GET', '/ping'); sys.exit(c.getresponse().status != 200)"]
CMD ["gateway", "serve"]
