/** A canvas to draw on, at the resolution and in the units of the model. */

import { el } from "./dom.js";
import { Picture } from "./row-views.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  "Draw with the mouse, a finger or the keyboard: an arrow key moves the pen, Shift and an arrow " +
  "key draw a line, and Space draws a dot.";

/**
 * ``onchange`` is called after each change. ``ink`` is the colour of the pen, one value a channel;
 * ``radius`` is the pen's radius in pixels.
 */
export class DrawingPad {
  #model;
  #onchange;
  #picture;
  #cursor = el("span", { class: "cursor" });
  #values;
  #pen;
  #stroke = null;

  constructor(model, onchange) {
    this.#model = model;
    this.#onchange = onchange;
    this.ink = Array(model.channels).fill(model.high);
    this.radius = Math.max(0.9, Math.min(model.width, model.height) / 22);
    this.#values = Array(model.size).fill(model.low);
    this.#pen = { x: Math.floor(model.width / 2) + 0.5, y: Math.floor(model.height / 2) + 0.5 };
    this.#picture = new Picture(model);
    this.element = this.#frame();
    this.#show();
  }

  /** The drawing as a row. */
  get row() {
    const step = this.#model.description.input.dtype === "uint8" ? 1 : 1e-4;
    return this.#values.map((value) => Number((Math.round(value / step) * step).toFixed(4)));
  }

  /** Whether the whole pad has one colour. */
  get isBlank() {
    const { channels } = this.#model;
    return this.#values.every((value, i) => value === this.#values[i % channels]);
  }

  load(row) {
    this.#values = [...row];
    this.#changed();
  }

  fill(colour) {
    this.load(this.#values.map((_, i) => colour[i % this.#model.channels]));
  }

  invert() {
    const { low, high } = this.#model;
    this.load(this.#values.map((value) => low + high - value));
  }

  #frame() {
    const { element: canvas } = this.#picture;
    const attributes = { tabindex: "0", role: "application", "aria-label": `Drawing. ${HELP}` };
    const end = () => (this.#stroke = null);
    const listeners = {
      keydown: (event) => this.#key(event),
      pointerdown: (event) => this.#begin(event),
      pointermove: (event) => this.#continue(event),
      pointerup: end,
      pointercancel: end,
    };
    return el("div", { class: "pad", ...attributes, ...listeners }, canvas, this.#cursor);
  }

  #begin(event) {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    this.#pen = this.#position(event);
    this.#stroke = this.#newStroke();
    this.#drawTo(this.#pen);
  }

  #continue(event) {
    if (!this.#stroke) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length > 0 ? moves : [event]) this.#drawTo(this.#position(move));
  }

  #key(event) {
    const [dx, dy] = STEPS[event.key] ?? [0, 0];
    if (event.key !== " " && !(event.key in STEPS)) return;
    event.preventDefault();
    const { width, height } = this.#model;
    const inside = (value, end) => Math.min(end - 0.5, Math.max(0.5, value));
    const to = { x: inside(this.#pen.x + dx, width), y: inside(this.#pen.y + dy, height) };
    if (event.key === " " || event.shiftKey) {
      this.#stroke = this.#newStroke();
      this.#drawTo(to);
      this.#stroke = null;
    } else {
      this.#pen = to;
      this.#show();
    }
  }

  #position(event) {
    const box = this.#picture.element.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.#model.width,
      y: ((event.clientY - box.top) / box.height) * this.#model.height,
    };
  }

  /** A stroke keeps the values below it, so that it does not get darker where it crosses itself. */
  #newStroke() {
    const { width, height } = this.#model;
    return { under: [...this.#values], coverage: Array(width * height).fill(0) };
  }

  #drawTo(to) {
    const { width, height } = this.#model;
    const reach = this.radius + 1;
    const first = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
    const last = (a, b, end) => Math.min(end, Math.ceil(Math.max(a, b) + reach));
    for (let y = first(this.#pen.y, to.y); y < last(this.#pen.y, to.y, height); y++) {
      for (let x = first(this.#pen.x, to.x); x < last(this.#pen.x, to.x, width); x++) {
        const away = distanceToSegment({ x: x + 0.5, y: y + 0.5 }, this.#pen, to);
        this.#cover(y * width + x, Math.min(1, this.radius + 0.5 - away));
      }
    }
    this.#pen = to;
    this.#changed();
  }

  #cover(pixel, share) {
    const { under, coverage } = this.#stroke;
    if (share <= coverage[pixel]) return;
    coverage[pixel] = share;
    this.ink.forEach((ink, channel) => {
      const i = pixel * this.#model.channels + channel;
      this.#values[i] = under[i] + share * (ink - under[i]);
    });
  }

  #changed() {
    this.#show();
    this.#onchange();
  }

  #show() {
    this.#picture.show(this.#values);
    this.#cursor.style.left = `${(100 * this.#pen.x) / this.#model.width}%`;
    this.#cursor.style.top = `${(100 * this.#pen.y) / this.#model.height}%`;
  }
}

function distanceToSegment(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length2 = dx * dx + dy * dy;
  const along = length2 && ((point.x - a.x) * dx + (point.y - a.y) * dy) / length2;
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - a.x - share * dx, point.y - a.y - share * dy);
}
