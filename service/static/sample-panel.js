/** The panel Sample: rows from the prior, by seed and temperature. */

import { button, el, formatFixed } from "./dom.js";
import { randomSeed } from "./model.js";
import { coalesce, Panel } from "./panel.js";
import { PictureButtons, RowTable } from "./row-views.js";

const COUNTS = { image: [16, 32, 64], vector: [8, 16, 32] };
const MAX_VALUES = 1_000_000; // in one reply; a model of large pictures offers smaller counts

/** ``onpick`` receives the latent of the sample that the user picks. */
export class SamplePanel {
  #model;
  #panel;
  #rows;
  #latents = [];
  #seed = seedField();
  #temperature = el("input", { type: "range", min: 0, max: 2, step: 0.05, value: 1 });
  #shownTemperature = el("output", {}, "1.00");
  #count;
  #request = coalesce((options) => this.#panel.attempt(() => this.#draw(options)));

  constructor(model, onpick) {
    this.#model = model;
    this.#rows = createRowsView(model, (i) => onpick(this.#latents[i]));
    this.#count = countField(model);
    this.#panel = new Panel(
      "sample",
      "Sample",
      "New rows from the prior. The same seed draws the same rows. Pick one to open it in Explore.",
      this.#controls(),
      this.#rows.element,
    );
    this.element = this.#panel.element;
  }

  /** The latent of the first sample that is shown; undefined if there is none. */
  get first() {
    return this.#latents[0];
  }

  /** Draw samples with the options that the controls show. */
  async refresh() {
    this.#shownTemperature.value = formatFixed(this.#temperature.valueAsNumber, 2);
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
    this.#seed.value = randomSeed();
    return this.refresh();
  }

  async #draw(options) {
    this.#panel.showRequest(this.#model.path("sample"), this.#model.body(options));
    const { rows, latents } = await this.#model.sample(options);
    this.#latents = latents;
    this.#rows.show(rows);
  }
}

function createRowsView(model, onpick) {
  if (!model.isImage) return new RowTable(model, onpick);
  return new PictureButtons(model, "gallery", (i) => `Sample ${i + 1}: open in Explore`, onpick);
}

function seedField() {
  const range = { min: 0, max: 2 ** 53 - 1, step: 1 };
  return el("input", { type: "number", ...range, required: true, value: 1 });
}

function countField({ isImage, size }) {
  const all = COUNTS[isImage ? "image" : "vector"];
  const fitting = all.filter((n) => n * size <= MAX_VALUES);
  const counts = fitting.length > 0 ? fitting : [4];
  const field = el("select", {}, ...counts.map((n) => el("option", { value: n }, String(n))));
  field.value = counts[Math.min(1, counts.length - 1)];
  return field;
}
