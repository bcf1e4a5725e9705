/** One slider for each latent dimension, those that matter first. */

import { el } from "./dom.js";
import { fixed } from "./format.js";

const SHOWN = 32;
const LIMIT = 4; // standard deviations of the prior; a loaded value may lie beyond
const NEGLIGIBLE = 0.1; // of the strongest latent's influence

/** ``oninput`` gets z after every move. A double click sets one slider to 0. */
export class Sliders {
  #z;
  #sliders = [];
  #oninput;

  /** ``influence`` is what Model.influence gives. */
  constructor(latentDim, influence, oninput) {
    this.#z = Array(latentDim).fill(0);
    this.#oninput = oninput;
    const [shown, folded] = split(latentDim, influence);
    const lines = this.#z.map((_, i) => this.#add(i));
    const list = (axes) => el("div", { class: "sliders" }, ...axes.map((i) => lines[i]));
    this.element = el("div", {}, list(shown));
    if (folded.length > 0) this.element.append(fold(list(folded), folded.length, shown.length));
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
    const output = el("output", {}, fixed(0, 2));
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
    this.#sliders[i].output.value = fixed(this.#z[i], 2);
  }
}

/** The axes to show, strongest first, and those to fold away. */
function split(latentDim, influence) {
  const axes = [...Array(latentDim).keys()];
  if (influence === null) return [axes.slice(0, SHOWN), axes.slice(SHOWN)];
  axes.sort((a, b) => influence[b] - influence[a]);
  const least = NEGLIGIBLE * influence[axes[0]];
  const count = axes.filter((axis) => influence[axis] >= least).length;
  const shown = Math.min(SHOWN, count);
  return [axes.slice(0, shown), axes.slice(shown)];
}

function fold(list, folded, shown) {
  const why = shown < SHOWN ? ", with next to no effect" : "";
  return el("details", {}, el("summary", {}, `${folded} more${why}`), list);
}
