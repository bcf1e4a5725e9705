/** A few pictures of the way between two, each a button. */

import { el } from "./dom.js";
import { Tile } from "./tile.js";

const SHOWN = 9;

/** ``onpick`` gets how far along the way the picture is, from 0 to 1. */
export class Strip {
  #tiles;

  constructor(model, onpick) {
    const shares = Array.from({ length: SHOWN }, (_, i) => i / (SHOWN - 1));
    const label = (share) => `${Math.round(100 * share)}% of the way`;
    this.#tiles = shares.map((share) => new Tile(model, label(share), () => onpick(share)));
    this.element = el("div", { class: "strip" }, ...this.#tiles.map(({ element }) => element));
  }

  /** ``frames`` are rows at even steps along the way. */
  show(frames) {
    this.#tiles.forEach((tile, i) => {
      tile.show(frames[Math.round((i / (SHOWN - 1)) * (frames.length - 1))]);
    });
  }
}
