/** The panel Interpolate: decodes points between two latents in one request, and plays them. */

import { button, el } from "./dom.js";
import { coalesce, Panel } from "./panel.js";
import { createRowView, PictureButtons } from "./row-views.js";

const MAX_VALUES = 200_000; // in one reply
const [MIN_FRAMES, MAX_FRAMES] = [5, 33];
const FILMSTRIP_SHARES = Array.from({ length: 9 }, (_, i) => i / 8); // of the way from A to B
const FRAME_MS = 60;
const PLAY_MS = FRAME_MS * MAX_FRAMES; // from one end to the other

export class InterpolatePanel {
  #model;
  #panel;
  #view;
  #explored;
  #ends = [];
  #frames = [];
  #filmstrip;
  #slider = el("input", { type: "range", min: 0, max: 1, step: "any", value: 0 });
  #play = button("Play", () => this.#toggle());
  #timer = null;
  #request = coalesce((ends) => this.#panel.attempt(() => this.#decode(ends)));

  /** ``explored()`` returns the latent that is open in Explore. */
  static async create(model, explored) {
    const view = await createRowView(model, "The row at the slider's position");
    return new InterpolatePanel(model, view, explored);
  }

  constructor(model, view, explored) {
    this.#model = model;
    this.#view = view;
    this.#explored = explored;
    this.#filmstrip = model.isImage ? this.#createFilmstrip() : null;
    this.#slider.addEventListener("input", () => this.#stopAt(this.#slider.valueAsNumber));
    this.#panel = new Panel(
      "interpolate",
      "Interpolate",
      "From one sample, A, to another, B, along the arc between their latents.",
      el("div", { class: "controls" }, ...this.#buttons()),
      el("div", { class: "interpolation" }, view.element, this.#positions()),
    );
    this.element = this.#panel.element;
  }

  /** Interpolate between two new samples. */
  renew() {
    return this.#panel.attempt(async () => {
      const { latents } = await this.#model.sample({ n: 2 });
      await this.#request(latents);
    });
  }

  #createFilmstrip() {
    const label = (i) => `${Math.round(100 * FILMSTRIP_SHARES[i])}% of the way`;
    const onpick = (i) => this.#stopAt(FILMSTRIP_SHARES[i]);
    const filmstrip = new PictureButtons(this.#model, "filmstrip", label, onpick);
    filmstrip.resize(FILMSTRIP_SHARES.length);
    return filmstrip;
  }

  #buttons() {
    return [
      button("New pair", () => this.renew(), { class: "primary" }),
      button("A from Explore", () => this.#replaceEnd(0)),
      button("B from Explore", () => this.#replaceEnd(1)),
      this.#play,
    ];
  }

  #replaceEnd(index) {
    const explored = this.#explored();
    const ends = [0, 1].map((i) => (i === index ? explored : (this.#ends[i] ?? explored)));
    return this.#panel.attempt(() => this.#request(ends));
  }

  #positions() {
    const [a, b] = ["A", "B"].map((name) => el("span", {}, name));
    this.#slider.setAttribute("aria-label", "Position between A and B");
    const slider = el("label", { class: "position" }, a, this.#slider, b);
    return el("div", {}, this.#filmstrip?.element ?? "", slider);
  }

  async #decode(ends) {
    const fitting = Math.floor(MAX_VALUES / this.#model.size);
    const count = Math.max(MIN_FRAMES, Math.min(MAX_FRAMES, fitting));
    const latents = Array.from({ length: count }, (_, i) => slerp(...ends, i / (count - 1)));
    this.#panel.showRequest(this.#model.path("decode"), this.#model.body({ latents }));
    this.#frames = await this.#model.decode(latents);
    this.#ends = ends;
    this.#filmstrip?.show(FILMSTRIP_SHARES.map((share) => this.#frameAt(share)));
    this.#moveTo(this.#slider.valueAsNumber);
  }

  #frameAt(share) {
    return this.#frames[Math.round(share * (this.#frames.length - 1))];
  }

  #moveTo(share) {
    if (this.#frames.length === 0) return;
    this.#slider.value = share;
    this.#view.show(this.#frameAt(share));
  }

  #stopAt(share) {
    this.#stop();
    this.#moveTo(share);
  }

  #toggle() {
    if (this.#timer !== null) return this.#stop();
    const started = performance.now() - this.#slider.valueAsNumber * PLAY_MS;
    this.#timer = setInterval(() => this.#advance(started), FRAME_MS);
    this.#play.textContent = "Pause";
  }

  /** Play from A to B and back, until the user pauses or another model replaces the panel. */
  #advance(started) {
    if (!this.element.isConnected) return this.#stop();
    const laps = (performance.now() - started) / PLAY_MS;
    const share = laps % 2;
    this.#moveTo(share > 1 ? 2 - share : share);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#play.textContent = "Play";
  }
}

/**
 * Spherical interpolation between two latents (White 2016, "Sampling Generative Networks"). Unlike
 * the straight line, the arc does not pass near 0, where samples of the prior are rare. ``share``
 * runs from 0 to 1. Latents on one line through 0 have no arc and are interpolated linearly.
 */
export function slerp(a, b, share) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (!(sine > 1e-6)) return weightedSum(a, b, 1 - share, share); // also if a or b is 0
  const [weightA, weightB] = [1 - share, share].map((part) => Math.sin(part * angle) / sine);
  return weightedSum(a, b, weightA, weightB);
}

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function weightedSum(a, b, weightA, weightB) {
  return a.map((value, i) => weightA * value + weightB * b[i]);
}
