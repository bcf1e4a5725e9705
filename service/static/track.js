/** A value as a dot on a line from the lowest to the highest that the model usually gives. */

import { el } from "./dom.js";

/** ``kinds`` are the CSS classes of its dots, back to front. */
export class Track {
  #low;
  #high;
  #dots;

  constructor(low, high, kinds = ["filled"]) {
    this.#low = low;
    this.#high = high;
    this.#dots = kinds.map((kind) => el("span", { class: `dot ${kind}` }));
    this.element = el("div", { class: "track", "aria-hidden": "true" }, ...this.#dots);
  }

  /** Place one dot; beyond the ends it stays at the end. */
  show(value, dot = 0) {
    const share = (value - this.#low) / (this.#high - this.#low || 1);
    this.#dots[dot].style.left = `${100 * Math.min(1, Math.max(0, share))}%`;
  }
}
