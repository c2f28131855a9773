FROM python:3.11-slim AS build
WORKDIR /src
COPY locks/runtime.txt locks/runtime.txt
RUN python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir --require-hashes -r locks/runtime.txt
COPY pyproject.toml README.md ./
COPY gateway gateway
RUN /opt/gateway/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/gateway --create-home gateway
COPY --from=build /opt/gateway /opt/gateway
COPY gunicorn.conf.py /etc/gateway/gunicorn.conf.py
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    BIND=0.0.0.0:4180
USER gateway
WORKDIR /var/lib/gateway
RUN mkdir -m 700 var
VOLUME /var/lib/gateway/var
EXPOSE 4180
# Configured by GATEWAY_* alone, or by a file: -v ./config.yaml:/var/lib/gateway/config.yaml:ro
CMD ["gunicorn", "-c", "/etc/gateway/gunicorn.conf.py"]
