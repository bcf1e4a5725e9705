/** The panel Try your own: reconstruction, score and latent of a row that the user gives. */

import { PosteriorChart } from "./charts.js";
import { button, el } from "./dom.js";
import { ImageEditor } from "./image-editor.js";
import { coalesce, Panel } from "./panel.js";
import { RowForm } from "./row-form.js";
import { ScoreCard } from "./score-card.js";

const NO_ANALYSIS = { reconstruction: null, score: null, mu: null, logvar: null };
const LEADS = {
  image: "Draw, or drop, paste or choose an image. The browser scales it to the model's size.",
  vector: "Fill in a row, or paste a line of a table into a field.",
};

export class TryPanel {
  #model;
  #panel;
  #editor;
  #score;
  #posterior;
  #mu = null;
  #open;
  #request = coalesce((row) => this.#panel.attempt(() => this.#analyse(row)));

  /** ``onopen`` receives the latent mean of the row when the user opens it in Explore. */
  static async create(model, onopen) {
    return new TryPanel(model, model.isImage ? null : await model.typical(), onopen);
  }

  constructor(model, typical, onopen) {
    this.#model = model;
    this.#score = new ScoreCard(model);
    this.#posterior = new PosteriorChart(model.latentDim);
    this.#open = button("Open in Explore", () => onopen(this.#mu), { disabled: true });
    this.#editor = this.#createEditor(typical);
    this.#panel = new Panel(
      "try",
      "Try your own",
      LEADS[model.description.input.kind],
      el("div", { class: "try" }, this.#editor.element, this.#results()),
    );
    this.element = this.#panel.element;
    this.#score.show(null);
  }

  /** Load one sample of the model into the editor. */
  useSample() {
    return this.#panel.attempt(async () => {
      const { rows } = await this.#model.sample({ n: 1 });
      this.#editor.load(rows[0]);
    });
  }

  #createEditor(typical) {
    const sample = button("Sample", () => this.useSample());
    if (typical) return new RowForm(this.#model, typical, this.#request, sample);
    const attempt = (work) => this.#panel.attempt(work);
    return new ImageEditor(this.#model, this.#request, sample, attempt);
  }

  #results() {
    return el(
      "div",
      { class: "results" },
      this.#score.element,
      el("h3", {}, "Latent: mean ± σ in each dimension"),
      this.#posterior.element,
      el("div", { class: "controls" }, this.#open),
    );
  }

  async #analyse(row) {
    if (row === null) return this.#show(NO_ANALYSIS);
    this.#panel.showRequest(this.#model.path("score"), this.#model.body({ inputs: [row] }));
    const analysis = await this.#model.analyse(row).catch((error) => {
      this.#show(NO_ANALYSIS); // remove the results of the previous row
      throw error;
    });
    this.#show(analysis);
  }

  #show({ reconstruction, score, mu, logvar }) {
    this.#mu = mu;
    this.#open.disabled = mu === null;
    this.#editor.showReconstruction(reconstruction);
    this.#score.show(score);
    this.#posterior.show(mu, logvar);
  }
}
