/** A few pictures of the way between two, each a button. */

import { el } from "./dom.js";
import { Picture } from "./picture.js";

const SHOWN = 9;

/** ``onpick`` gets how far along the way the picture is, from 0 to 1. */
export class Strip {
  #pictures = [];

  constructor(model, onpick) {
    this.element = el("div", { class: "strip" });
    for (let i = 0; i < SHOWN; i++) {
      const share = i / (SHOWN - 1);
      const picture = new Picture(model);
      const label = `${Math.round(100 * share)}% of the way`;
      const pick = () => onpick(share);
      const tile = el("button", { type: "button", class: "tile", "aria-label": label, click: pick });
      tile.append(picture.element);
      this.#pictures.push(picture);
      this.element.append(tile);
    }
  }

  show(frames) {
    this.#pictures.forEach((picture, i) => {
      picture.show(frames[Math.round((i / (SHOWN - 1)) * (frames.length - 1))]);
    });
  }
}
