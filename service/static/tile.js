/** A picture that is a button. */

import { el } from "./dom.js";
import { Picture } from "./picture.js";

export class Tile {
  #picture;

  constructor(model, label, onpick) {
    this.#picture = new Picture(model);
    const attributes = { type: "button", class: "tile", "aria-label": label, click: onpick };
    this.element = el("button", attributes, this.#picture.element);
  }

  show(row) {
    this.#picture.show(row);
  }
}
