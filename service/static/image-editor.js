/** The user's own image, drawn or from a file, beside the model's reconstruction of it. */

import { Problem } from "./api.js";
import { button, el } from "./dom.js";
import { DrawingPad } from "./drawing-pad.js";
import { Picture } from "./row-views.js";

const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601, as image libraries convert colour to gray
const HINT = "Draw here";

/**
 * ``onchange`` receives the drawing as a row, or null while the pad has one colour. ``sample`` is a
 * button that loads a sample. ``attempt`` runs a function and shows the Problem that it raises.
 */
export class ImageEditor {
  #model;
  #attempt;
  #pad;
  #reconstruction;
  #hint = el("span", { class: "hint", "aria-hidden": "true" }, HINT);

  constructor(model, onchange, sample, attempt) {
    this.#model = model;
    this.#attempt = attempt;
    this.#pad = new DrawingPad(model, () => {
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
      { class: "pictures" },
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

  /** Open dropped files, and pasted images while the editor is on the page. */
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

/** Read an image file as a row; raises Problem if the browser cannot read it. */
async function readImage(file, model) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Problem(`${file.name || "The pasted file"} is not an image this browser can read.`);
  }
  return toRow(scale(bitmap, model), model);
}

/** Scale the largest centred part with the model's aspect ratio to the model's size. */
function scale(bitmap, { width, height }) {
  const context = el("canvas", { width, height }).getContext("2d");
  const share = Math.min(bitmap.width / width, bitmap.height / height);
  const [w, h] = [share * width, share * height];
  const [left, top] = [(bitmap.width - w) / 2, (bitmap.height - h) / 2];
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height); // the background of transparent images
  context.drawImage(bitmap, left, top, w, h, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function toRow(rgba, { width, height, channels, low, high }) {
  const row = [];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const rgb = [0, 1, 2].map((channel) => rgba[4 * pixel + channel]);
    const gray = rgb.reduce((sum, value, channel) => sum + LUMA[channel] * value, 0);
    for (const value of channels === 3 ? rgb : [gray]) {
      row.push(low + (value / 255) * (high - low));
    }
  }
  return row;
}
