# Builds three images: service (the last stage and so the default), service-gpu and training.
# Each image is the same base, Python and Debian, with a virtual environment that a build stage made.
# docs/containers.md describes the images.
ARG PYTHON=3.11
ARG VERSION=0.1.0

FROM scratch AS source
COPY LICENSE README.md /
COPY vae /vae
COPY training /training
COPY service /service


# Fails if a pinned version has a known vulnerability, or if the advisories cannot be read.
# No image contains this stage.
FROM python:${PYTHON}-slim-bookworm AS audit
ENV REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
# hadolint ignore=DL3013
RUN --mount=type=cache,target=/root/.cache/pip pip install pip-audit
WORKDIR /src
COPY constraints.txt ./
RUN pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt \
    || { echo "audit: a version is vulnerable, or the advisories could not be read" >&2; exit 1; }


FROM python:${PYTHON}-slim-bookworm AS build
# An additional package index, for example the one that has PyTorch without CUDA.
ARG PIP_EXTRA_INDEX_URL
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt cyclonedx-bom \
    && python -m venv --without-pip /venv
# From here on pip installs into the virtual environment.
ENV PIP_PYTHON=/venv/bin/python
# The packages are installed before the source is copied, so that a change of the source does not
# install them again.
COPY pyproject.toml deploy/image/requirements.py ./


FROM build AS training-build
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py training > requirements.txt \
    && pip install --requirement requirements.txt
COPY --from=source / ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps . \
    && cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file /sbom.cdx.json /venv/bin/python


FROM build AS service-gpu-build
COPY deploy/image/constraints-gpu.txt ./
ENV PIP_CONSTRAINT="/src/constraints.txt /src/constraints-gpu.txt"
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py service-gpu otel > requirements.txt \
    && pip install --requirement requirements.txt
COPY --from=source / ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps . \
    && cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file /sbom.cdx.json /venv/bin/python


FROM build AS service-build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py service otel > requirements.txt \
    && pip install --requirement requirements.txt
COPY --from=source / ./
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps . \
    && cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
        --output-file /sbom.cdx.json /venv/bin/python
# Delete what Python never imports: tests, bytecode, C sources, type stubs, debug symbols, the package
# `training` (it needs torch) and onnxruntime's second library, which is for programs in C.
# `strip` damages the libraries that wheels bundle (*.libs), because their ELF headers were rewritten.
RUN rm -r /venv/lib/python*/site-packages/training \
    && find /venv -depth \( -type d \( -name tests -o -name __pycache__ \) \
        -o -name '*.[ach]' -o -name '*.cpp' -o -name '*.py[ix]' -o -name 'libonnxruntime.so.*' \) \
        -exec rm -r {} + \
    && find /venv -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +


FROM python:${PYTHON}-slim-bookworm AS python
RUN pip uninstall --yes --root-user-action ignore pip setuptools wheel \
    && find /usr/local -name __pycache__ -exec rm -r {} + \
    && groupadd --gid 65532 nonroot \
    && useradd --uid 65532 --gid nonroot --create-home nonroot \
    && install --directory --owner nonroot --group nonroot /models /runs

FROM scratch AS runtime
# All files in one layer, because a deleted file still takes space in the layer below.
# hadolint ignore=DL3067
COPY --from=python / /
ENV PATH=/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1
WORKDIR /home/nonroot


FROM runtime AS training
COPY --from=training-build /venv /venv
COPY --from=training-build /sbom.cdx.json /
USER 65532:65532
ENV MPLCONFIGDIR=/tmp \
    VAE_TRAIN_MODELS=/models
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="vae-server-training" \
      org.opencontainers.image.description="Train a variational autoencoder, write one bundle" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"


FROM runtime AS service-gpu
COPY --from=service-gpu-build /venv /venv
COPY --from=service-gpu-build /sbom.cdx.json /
USER 65532:65532
ENV VAE_DEVICE=cuda \
    VAE_HOST=0.0.0.0 \
    VAE_MODELS=/models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s \
    CMD ["python", "-m", "service.probe"]
ENTRYPOINT ["python", "-m", "service"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="vae-server-gpu" \
      org.opencontainers.image.description="Serve variational autoencoders over HTTP, on CUDA" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"


FROM runtime AS service
COPY --from=service-build /venv /venv
COPY --from=service-build /sbom.cdx.json /
# Compiles what a start and a health check import, and nothing else. The user of the image cannot
# write bytecode.
RUN ["python", "-c", "import service.__main__, service.probe, service.runtimes.onnx"]
USER 65532:65532
ENV VAE_HOST=0.0.0.0 \
    VAE_MODELS=/models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
    CMD ["python", "-m", "service.probe"]
ENTRYPOINT ["python", "-m", "service"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="vae-server" \
      org.opencontainers.image.description="Serve variational autoencoders over HTTP" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
