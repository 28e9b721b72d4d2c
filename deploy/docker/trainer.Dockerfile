# Training, with TensorFlow and Fashion-MNIST, so that a run needs no network. Built from the root of the repository:
#
#   docker build -f deploy/docker/trainer.Dockerfile -t signet-trainer .
#
# To pin the base by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
# Packages come from PyPI, or from where PIP_INDEX_URL and PIP_EXTRA_INDEX_URL say; Debian's from the mirrors of the base,
# or from DEBIAN_MIRROR, a URL that ends in /debian.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS requirements
COPY pyproject.toml deploy/docker/requirements.py /
RUN python /requirements.py /pyproject.toml train > /requirements.txt

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
ARG DEBIAN_MIRROR
RUN if [ -n "$DEBIAN_MIRROR" ]; then \
      find /etc/apt -name '*.list' -o -name '*.sources' \
        | xargs sed -i -E "s#https?://[^ ]+/debian/?( |\$)#$DEBIAN_MIRROR\1#"; fi \
 && apt-get update -q \
 && apt-get install -q -y --no-install-recommends dataset-fashion-mnist \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 signet \
 && useradd --uid 10001 --gid signet --no-create-home --home-dir /tmp --shell /usr/sbin/nologin signet \
 && install -d -o signet -g signet /models /cache
COPY --from=dependencies /opt/signet /opt/signet
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/signet/bin/python install -q --no-cache-dir --no-deps --no-index /wheel/*.whl
COPY deploy/docker/train-missing.sh /usr/local/bin/train-missing
ENV PATH=/opt/signet/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIGNET_CACHE=/cache
USER 10001:10001
ENTRYPOINT ["train-missing"]
CMD ["pima", "shapes", "fashion_mnist"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Signet trainer" \
      org.opencontainers.image.description="Trains Keras models and publishes them as model packages" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
