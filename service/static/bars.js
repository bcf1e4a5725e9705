/** The posterior q(z|x) as bars: its mean in each dimension, and one σ to either side. */

import { svg } from "./dom.js";

const LIMIT = 4; // where bars are cut, in standard deviations of the prior
const BAR = 0.7; // of the room of one dimension

/** A picture with ``show(mu, logvar)``; both null clear it. */
export class Bars {
  constructor(latentDim) {
    const viewBox = `0 ${-LIMIT} ${latentDim} ${2 * LIMIT}`;
    this.element = svg("svg", { class: "bars", viewBox, preserveAspectRatio: "none", role: "img" });
    this.show(null, null);
  }

  show(mu, logvar) {
    const axis = svg("line", { x1: 0, x2: "100%", y1: 0, y2: 0, class: "axis" });
    this.element.replaceChildren(axis, ...(mu ?? []).flatMap((m, i) => bar(m, logvar[i], i)));
    this.element.setAttribute("aria-label", describe(mu));
  }
}

function bar(mu, logvar, i) {
  const y = cut(mu);
  const sigma = Math.exp(0.5 * logvar);
  const left = i + (1 - BAR) / 2;
  const middle = i + 0.5;
  return [
    svg("rect", { x: left, width: BAR, y: Math.min(0, -y), height: Math.abs(y) }),
    svg("line", { x1: middle, x2: middle, y1: -cut(mu - sigma), y2: -cut(mu + sigma) }),
  ];
}

function cut(value) {
  return Math.min(LIMIT, Math.max(-LIMIT, value));
}

function describe(mu) {
  if (mu === null) return "No latent yet";
  return `Latent mean: ${mu.map((value, i) => `z${i} ${value.toFixed(2)}`).join(", ")}`;
}
