# The server and its client, without TensorFlow. Built from the root of the repository:
#
#   docker build -f deploy/docker/server.Dockerfile -t signet .
#   docker build -f deploy/docker/server.Dockerfile -t signet:cuda --build-arg PROVIDER=cuda .
#
# To pin the base by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
# Packages come from PyPI, or from where PIP_INDEX_URL and PIP_EXTRA_INDEX_URL say; the image does not remember those.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
ARG PROVIDER=cpu
COPY pyproject.toml deploy/docker/requirements.py /
RUN case "$PROVIDER" in cpu) extras="native tracing" ;; cuda) extras="native tracing gpu" ;; \
      *) echo "PROVIDER is '$PROVIDER'; cpu or cuda was expected" >&2; exit 1 ;; esac \
 && python /requirements.py /pyproject.toml $extras > /requirements.txt

# What is installed changes seldom, the sources often: so each has a stage, and a layer of the image.
FROM ${PYTHON_IMAGE} AS dependencies
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY --from=requirements /requirements.txt /
COPY constraints.txt /
RUN python -m venv --without-pip /opt/signet \
 && pip --python /opt/signet/bin/python install -q --no-cache-dir -c /constraints.txt -r /requirements.txt

FROM ${PYTHON_IMAGE} AS wheel
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /source
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY protos protos
COPY serving serving
COPY training training
RUN PIP_CONSTRAINT=constraints.txt pip wheel -q --no-cache-dir --no-deps -w /wheel .

FROM ${PYTHON_IMAGE}
ARG PROVIDER=cpu
RUN groupadd --gid 10001 signet \
 && useradd --uid 10001 --gid signet --no-create-home --home-dir /tmp --shell /usr/sbin/nologin signet \
 && install -d -o signet -g signet /models /state /reports
COPY --from=dependencies /opt/signet /opt/signet
# Of CUDA's libraries, which come as wheels, the loader learns here. Without them there is nothing to learn.
RUN find /opt/signet/lib -type d -path '*/nvidia/*' -name lib > /etc/ld.so.conf.d/signet.conf && ldconfig
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/signet/bin/python install -q --no-cache-dir --no-deps --no-index /wheel/*.whl
ENV PATH=/opt/signet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    SIGNET_MODELS=/models \
    SIGNET_HOST=0.0.0.0 \
    SIGNET_PROVIDERS=${PROVIDER}
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8500 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=2 CMD ["signet", "health", "--timeout-seconds", "4"]
ENTRYPOINT ["signet-serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Signet server" \
      org.opencontainers.image.description="Serves model packages over gRPC with labelled answers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
