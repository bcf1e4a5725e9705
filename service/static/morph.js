/** From one sample to another: the whole way is decoded in one request, then played from memory. */

import { button, el } from "./dom.js";
import { latest } from "./latest.js";
import { Panel } from "./panel.js";
import { newSeed } from "./random.js";
import { slerp } from "./slerp.js";
import { Strip } from "./strip.js";
import { createView } from "./view.js";

const MAX_VALUES = 200_000; // in one reply
const FRAME_MS = 60;

export class MorphPanel {
  #model;
  #panel;
  #view;
  #explored;
  #ends = [];
  #frames = [];
  #strip;
  #slider = el("input", { type: "range", min: 0, max: 1, step: "any", value: 0 });
  #play = button("Play", () => this.#toggle());
  #timer = null;
  #request = latest((ends) => this.#decode(ends));

  /** ``explored`` gives the latent that is open in Explore. */
  static async create(model, explored) {
    return new MorphPanel(model, await createView(model, "A point on the way"), explored);
  }

  constructor(model, view, explored) {
    this.#model = model;
    this.#view = view;
    this.#explored = explored;
    this.#strip = model.isImage ? new Strip(model, (share) => this.#stopAt(share)) : null;
    this.#slider.addEventListener("input", () => this.#stopAt(this.#slider.valueAsNumber));
    this.#panel = new Panel(
      "morph",
      "Morph",
      "From one sample A to another, B, along the arc between their latents.",
      el("div", { class: "controls" }, ...this.#buttons()),
      el("div", { class: "morph" }, view.element, this.#way()),
    );
    this.element = this.#panel.element;
  }

  /** Two new samples. */
  renew() {
    return this.#panel.attempt(async () => {
      const { latents } = await this.#model.sample({ n: 2, seed: newSeed(), temperature: 1 });
      await this.#request(latents);
    });
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

  #way() {
    const label = { class: "way" };
    const slider = el("label", label, el("span", {}, "A"), this.#slider, el("span", {}, "B"));
    this.#slider.setAttribute("aria-label", "Share of the way from A to B");
    return el("div", {}, ...(this.#strip ? [this.#strip.element] : []), slider);
  }

  async #decode(ends) {
    const count = Math.max(5, Math.min(33, Math.floor(MAX_VALUES / this.#model.size)));
    const latents = Array.from({ length: count }, (_, i) => slerp(...ends, i / (count - 1)));
    this.#panel.showRequest(this.#model.path("decode"), this.#model.body({ latents }));
    this.#frames = await this.#model.decode(latents);
    this.#ends = ends;
    this.#strip?.show(this.#frames);
    this.#moveTo(this.#slider.valueAsNumber);
  }

  #moveTo(share) {
    if (this.#frames.length === 0) return;
    this.#slider.value = share;
    this.#view.show(this.#frames[Math.round(share * (this.#frames.length - 1))]);
  }

  #stopAt(share) {
    this.#stop();
    this.#moveTo(share);
  }

  #toggle() {
    if (this.#timer !== null) return this.#stop();
    const started = performance.now() - this.#slider.valueAsNumber * this.#duration;
    this.#timer = setInterval(() => this.#advance(started), FRAME_MS);
    this.#play.textContent = "Pause";
  }

  /** There and back again, until it is stopped or the panel is gone. */
  #advance(started) {
    if (!this.element.isConnected) return this.#stop();
    const laps = (performance.now() - started) / this.#duration;
    const share = laps % 2;
    this.#moveTo(share > 1 ? 2 - share : share);
  }

  get #duration() {
    return FRAME_MS * 33;
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#play.textContent = "Play";
  }
}
