/** A grid of pictures, each a button. */

import { el } from "./dom.js";
import { Tile } from "./tile.js";

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
    while (this.#tiles.length > rows.length) this.#tiles.pop().element.remove();
    while (this.#tiles.length < rows.length) this.#add(this.#tiles.length);
    rows.forEach((row, i) => this.#tiles[i].show(row));
  }

  #add(i) {
    const label = `Sample ${i + 1}: open in Explore`;
    const tile = new Tile(this.#model, label, () => this.#onpick(this.#latents[i]));
    this.#tiles.push(tile);
    this.element.append(tile.element);
  }
}
