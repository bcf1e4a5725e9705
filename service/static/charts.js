/** Small charts: values as dots on a line, and a posterior as bars. */

import { el, svg } from "./dom.js";

const LIMIT = 4; // bars are cut here, in standard deviations of the prior
const BAR_WIDTH = 0.7; // share of the width of one dimension

/** Dots on a line from ``low`` to ``high``. ``kinds`` are their CSS classes, back to front. */
export class DotPlot {
  #low;
  #high;
  #dots;

  constructor(low, high, kinds = ["filled"]) {
    this.#low = low;
    this.#high = high;
    this.#dots = kinds.map((kind) => el("span", { class: `dot ${kind}` }));
    this.element = el("div", { class: "dot-plot", "aria-hidden": "true" }, ...this.#dots);
  }

  /** Move one dot. A value outside the range is shown at the end of the line. */
  show(value, dot = 0) {
    const share = (value - this.#low) / (this.#high - this.#low || 1);
    this.#dots[dot].style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
  }
}

/** The posterior q(z|x): a bar for the mean of each dimension, and a line for ± σ. */
export class PosteriorChart {
  constructor(latentDim) {
    const viewBox = `0 ${-LIMIT} ${latentDim} ${2 * LIMIT}`;
    const attributes = { viewBox, preserveAspectRatio: "none", role: "img" };
    this.element = svg("svg", { class: "posterior-chart", ...attributes });
    this.show(null, null);
  }

  /** Show ``mu`` and ``logvar``, arrays of ``latentDim`` numbers; null clears the chart. */
  show(mu, logvar) {
    const axis = svg("line", { x1: 0, x2: "100%", y1: 0, y2: 0, class: "axis" });
    this.element.replaceChildren(axis, ...(mu ?? []).flatMap((m, i) => bar(m, logvar[i], i)));
    this.element.setAttribute("aria-label", describePosterior(mu));
  }
}

function bar(mu, logvar, i) {
  const y = clamp(mu);
  const sigma = Math.exp(0.5 * logvar);
  const left = i + (1 - BAR_WIDTH) / 2;
  const middle = i + 0.5;
  return [
    svg("rect", { x: left, width: BAR_WIDTH, y: Math.min(0, -y), height: Math.abs(y) }),
    svg("line", { x1: middle, x2: middle, y1: -clamp(mu - sigma), y2: -clamp(mu + sigma) }),
  ];
}

function clamp(value) {
  return Math.min(LIMIT, Math.max(-LIMIT, value));
}

function describePosterior(mu) {
  if (mu === null) return "No latent yet";
  return `Latent mean: ${mu.map((value, i) => `z${i} ${value.toFixed(2)}`).join(", ")}`;
}
