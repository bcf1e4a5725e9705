/** Hand the model a row of one's own: reconstruction, score, verdict and latent, live. */

import { Bars } from "./bars.js";
import { button, el } from "./dom.js";
import { PictureEditor } from "./editor.js";
import { latest } from "./latest.js";
import { Panel } from "./panel.js";
import { newSeed } from "./random.js";
import { RowForm } from "./rowform.js";
import { ScoreCard } from "./score.js";

const NOTHING = { reconstruction: null, score: null, mu: null, logvar: null };
const LEADS = {
  image: "Draw, or drop, paste or choose an image: it is scaled here, in the browser.",
  vector: "Fill in a row, or paste a line of a table into a field.",
};

export class TryPanel {
  #model;
  #panel;
  #editor;
  #score;
  #bars;
  #mu = null;
  #open;
  #request = latest((row) => this.#panel.attempt(() => this.#judge(row)));

  /** ``onopen`` gets the latent mean of the row when it is to be explored. */
  static async create(model, onopen) {
    return new TryPanel(model, model.isImage ? null : await model.typical(), onopen);
  }

  constructor(model, typical, onopen) {
    this.#model = model;
    this.#score = new ScoreCard(model);
    this.#bars = new Bars(model.latentDim);
    this.#open = button("Open in Explore", () => onopen(this.#mu), { disabled: true });
    this.#editor = this.#createEditor(typical);
    this.#panel = new Panel(
      "try",
      "Try your own",
      LEADS[model.description.input.kind],
      el("div", { class: "try" }, this.#editor.element, this.#findings()),
    );
    this.element = this.#panel.element;
    this.#score.show(null);
  }

  /** Put a sample of the model in place of what is there. */
  useSample() {
    return this.#panel.attempt(async () => {
      const { rows } = await this.#model.sample({ n: 1, seed: newSeed(), temperature: 1 });
      this.#editor.load(rows[0]);
    });
  }

  #createEditor(typical) {
    const sample = button("Sample", () => this.useSample());
    if (typical) return new RowForm(this.#model, typical, this.#request, sample);
    const attempt = (work) => this.#panel.attempt(work);
    return new PictureEditor(this.#model, this.#request, sample, attempt);
  }

  #findings() {
    return el(
      "div",
      { class: "findings" },
      this.#score.element,
      el("h3", {}, "Latent: mean ± σ in each dimension"),
      this.#bars.element,
      el("div", { class: "controls" }, this.#open),
    );
  }

  async #judge(row) {
    if (row === null) return this.#show(NOTHING);
    this.#panel.showRequest(this.#model.path("score"), this.#model.body({ inputs: [row] }));
    const judgement = await this.#model.judge(row).catch((error) => {
      this.#show(NOTHING); // not what the model made of another row
      throw error;
    });
    this.#show(judgement);
  }

  #show({ reconstruction, score, mu, logvar }) {
    this.#mu = mu;
    this.#open.disabled = mu === null;
    this.#editor.showReconstruction(reconstruction);
    this.#score.show(score);
    this.#bars.show(mu, logvar);
  }
}
