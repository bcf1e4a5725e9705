/** Steer a latent by hand and watch what it decodes to. */

import { button, el } from "./dom.js";
import { latest } from "./latest.js";
import { Panel } from "./panel.js";
import { standardNormal } from "./random.js";
import { Sliders } from "./sliders.js";
import { createView } from "./view.js";

export class ExplorePanel {
  #model;
  #panel;
  #sliders;
  #view;
  #request = latest((z) => this.#panel.attempt(() => this.#decode(z)));

  static async create(model) {
    const view = await createView(model, "The decoded latent");
    return new ExplorePanel(model, view, await model.influence());
  }

  constructor(model, view, influence) {
    this.#model = model;
    this.#view = view;
    this.#sliders = new Sliders(model.latentDim, influence, this.#request);
    this.#panel = new Panel(
      "explore",
      "Explore",
      "Every slider is one latent dimension, in standard deviations of the prior, the strongest " +
        "first. A double click sets one to 0.",
      el("div", { class: "controls" }, ...this.#buttons()),
      el("div", { class: "explorer" }, view.element, this.#sliders.element),
    );
    this.element = this.#panel.element;
  }

  get z() {
    return this.#sliders.z;
  }

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
