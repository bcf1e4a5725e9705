/** The panel Explore: a slider for each latent dimension, decoded while it moves. */

import { button, el, formatFixed } from "./dom.js";
import { coalesce, Panel } from "./panel.js";
import { createRowView } from "./row-views.js";

const MAX_SLIDERS = 32; // shown at first
const LIMIT = 4; // standard deviations of the prior; a value that is loaded may lie outside
const NEGLIGIBLE = 0.1; // as a share of the influence of the strongest dimension

export class ExplorePanel {
  #model;
  #panel;
  #sliders;
  #view;
  #request = coalesce((z) => this.#panel.attempt(() => this.#decode(z)));

  static async create(model) {
    const view = await createRowView(model, "The decoded latent");
    return new ExplorePanel(model, view, await model.influence());
  }

  constructor(model, view, influence) {
    this.#model = model;
    this.#view = view;
    this.#sliders = new Sliders(model.latentDim, influence, this.#request);
    this.#panel = new Panel(
      "explore",
      "Explore",
      "Each slider is one latent dimension, in standard deviations of the prior, the strongest " +
        "first. Double-click a slider to set it to 0.",
      el("div", { class: "controls" }, ...this.#buttons()),
      el("div", { class: "explorer" }, view.element, this.#sliders.element),
    );
    this.element = this.#panel.element;
  }

  /** The latent that the sliders show. */
  get z() {
    return this.#sliders.z;
  }

  /** Set the sliders to ``z`` and decode it. */
  load(z) {
    this.#sliders.z = z;
    return this.#request(z);
  }

  #buttons() {
    const normal = () => Array.from({ length: this.#model.latentDim }, standardNormal);
    return [
      button("Random", () => this.load(normal()), { class: "primary" }),
      button("Reset to 0", () => this.load(Array(this.#model.latentDim).fill(0))),
    ];
  }

  async #decode(z) {
    this.#panel.showRequest(this.#model.path("decode"), this.#model.body({ latents: [z] }));
    const [row] = await this.#model.decode([z]);
    this.#view.show(row);
  }
}

/** A slider for each latent dimension, strongest first; ``oninput`` receives z on each move. */
class Sliders {
  #z;
  #sliders = [];
  #oninput;

  /** ``influence`` is the result of Model.influence. */
  constructor(latentDim, influence, oninput) {
    this.#z = Array(latentDim).fill(0);
    this.#oninput = oninput;
    const [shown, hidden] = splitDimensions(latentDim, influence);
    const lines = this.#z.map((_, i) => this.#add(i));
    const list = (axes) => el("div", { class: "sliders" }, ...axes.map((i) => lines[i]));
    this.element = el("div", {}, list(shown));
    if (hidden.length === 0) return;
    const why = shown.length < MAX_SLIDERS ? ", with almost no effect" : "";
    const summary = el("summary", {}, `${hidden.length} more${why}`);
    this.element.append(el("details", {}, summary, list(hidden)));
  }

  get z() {
    return [...this.#z];
  }

  set z(z) {
    this.#z = [...z];
    this.#sliders.forEach((_, i) => this.#show(i));
  }

  #add(i) {
    const slider = el("input", { type: "range", min: -LIMIT, max: LIMIT, step: 0.01, value: 0 });
    const output = el("output", {}, formatFixed(0, 2));
    this.#sliders.push({ slider, output });
    slider.addEventListener("input", () => this.#moved(i, slider.valueAsNumber));
    slider.addEventListener("dblclick", () => this.#moved(i, 0));
    const name = el("span", {}, "z", el("sub", {}, String(i)));
    return el("label", { class: "slider" }, name, slider, output);
  }

  #moved(i, value) {
    this.#z[i] = value;
    this.#show(i);
    this.#oninput(this.z);
  }

  #show(i) {
    this.#sliders[i].slider.value = this.#z[i];
    this.#sliders[i].output.value = formatFixed(this.#z[i], 2);
  }
}

/** Split the latent dimensions into those to show at first, strongest first, and the rest. */
function splitDimensions(latentDim, influence) {
  const all = [...Array(latentDim).keys()];
  if (influence === null) return [all.slice(0, MAX_SLIDERS), all.slice(MAX_SLIDERS)];
  all.sort((a, b) => influence[b] - influence[a]);
  const least = NEGLIGIBLE * influence[all[0]];
  const count = all.filter((i) => influence[i] >= least).length;
  const shown = Math.min(MAX_SLIDERS, count);
  return [all.slice(0, shown), all.slice(shown)];
}

/** One draw from N(0, 1) (Box and Muller 1958). */
function standardNormal() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}
