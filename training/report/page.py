"""The report of a run: one HTML file that holds all it shows and asks nothing of a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from training.config.options import TrainConfig
from training.evaluation.evaluate import Evaluation
from training.evaluation.sharpness import Sharpness
from training.report.axes import label
from training.report.column_figures import columns
from training.report.curves import History, curves
from training.report.description import lede, source, usage
from training.report.html import Html, tag
from training.report.image_figures import images, sharpness
from training.report.latent_figures import kl_bars, projection, scores, traversals
from training.report.model_outputs import Findings

REFRESH_SECONDS = 15
"""How often a browser reads the page again while the run goes on."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""The browser's own word that nothing is fetched."""


@dataclass(frozen=True, eq=False)
class Story:
    """All that a page tells. ``history`` has a line or more; ``evaluation`` is there at the end,
    and so is ``sharpness`` of a model of images.

    ``epoch`` is that of the weights which the findings are of, ``rows`` the training rows.
    """

    config: TrainConfig
    findings: Findings
    history: History
    epoch: int
    rows: int
    environment: Mapping[str, str]
    evaluation: Evaluation | None = None
    sharpness: Sharpness | None = None


def page(story: Story) -> str:
    """The HTML document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        *_refresh(story),
        tag("title", f"{story.config.name} · training report"),
        tag("style", _asset("style.css")),
    )
    body = tag(
        "body",
        _header(story),
        tag("main", *_sections(story)),
        tag("script", _asset("hover.js")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(story: Story) -> list[Html]:
    findings = story.findings
    makes = images if findings.spec.input.kind == "image" else columns
    return [
        _section("Curves", curves(story.history)),
        _section("What it makes", makes(findings), *_sharp(story)),
        _section(
            "The latents",
            kl_bars(findings),
            projection(findings),
            scores(findings),
            traversals(findings),
        ),
        _section("How to serve it", _serve(story)),
        _section("How it was made", _options(story.config), _environment(story)),
    ]


def _sharp(story: Story) -> list[Html]:
    return [] if story.sharpness is None else [sharpness(story.sharpness)]


def _section(title: str, *content: Html) -> Html:
    return tag("section", tag("h2", title), tag("div", *content, class_="figures"))


def _header(story: Story) -> Html:
    return tag(
        "header",
        tag("p", "Training report", class_="eyebrow"),
        tag("h1", story.config.name),
        tag("p", lede(story.config, story.findings.spec, rows=story.rows), class_="lede"),
        _status(story),
        tag("dl", *_figures(story), class_="tiles"),
    )


def _status(story: Story) -> Html:
    if story.evaluation is not None:
        return tag("p", f"Finished. The weights are those after epoch {story.epoch:,}.")
    done, total = story.history[-1]["epoch"], story.config.epochs
    bar = tag("progress", value=done, max=total)
    return tag("p", bar, f" Training: epoch {done:,} of {total:,}.", class_="status")


def _figures(story: Story) -> list[Html]:
    last = story.history[-1]
    if (evaluation := story.evaluation) is None:
        shown = _running(last) | {"latents active": _active(last, story)}
    else:
        shown = {
            "ELBO, held out": label(evaluation.elbo),
            "reconstruction": label(evaluation.reconstruction),
            "KL": label(evaluation.kl),
            f"bound of {evaluation.samples:,} draws": label(evaluation.importance_weighted),
            "bits per dimension": f"{evaluation.bits_per_dimension:.3f}".replace("-", "−"),
            "latents active": f"{evaluation.active_units} of {evaluation.latents}",
        }
    shown["rows a second"] = f"{last['images_per_second']:,.0f}"
    return [tag("div", tag("dt", name), tag("dd", value)) for name, value in shown.items()]


def _running(last: Mapping[str, Any]) -> dict[str, str]:
    keys = {"ELBO, held out": "held_out_elbo", "ELBO, training": "elbo", "KL": "kl"}
    return {name: label(last[key]) for name, key in keys.items() if last[key] is not None}


def _active(last: Mapping[str, Any], story: Story) -> str:
    return f"{last['active_units']} of {story.config.latent_dim}"


def _refresh(story: Story) -> list[Html]:
    if story.evaluation is not None:
        return []
    return [tag("meta", http_equiv="refresh", content=REFRESH_SECONDS)]


def _serve(story: Story) -> Html:
    return tag(
        "figure",
        tag("p", "The bundle answers encode, decode, sample, reconstruct and score over HTTP:"),
        tag("pre", tag("code", usage(story.config, story.findings.spec))),
        class_="wide",
    )


def _options(config: TrainConfig) -> Html:
    """Every option, and those that are not the default in bold."""
    caption = tag("figcaption", tag("h3", "Options", tag("small", " bold where not the default")))
    values = config.model_dump(mode="json") | {"data": source(config)}
    rows = [_option(config, name, value) for name, value in values.items()]
    return tag("figure", caption, tag("table", *rows, class_="facts"))


def _option(config: TrainConfig, name: str, value: Any) -> Html:
    default = TrainConfig.model_fields[name].default
    told = tag("span" if getattr(config, name) == default else "b", _told(value))
    return tag("tr", tag("th", f"--{name.replace('_', '-')}", scope="row"), tag("td", told))


def _environment(story: Story) -> Html:
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", value))
        for name, value in story.environment.items()
    ]
    caption = tag("figcaption", tag("h3", "Environment"))
    return tag("figure", caption, tag("table", *rows, class_="facts"))


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


@cache
def _asset(name: str) -> Html:
    return Html((resources.files("training.report") / name).read_text("utf-8"))
