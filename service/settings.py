"""Every setting of the service, once: environment variables VAE_* and command-line flags."""

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
        None, description="the model of /encode and the other bare paths; needed with several"
    )
    version_policy: Annotated[str, AfterValidator(_version_policy)] = Field(
        "all", description="versions to serve: all, latest, or a list such as digits/3,faces/1"
    )
    watch_seconds: NonNegativeFloat = Field(
        0.5, description="seconds from one look for new versions to the next; 0: only on SIGHUP"
    )
    strict: bool = Field(
        False, description="end the start if any model cannot be loaded, not only if all cannot"
    )
    host: str = Field("127.0.0.1", description="the address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="the TCP port; 0: any")
    runtime: str = Field("onnx", description="onnx, torch or package.module:Class")
    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="where the graphs run; one that is missing is an error"
    )
    precision: Precision = Field(
        "float32",
        description="of the networks: float32, tf32 on cuda, or bfloat16 with the torch runtime",
    )
    workers: IntOrAuto = Field(
        1, description="processes that serve; auto or 0: as many as the CPUs that may be used"
    )
    threads: IntOrAuto = Field(
        1,
        description="threads of one batch's computation; auto or 0: the CPUs, shared by workers",
    )
    max_batch_rows: PositiveInt = Field(256, description="rows that run at once")
    inline_ms: NonNegativeFloat = Field(
        2.0, description="milliseconds up to which a batch runs on the event loop, not in a thread"
    )
    max_queue_rows: PositiveInt = Field(8192, description="rows that may wait for each graph")
    max_request_rows: PositiveInt = Field(
        4096, description="rows of one request; also n of /sample, and rows times samples of /score"
    )
    max_body_bytes: PositiveInt = Field(32 * MiB, description="bytes of one request's body")
    max_array_bytes: PositiveInt = Field(
        64 * MiB, description="bytes of the values that one request has computed, at 4 a value"
    )
    max_inflight_bytes: PositiveInt = Field(
        512 * MiB, description="bytes of all requests and replies under way in one process"
    )
    max_image_pixels: PositiveInt = Field(4 * MiB, description="pixels of a PNG that is sent")
    timeout_ms: PositiveInt = Field(
        30_000, description="milliseconds for one request; X-Timeout-Ms may ask for less"
    )
    notice_seconds: NonNegativeFloat = Field(
        1.0, description="seconds between saying not ready and closing the port at a shutdown"
    )
    drain_seconds: PositiveFloat = Field(
        30.0, description="seconds that requests under way get to finish at a shutdown"
    )
    tls_cert: Path | None = Field(
        None, description="a PEM file with the certificate and its chain; with it, HTTPS is served"
    )
    tls_key: Path | None = Field(None, description="a PEM file with the certificate's private key")
    api_keys: tuple[Key, ...] = Field(
        (),
        description="a list, in the variable as JSON; when given, every route but health and the "
        "pages' files asks for one of them; sha256:<hex> stands for the key with that digest",
    )
    api_keys_file: Path | None = Field(
        None, description="a file with more of them, one a line, read at the start"
    )
    admin_keys_file: Path | None = Field(
        None, description="a file with more admin_keys, one a line, read at the start"
    )
    cors_origins: tuple[Origin, ...] = Field(
        (),
        description="a list, in the variable as JSON, of origins whose pages may ask, such as "
        "https://example.org, or *; none by default",
    )
    admin_keys: tuple[Key, ...] = Field(
        (),
        description="a list, in the variable as JSON, of keys that load and unload models; without "
        "one there are no such routes",
    )
    asgi_only: bool = Field(
        False, description="answer the verbs, too, by the FastAPI application; slower"
    )
    docs: bool = Field(True, description="serve /docs and /openapi.json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least severe messages that are logged"
    )
    log_format: Literal["human", "json"] = Field(
        "human", description="lines of text, or one JSON object a line"
    )
    access_log: bool = Field(
        False, description="log every request, not only a sample of those that are refused or fail"
    )
    server_timing: bool = Field(
        True, description="say in Server-Timing how long a request queued and computed"
    )
    otlp_endpoint: str | None = Field(
        None, description="address that OpenTelemetry's spans are sent to; needs the extra otel"
    )
    start_seconds: PositiveFloat = Field(
        120.0, description="seconds that a worker may take to be ready, or to load a new bundle"
    )
    hang_seconds: PositiveFloat = Field(
        20.0, description="seconds of silence after which a worker is killed and replaced"
    )
    keep_alive_seconds: NonNegativeInt = Field(
        5, description="seconds that an idle connection stays open"
    )
    max_connections: PositiveInt = Field(
        4096,
        description="connections of one process; the longest idle one makes room for a new one",
    )
    max_head_bytes: PositiveInt = Field(
        32 * 1024, description="bytes of a request's line and headers"
    )
    max_head_fields: PositiveInt = Field(100, description="headers of one request")
    head_seconds: PositiveFloat = Field(
        10.0,
        description="seconds for a request's line and headers to come, and for a first request",
    )
    body_seconds: PositiveFloat = Field(
        30.0, description="seconds for a body to come; longer while it keeps min_body_rate"
    )
    min_body_rate: PositiveInt = Field(
        64 * 1024, description="bytes a second of a body that takes longer than body_seconds"
    )
    write_seconds: PositiveFloat = Field(
        20.0, description="seconds that a client may leave its replies unread"
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
    """Names that look like settings and are none: misspelt, or of a service called VAE."""
    known = {f"VAE_{name}".upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.startswith("VAE_") and not name.startswith(OF_TRAINING) and name not in known
    )
