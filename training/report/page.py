"""The report of a run: one HTML file that contains everything and loads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from training.config.train_config import TrainConfig
from training.evaluation.evaluate import Evaluation
from training.evaluation.sharpness import Sharpness
from training.report.axes import label
from training.report.column_figures import column_table
from training.report.curves import History, curves
from training.report.description import data_name, describe_model, usage_commands
from training.report.html import Html, tag
from training.report.image_figures import image_figures, sharpness_figure
from training.report.latent_figures import kl_bars, projection, score_histogram, traversals
from training.report.model_outputs import ModelOutputs

REFRESH_SECONDS = 15
"""Interval at which a browser reloads the page during the run."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The content security policy: the browser loads nothing."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that a page tells. ``history`` has a line or more; ``evaluation`` is there at the end,
    and so is ``sharpness`` of a model of images.

    ``epoch`` is that of the weights which the findings are of, ``rows`` the training rows.
    """

    config: TrainConfig
    outputs: ModelOutputs
    history: History
    epoch: int
    rows: int
    environment: Mapping[str, str]
    evaluation: Evaluation | None = None
    sharpness: Sharpness | None = None


def page(data: ReportData) -> str:
    """The HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        *_refresh(data),
        tag("title", f"{data.config.name} · training report"),
        tag("style", _asset("style.css")),
    )
    body = tag(
        "body",
        _header(data),
        tag("main", *_sections(data)),
        tag("script", _asset("hover.js")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(data: ReportData) -> list[Html]:
    outputs = data.outputs
    figures = image_figures if outputs.spec.input.kind == "image" else column_table
    return [
        _section("Curves", curves(data.history)),
        _section("Outputs", figures(outputs), *_sharpness(data)),
        _section(
            "Latents",
            kl_bars(outputs),
            projection(outputs),
            score_histogram(outputs),
            traversals(outputs),
        ),
        _section("Serving", _serve(data)),
        _section("Options and environment", _options(data.config), _environment(data)),
    ]


def _sharpness(data: ReportData) -> list[Html]:
    return [] if data.sharpness is None else [sharpness_figure(data.sharpness)]


def _section(title: str, *content: Html) -> Html:
    return tag("section", tag("h2", title), tag("div", *content, class_="figures"))


def _header(data: ReportData) -> Html:
    return tag(
        "header",
        tag("p", "Training report", class_="eyebrow"),
        tag("h1", data.config.name),
        tag("p", describe_model(data.config, data.outputs.spec, rows=data.rows), class_="lede"),
        _status(data),
        tag("dl", *_figures(data), class_="tiles"),
    )


def _status(data: ReportData) -> Html:
    if data.evaluation is not None:
        return tag("p", f"Finished. The weights are those after epoch {data.epoch:,}.")
    done, total = data.history[-1]["epoch"], data.config.epochs
    bar = tag("progress", value=done, max=total)
    return tag("p", bar, f" Training: epoch {done:,} of {total:,}.", class_="status")


def _figures(data: ReportData) -> list[Html]:
    last = data.history[-1]
    if (evaluation := data.evaluation) is None:
        shown = _running(last) | {"latents active": _active(last, data)}
    else:
        shown = {
            "ELBO, held out": label(evaluation.elbo),
            "reconstruction": label(evaluation.reconstruction),
            "KL": label(evaluation.kl),
            f"bound of {evaluation.samples:,} draws": label(evaluation.importance_weighted),
            "bits per dimension": f"{evaluation.bits_per_dimension:.3f}".replace("-", "−"),
            "latents active": f"{evaluation.active_units} of {evaluation.latents}",
        }
    shown["rows per second"] = f"{last['images_per_second']:,.0f}"
    return [tag("div", tag("dt", name), tag("dd", value)) for name, value in shown.items()]


def _running(last: Mapping[str, Any]) -> dict[str, str]:
    keys = {"ELBO, held out": "held_out_elbo", "ELBO, training": "elbo", "KL": "kl"}
    return {name: label(last[key]) for name, key in keys.items() if last[key] is not None}


def _active(last: Mapping[str, Any], data: ReportData) -> str:
    return f"{last['active_units']} of {data.config.latent_dim}"


def _refresh(data: ReportData) -> list[Html]:
    if data.evaluation is not None:
        return []
    return [tag("meta", http_equiv="refresh", content=REFRESH_SECONDS)]


def _serve(data: ReportData) -> Html:
    return tag(
        "figure",
        tag("p", "These commands serve the bundle over HTTP and request samples:"),
        tag("pre", tag("code", usage_commands(data.config, data.outputs.spec))),
        class_="wide",
    )


def _options(config: TrainConfig) -> Html:
    """All options; bold if they are not the default."""
    caption = tag("figcaption", tag("h3", "Options", tag("small", " bold: not the default")))
    values = config.model_dump(mode="json") | {"data": data_name(config)}
    rows = [_option(config, name, value) for name, value in values.items()]
    return tag("figure", caption, tag("table", *rows, class_="facts"))


def _option(config: TrainConfig, name: str, value: Any) -> Html:
    default = TrainConfig.model_fields[name].default
    shown = tag("span" if getattr(config, name) == default else "b", _format(value))
    return tag("tr", tag("th", f"--{name.replace('_', '-')}", scope="row"), tag("td", shown))


def _environment(data: ReportData) -> Html:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", value))
        for name, value in data.environment.items()
    ]
    caption = tag("figcaption", tag("h3", "Environment"))
    return tag("figure", caption, tag("table", *rows, class_="facts"))


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


@cache
def _asset(name: str) -> Html:
    return Html((resources.files("training.report") / name).read_text("utf-8"))
