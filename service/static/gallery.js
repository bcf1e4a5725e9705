/** A grid of pictures, each a button. */

import { el } from "./dom.js";
import { Picture } from "./picture.js";

/** ``onpick`` gets the latent of the picture that is pressed. */
export class Gallery {
  #model;
  #onpick;
  #tiles = [];
  #latents = [];

  constructor(model, onpick) {
    this.#model = model;
    this.#onpick = onpick;
    this.element = el("div", { class: "gallery" });
  }

  /** Tiles stay where they are between draws, and so does the keyboard's focus. */
  show(rows, latents) {
    this.#latents = latents;
    while (this.#tiles.length > rows.length) this.#tiles.pop().tile.remove();
    while (this.#tiles.length < rows.length) this.#add(this.#tiles.length);
    rows.forEach((row, i) => this.#tiles[i].picture.show(row));
  }

  #add(i) {
    const picture = new Picture(this.#model);
    const label = `Sample ${i + 1}: open in Explore`;
    const pick = () => this.#onpick(this.#latents[i]);
    const tile = el("button", { type: "button", class: "tile", "aria-label": label, click: pick });
    tile.append(picture.element);
    this.#tiles.push({ tile, picture });
    this.element.append(tile);
  }
}
