/** A picture of one's own: the pad with its tools, and what the model makes of it beside. */

import { button, el } from "./dom.js";
import { readImage } from "./imagefile.js";
import { Pad } from "./pad.js";
import { Picture } from "./picture.js";

const HINT = "Draw here";

/**
 * ``onchange`` gets the row that is drawn, null while the pad is blank; ``sample`` is a button that
 * loads one; ``attempt`` runs what may fail and shows how it failed.
 */
export class PictureEditor {
  #model;
  #attempt;
  #pad;
  #reconstruction;
  #hint = el("span", { class: "hint", "aria-hidden": "true" }, HINT);

  constructor(model, onchange, sample, attempt) {
    this.#model = model;
    this.#attempt = attempt;
    this.#pad = new Pad(model, () => {
      this.#hint.hidden = !this.#pad.isBlank;
      onchange(this.#pad.isBlank ? null : this.#pad.row);
    });
    this.#pad.element.append(this.#hint);
    this.#reconstruction = new Picture(model, "The reconstruction");
    this.showReconstruction(null);
    this.element = el("div", { class: "editor" }, this.#pictures(), this.#tools(sample));
    this.#acceptFiles();
  }

  load(row) {
    this.#pad.load(row);
  }

  showReconstruction(row) {
    this.#reconstruction.element.classList.toggle("empty", row === null);
    this.#reconstruction.show(row ?? Array(this.#model.size).fill(this.#model.low));
  }

  #pictures() {
    const figure = (element, caption) => el("figure", {}, element, el("figcaption", {}, caption));
    return el(
      "div",
      { class: "pair" },
      figure(this.#pad.element, "Yours"),
      figure(this.#reconstruction.element, "Reconstruction"),
    );
  }

  #tools(sample) {
    const { low, high, channels, size } = this.#model;
    const noise = () => Array.from({ length: size }, () => low + Math.random() * (high - low));
    const file = el("input", { type: "file", accept: "image/*", class: "offscreen" });
    file.addEventListener("change", () => this.#open(file.files[0]).then(() => (file.value = "")));
    return el(
      "div",
      { class: "controls" },
      channels === 3 ? this.#colour() : this.#polarity(),
      this.#size(),
      button("Clear", () => this.#pad.fill(Array(channels).fill(low))),
      button("Invert", () => this.#pad.invert()),
      button("Noise", () => this.load(noise())),
      sample,
      el("label", { class: "button" }, "Image file…", file),
    );
  }

  #polarity() {
    const { low, high } = this.#model;
    const pen = el("select", {}, el("option", {}, "white"), el("option", {}, "black"));
    pen.addEventListener("change", () => (this.#pad.ink = [pen.value === "white" ? high : low]));
    return el("label", {}, "Pen", pen);
  }

  #colour() {
    const { low, high } = this.#model;
    const pen = el("input", { type: "color", value: "#ffffff" });
    const value = (hex) => low + (parseInt(hex, 16) / 255) * (high - low);
    pen.addEventListener("input", () => (this.#pad.ink = pen.value.match(/\w\w/g).map(value)));
    const fill = button("Fill", () => this.#pad.fill(this.#pad.ink));
    return el("span", { class: "group" }, el("label", {}, "Pen", pen), fill);
  }

  #size() {
    const largest = Math.max(2, Math.min(this.#model.width, this.#model.height) / 6);
    const size = { type: "range", min: 0.5, max: largest, step: 0.1, value: this.#pad.radius };
    const slider = el("input", size);
    slider.addEventListener("input", () => (this.#pad.radius = slider.valueAsNumber));
    return el("label", {}, "Width", slider);
  }

  /** Files dropped here, and images pasted while this editor is on the page. */
  #acceptFiles() {
    this.element.addEventListener("dragover", (event) => event.preventDefault());
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      return this.#open(event.dataTransfer.files[0]);
    });
    const pasted = (event) => {
      if (!this.element.isConnected) return document.removeEventListener("paste", pasted);
      return this.#open([...event.clipboardData.files][0]);
    };
    document.addEventListener("paste", pasted);
  }

  #open(file) {
    if (!file) return Promise.resolve();
    return this.#attempt(async () => this.load(await readImage(file, this.#model)));
  }
}
