/** Draws from the prior; one that is picked goes to the explorer. */

import { button, el } from "./dom.js";
import { fixed } from "./format.js";
import { Gallery } from "./gallery.js";
import { latest } from "./latest.js";
import { Panel } from "./panel.js";
import { newSeed } from "./random.js";
import { RowTable } from "./table.js";

const COUNTS = { image: [16, 32, 64], vector: [8, 16, 32] };
const MAX_VALUES = 1_000_000; // in one reply: large pictures come in smaller numbers

/** ``onpick`` gets the latent of the sample that is picked. */
export class SamplePanel {
  #model;
  #panel;
  #rows;
  #first = null;
  #seed = numberField({ min: 0, max: 2 ** 53 - 1, value: 1 });
  #temperature = el("input", { type: "range", min: 0, max: 2, step: 0.05, value: 1 });
  #shownTemperature = el("output", {}, "1.00");
  #count;
  #request = latest((options) => this.#panel.attempt(() => this.#draw(options)));

  constructor(model, onpick) {
    this.#model = model;
    this.#rows = model.isImage ? new Gallery(model, onpick) : new RowTable(model, onpick);
    this.#count = countField(model);
    this.#panel = new Panel(
      "sample",
      "Sample",
      "New rows from the prior: the same seed draws the same ones. Pick one to open it in Explore.",
      this.#controls(),
      this.#rows.element,
    );
    this.element = this.#panel.element;
  }

  /** The latent of the first sample that is shown, or null. */
  get first() {
    return this.#first;
  }

  /** Draw with what the controls say. */
  async refresh() {
    this.#shownTemperature.value = fixed(this.#temperature.valueAsNumber, 2);
    if (!this.#seed.checkValidity()) return this.#seed.reportValidity();
    await this.#request({
      n: Number(this.#count.value),
      seed: this.#seed.valueAsNumber,
      temperature: this.#temperature.valueAsNumber,
    });
  }

  #controls() {
    const changed = () => this.refresh();
    this.#seed.addEventListener("input", changed);
    this.#temperature.addEventListener("input", changed);
    this.#count.addEventListener("change", changed);
    return el(
      "div",
      { class: "controls" },
      el("label", {}, "Seed", this.#seed),
      button("New seed", () => this.#reseed(), { class: "primary" }),
      el("label", {}, "Rows", this.#count),
      el("label", { class: "grow" }, "Temperature", this.#temperature, this.#shownTemperature),
    );
  }

  #reseed() {
    this.#seed.value = newSeed();
    return this.refresh();
  }

  async #draw(options) {
    this.#panel.showRequest(this.#model.path("sample"), this.#model.body(options));
    const { rows, latents } = await this.#model.sample(options);
    this.#first = latents[0];
    this.#rows.show(rows, latents);
  }
}

function numberField(attributes) {
  return el("input", { type: "number", step: 1, required: true, ...attributes });
}

function countField({ isImage, size }) {
  const all = COUNTS[isImage ? "image" : "vector"];
  const fitting = all.filter((n) => n * size <= MAX_VALUES);
  const counts = fitting.length > 0 ? fitting : [4];
  const field = el("select", {}, ...counts.map((n) => el("option", { value: n }, String(n))));
  field.value = counts[Math.min(1, counts.length - 1)];
  return field;
}
