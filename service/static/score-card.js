/** The score of a row: its p-value in words, its ELBO among the held-out rows, and the figures. */

import { DotPlot } from "./charts.js";
import { descriptionList, el, formatFixed, setDescriptions } from "./dom.js";

const [BELOW, ABOVE] = [5, 3]; // ends of the scale, in standard deviations from the held-out mean
const LEVELS = [
  { upTo: 0.01, text: "Unlike anything in the training data" },
  { upTo: 0.05, text: "Unusual for this model" },
  { upTo: 0.2, text: "A little out of the ordinary" },
  { upTo: 1, text: "Like the training data" },
];

export class ScoreCard {
  #calibration;
  #headline = el("p", { class: "headline", role: "status" });
  #detail = el("p", { class: "note" });
  #scale;
  #figures = descriptionList();

  constructor(model) {
    this.#calibration = model.description.calibration;
    const { mean, std } = this.#calibration;
    this.#scale = new DotPlot(mean - BELOW * std, mean + ABOVE * std, ["band", "filled"]);
    const parts = [this.#headline, this.#detail, this.#scale.element, this.#figures];
    this.element = el("div", { class: "score" }, ...parts);
    this.#scale.show(mean);
  }

  /** Show ``score`` as Model.analyse returns it; null clears the card. */
  show(score) {
    this.element.classList.toggle("empty", score === null);
    if (score === null) {
      this.element.removeAttribute("data-level");
      this.#headline.textContent = "";
      setDescriptions(this.#figures, []);
      this.#detail.textContent = "The score appears here.";
      return;
    }
    const { level, headline, detail } = describePValue(score.pValue, this.#calibration.rows);
    this.element.dataset.level = level;
    if (this.#headline.textContent !== headline) this.#headline.textContent = headline;
    this.#detail.textContent = detail;
    this.#scale.show(score.elbo, 1);
    setDescriptions(this.#figures, this.#figuresOf(score));
  }

  #figuresOf({ elbo, kl }) {
    const { mean, std } = this.#calibration;
    return [
      ["ELBO", `${formatFixed(elbo, 1)} nats`],
      ["KL", `${formatFixed(kl, 1)} nats`],
      ["Held-out ELBO", `${formatFixed(mean, 1)} ± ${formatFixed(std, 1)}`],
    ];
  }
}

/**
 * Describe a p-value: {level, headline, detail}, level 0 for the least likely rows. ``rows`` is the
 * number of held-out rows; p = (1 + held-out rows whose ELBO is no higher) / (1 + rows).
 */
export function describePValue(pValue, rows) {
  const noHigher = Math.max(0, Math.round(pValue * (rows + 1)) - 1);
  const level = LEVELS.findIndex(({ upTo }) => pValue <= upTo);
  const extreme = noHigher === 0 && level > 0; // with few held-out rows, p cannot be smaller
  const text = extreme ? `Unlike any of the ${rows} held-out rows` : LEVELS[level].text;
  return {
    level: extreme ? 0 : level,
    headline: `${text} (p\u00a0${formatPValue(pValue)})`,
    detail: compareWithHeldOut(noHigher, rows),
  };
}

function formatPValue(p) {
  return p < 0.001 ? "<\u00a00.001" : `=\u00a0${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

function compareWithHeldOut(noHigher, rows) {
  const total = rows.toLocaleString("en");
  if (noHigher === 0) return `None of the ${total} held-out rows scores as low.`;
  if (noHigher >= rows) return `None of the ${total} held-out rows scores higher.`;
  return `Of ${total} held-out rows, ${noHigher.toLocaleString("en")} score as low or lower.`;
}
