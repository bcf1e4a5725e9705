/** How well the model explains a row: the verdict, the ELBO among held-out rows, the numbers. */

import { el } from "./dom.js";
import { factList, showFacts } from "./facts.js";
import { fixed } from "./format.js";
import { Track } from "./track.js";
import { verdict } from "./verdict.js";

const [BELOW, ABOVE] = [5, 3]; // ends of the scale, in standard deviations from the held-out mean

export class ScoreCard {
  #calibration;
  #headline = el("p", { class: "verdict", role: "status" });
  #reason = el("p", { class: "note" });
  #scale;
  #numbers = factList();

  constructor(model) {
    this.#calibration = model.description.calibration;
    const { mean, std } = this.#calibration;
    this.#scale = new Track(mean - BELOW * std, mean + ABOVE * std, ["band", "filled"]);
    this.element = el(
      "div",
      { class: "score" },
      this.#headline,
      this.#reason,
      this.#scale.element,
      this.#numbers,
    );
    this.#scale.show(mean);
  }

  /** ``score`` is that of Model.judge; null when there is nothing to judge. */
  show(score) {
    this.element.classList.toggle("empty", score === null);
    if (score === null) {
      this.element.removeAttribute("data-level");
      this.#headline.textContent = "";
      showFacts(this.#numbers, []);
      this.#reason.textContent = "The score and the verdict appear here.";
      return;
    }
    const { level, headline, reason } = verdict(score.pValue, this.#calibration.rows);
    this.element.dataset.level = level;
    if (this.#headline.textContent !== headline) this.#headline.textContent = headline;
    this.#reason.textContent = reason;
    this.#scale.show(score.elbo, 1);
    showFacts(this.#numbers, this.#figures(score));
  }

  #figures({ elbo, kl }) {
    const { mean, std } = this.#calibration;
    return [
      ["ELBO", `${fixed(elbo, 1)} nats`],
      ["KL", `${fixed(kl, 1)} nats`],
      ["Held-out ELBO", `${fixed(mean, 1)} ± ${fixed(std, 1)}`],
    ];
  }
}
