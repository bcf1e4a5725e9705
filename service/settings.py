"""All settings of the service, for environment variables VAE_* and command-line flags alike."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.arrays import Precision
from service.keys import well_formed

MiB = 2**20
ORIGIN = r"^(\*|https?://[A-Za-z0-9.-]+(:\d+)?|https?://\[[0-9a-fA-F:.]+\](:\d+)?)$"
LISTED_VERSION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)/([1-9][0-9]{0,17})")
OF_TRAINING = ("VAE_TRAIN_", "VAE_EVALUATE_", "VAE_EXPORT_")


def _zero_for_auto(given: object) -> object:
    if isinstance(given, str) and not given.strip().lstrip("+-").isdecimal():
        if given != "auto":
            raise ValueError("expected a whole number or auto")
        return 0
    return given


def parse_listed_versions(policy: str) -> list[tuple[str, int]]:
    """The models and versions that a version policy lists; empty for ``all`` and ``latest``.

    Raises ValueError for a policy that is none of the three.
    """
    if policy in ("all", "latest"):
        return []
    found = [LISTED_VERSION.fullmatch(item.strip()) for item in policy.split(",")]
    if not all(found):
        raise ValueError("expected all, latest, or a list such as digits/3,faces/1")
    return [(item[1], int(item[2])) for item in found if item]


def _version_policy(text: str) -> str:
    parse_listed_versions(text)
    return text


IntOrAuto = Annotated[NonNegativeInt, BeforeValidator(_zero_for_auto)]
Key = Annotated[SecretStr, Field(min_length=1), AfterValidator(well_formed)]
Origin = Annotated[str, Field(pattern=ORIGIN)]


class Settings(BaseSettings):
    """Serve variational autoencoders over HTTP. --port is also the variable VAE_PORT, and so on."""

    model_config = SettingsConfigDict(
        env_prefix="VAE_",
        frozen=True,
        extra="forbid",
        cli_prog_name="vae-serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    models: Path = Field(
        Path("models"), description="a directory of bundles, <name>/<version>/, or one bundle"
    )
    default_model: str | None = Field(
        None,
        description="the model of /encode and other paths without a model; by default the only one",
    )
    version_policy: Annotated[str, AfterValidator(_version_policy)] = Field(
        "all", description="versions to serve: all, latest, or a list such as digits/3,faces/1"
    )
    watch_seconds: NonNegativeFloat = Field(
        0.5, description="seconds between scans for new versions; 0: scan only on SIGHUP"
    )
    strict: bool = Field(
        False, description="exit at start-up if any model cannot be loaded, not only if all cannot"
    )
    host: str = Field(
        "127.0.0.1",
        description="the address to listen on; 0.0.0.0 is all of IPv4, :: all of IPv6, empty both",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="the TCP port; 0: any")
    runtime: str = Field("onnx", description="onnx, torch or package.module:Class")
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="where the graphs run; a device that is missing is an error"
    )
    precision: Precision = Field(
        "float32",
        description="precision of the networks: float32; tf32 on cuda; bfloat16 with torch",
    )
    workers: IntOrAuto = Field(
        1, description="processes that serve; auto or 0: one for each CPU that may be used"
    )
    threads: IntOrAuto = Field(
        1,
        description="threads that compute one batch; auto or 0: the CPUs, divided by the workers",
    )
    max_batch_rows: PositiveInt = Field(256, description="rows of one batch at most")
    inline_ms: NonNegativeFloat = Field(
        2.0, description="a batch that takes up to this many milliseconds runs on the event loop"
    )
    max_queue_rows: PositiveInt = Field(8192, description="rows that may queue for each graph")
    max_request_rows: PositiveInt = Field(
        4096, description="rows of one request, n of /sample, rows times samples of /score"
    )
    max_body_bytes: PositiveInt = Field(32 * MiB, description="bytes of one request's body")
    max_array_bytes: PositiveInt = Field(
        64 * MiB, description="bytes of the values that one request has computed, at 4 a value"
    )
    max_inflight_bytes: PositiveInt = Field(
        512 * MiB, description="bytes of all requests and replies under way in one process"
    )
    max_image_pixels: PositiveInt = Field(4 * MiB, description="pixels of a PNG in a request")
    timeout_ms: PositiveInt = Field(
        30_000, description="milliseconds for one request; a client may set less in X-Timeout-Ms"
    )
    notice_seconds: NonNegativeFloat = Field(
        1.0, description="seconds from not ready to closing the port at a shutdown"
    )
    drain_seconds: PositiveFloat = Field(
        30.0, description="seconds that requests have to finish at a shutdown"
    )
    tls_cert: Path | None = Field(
        None, description="a PEM file with the certificate and its chain; with it, HTTPS is served"
    )
    tls_key: Path | None = Field(None, description="a PEM file with the certificate's private key")
    api_keys: tuple[Key, ...] = Field(
        (),
        description="a list, in the variable as JSON; if given, all routes but health and the "
        "files of pages require one of them; sha256:<hex> stands for the key with that digest",
    )
    api_keys_file: Path | None = Field(
        None, description="a file with more api_keys, one a line, read at the start"
    )
    admin_keys_file: Path | None = Field(
        None, description="a file with more admin_keys, one a line, read at the start"
    )
    cors_origins: tuple[Origin, ...] = Field(
        (),
        description="a list, in the variable as JSON, of origins whose pages may send requests, "
        "such as https://example.org, or *; none by default",
    )
    admin_keys: tuple[Key, ...] = Field(
        (),
        description="a list, in the variable as JSON, of keys that may load and unload models; "
        "without a key these routes do not exist",
    )
    asgi_only: bool = Field(
        False, description="answer the verbs, too, by the FastAPI application; slower"
    )
    docs: bool = Field(True, description="serve /docs and /openapi.json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the lowest level of messages that are logged"
    )
    log_format: Literal["human", "json"] = Field(
        "human", description="lines of text, or one JSON object a line"
    )
    access_log: bool = Field(
        False, description="log every request, not only a sample of those that are rejected or fail"
    )
    server_timing: bool = Field(
        True, description="report queue and compute times in the header Server-Timing"
    )
    otlp_endpoint: str | None = Field(
        None, description="where to send OpenTelemetry spans; needs the extra otel"
    )
    start_seconds: PositiveFloat = Field(
        120.0, description="seconds that a worker may take to start, or to load a new bundle"
    )
    hang_seconds: PositiveFloat = Field(
        20.0, description="seconds of silence after which a worker is killed and replaced"
    )
    keep_alive_seconds: NonNegativeInt = Field(
        75,
        description="seconds that an idle connection stays open; longer than a balancer keeps it",
    )
    max_connections: PositiveInt = Field(
        4096,
        description="connections of one process; one more replaces the longest idle one",
    )
    max_head_bytes: PositiveInt = Field(
        32 * 1024, description="bytes of a request line and its headers"
    )
    max_head_fields: PositiveInt = Field(100, description="headers of one request")
    head_seconds: PositiveFloat = Field(
        10.0,
        description="seconds to receive a request line and headers, and to begin the first request",
    )
    body_seconds: PositiveFloat = Field(
        30.0, description="seconds to receive a body; longer if it keeps min_body_rate"
    )
    min_body_rate: PositiveInt = Field(
        64 * 1024, description="bytes a second of a body that takes longer than body_seconds"
    )
    write_seconds: PositiveFloat = Field(
        20.0, description="seconds that a client may leave replies unread"
    )

    @model_validator(mode="after")
    def _a_request_fits_the_queue(self) -> Self:
        if self.max_request_rows > self.max_queue_rows:
            raise ValueError(
                f"max_request_rows is {self.max_request_rows}, but the queue holds "
                f"max_queue_rows = {self.max_queue_rows}: such a request could never run"
            )
        return self

    @model_validator(mode="after")
    def _a_certificate_has_a_key(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: expected both or neither")
        return self

    @model_validator(mode="after")
    def _one_process_owns_a_gpu(self) -> Self:
        if self.device == "cuda" and self.workers > 1:
            raise ValueError(
                f"workers is {self.workers}, but on cuda one process owns the GPU: "
                "expected 1 or auto"
            )
        return self


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """Variables named VAE_* that are not settings, sorted: misspelt ones, for example."""
    known = {f"VAE_{name}".upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith("VAE_") and not name.startswith(OF_TRAINING) and name not in known
    )
