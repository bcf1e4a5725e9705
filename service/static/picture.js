/** Rows of an image model as pictures, pixel for pixel. */

import { el } from "./dom.js";

const SMOOTH_FROM = 64; // pixels of width; smaller pictures show their pixels

/** A canvas of the model's size for one row; without a label it only decorates. */
export class Picture {
  #context;
  #model;

  constructor(model, label) {
    this.#model = model;
    const { width, height } = model;
    const meaning = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    this.element = el("canvas", { class: "picture", width, height, ...meaning });
    this.element.classList.toggle("smooth", width > SMOOTH_FROM);
    this.#context = this.element.getContext("2d");
  }

  /** Show a row in the model's own units. */
  show(row) {
    const { width, height, channels, low, high } = this.#model;
    const image = this.#context.createImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        const value = row[pixel * channels + (channels === 3 ? channel : 0)];
        image.data[pixel * 4 + channel] = (255 * (value - low)) / (high - low); // clamps
      }
      image.data[pixel * 4 + 3] = 255;
    }
    this.#context.putImageData(image, 0, 0);
  }
}
