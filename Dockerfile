# Three images: service (the last stage, so the default), service-gpu and training.
# What changes often comes late in each stage. docs/containers.md says more.
ARG PYTHON=3.11
ARG VERSION=0.1.0

FROM python:${PYTHON}-slim-bookworm AS base
# The address of another index, for PyTorch's build without CUDA.
ARG PIP_EXTRA_INDEX_URL
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1
WORKDIR /src
RUN groupadd --gid 65532 nonroot \
    && useradd --uid 65532 --gid nonroot --create-home nonroot \
    && install --directory --owner nonroot --group nonroot /models /runs
COPY constraints.txt pyproject.toml ./
COPY deploy/image/requirements.py deploy/image/


# Fails when a pinned version has a known vulnerability, and when it cannot ask. Part of no image.
FROM base AS audit
ENV PIP_CONSTRAINT= \
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=cache,target=/root/.cache/pip pip install pip-audit
RUN pip-audit --strict --disable-pip --no-deps --progress-spinner off -r constraints.txt \
    || { echo "audit: a version is vulnerable, or the advisories could not be read" >&2; exit 1; }


FROM base AS service-packages
RUN python deploy/image/requirements.py service otel > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --prefix /packages --requirement requirements.txt
COPY LICENSE README.md ./
COPY vae vae
COPY training training
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip pip install --prefix /packages --no-deps .

FROM base AS service-rootfs
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/image deploy/image
COPY --from=service-packages /packages /packages
RUN python -m deploy.image.rootfs /packages/lib/python3*/site-packages /rootfs
ARG VERSION
RUN python -m deploy.image.sbom /rootfs vae-server "${VERSION}" > /rootfs/sbom.cdx.json


FROM base AS training
RUN python deploy/image/requirements.py training > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip pip install --requirement requirements.txt
COPY LICENSE README.md ./
COPY vae vae
COPY training training
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps .
COPY deploy/image deploy/image
ARG VERSION
RUN python -m deploy.image.sbom / vae-server-training "${VERSION}" > /sbom.cdx.json
USER 65532:65532
WORKDIR /home/nonroot
ENV MPLCONFIGDIR=/tmp \
    VAE_TRAIN_MODELS=/models
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]
ARG REVISION
LABEL org.opencontainers.image.title="vae-server-training" \
      org.opencontainers.image.description="Train a variational autoencoder, write one bundle" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"


FROM base AS service-gpu
COPY deploy/image/constraints-gpu.txt deploy/image/
ENV PIP_CONSTRAINT="/src/constraints.txt /src/deploy/image/constraints-gpu.txt"
RUN python deploy/image/requirements.py service-gpu otel > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip pip install --requirement requirements.txt
COPY LICENSE README.md ./
COPY vae vae
COPY training training
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip pip install --no-deps .
COPY deploy/image deploy/image
ARG VERSION
RUN python -m deploy.image.sbom / vae-server-gpu "${VERSION}" > /sbom.cdx.json
USER 65532:65532
WORKDIR /home/nonroot
ENV VAE_DEVICE=cuda \
    VAE_HOST=0.0.0.0 \
    VAE_MODELS=/models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s \
    CMD ["python", "-m", "service.probe"]
ENTRYPOINT ["python", "-m", "service"]
ARG REVISION
LABEL org.opencontainers.image.title="vae-server-gpu" \
      org.opencontainers.image.description="Serve variational autoencoders over HTTP, on CUDA" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"


FROM scratch AS service
COPY --from=service-rootfs /rootfs /
USER 65532:65532
WORKDIR /home/nonroot
ENV PATH=/usr/local/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    VAE_HOST=0.0.0.0 \
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
