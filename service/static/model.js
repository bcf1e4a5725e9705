/** One served model: its description, and its verbs on flat rows of plain numbers. */

import { Problem } from "./api.js";

const MAX_PROBED_VALUES = 500_000; // of one reply that only serves to lay out the page
const TYPICAL_ROWS = 32; // no more than the sample panel asks for, which a server may limit

/** Throughout, a row is x as an array of ``size`` numbers and a latent is z, ``latentDim``. */
export class Model {
  #api;
  #typical = null;

  /**
   * ``description`` is what GET /models/{model} answers; ``condition`` what a conditional model is
   * told: a class, the first when none is given, or numbers, the means of the training rows.
   */
  constructor(api, description, condition) {
    this.#api = api;
    this.name = description.name;
    this.version = description.version;
    this.versions = description.versions;
    this.description = description;
    this.latentDim = description.latent_dim;
    const { kind, names = [] } = description.condition ?? {};
    this.classes = kind === "classes" ? names : [];
    this.numbers = kind === "vector" ? names : [];
    this.condition = told(description.condition, condition);
    this.isImage = description.input.kind === "image";
    this.shape = description.input.shape;
    this.size = this.shape.reduce((product, length) => product * length, 1);
    [this.height, this.width, this.channels = 1] = this.shape;
    [this.low, this.high] = description.input.range ?? [0, 1];
    this.columns = description.input.columns ?? [...Array(this.size).keys()].map(String);
  }

  /** The path of a verb, with the version in it when that is not the latest. */
  path(verb) {
    const latest = this.version === Math.max(...this.versions);
    const version = latest ? "" : `/versions/${this.version}`;
    return `models/${this.name}${version}/${verb}`;
  }

  /** The body of a request to a verb: ``members``, and the condition of a conditional model. */
  body(members) {
    return this.condition === undefined ? members : { ...members, condition: this.condition };
  }

  /** ``n`` draws from the prior: {rows, latents}. */
  async sample({ n, seed, temperature }) {
    const reply = await this.#post("sample", { n, seed, temperature });
    return { rows: reply.outputs.map(flat), latents: reply.latents };
  }

  /** The mean of p(x|z) for each latent. */
  async decode(latents) {
    return (await this.#post("decode", { latents })).outputs.map(flat);
  }

  /**
   * What the model makes of one row: {reconstruction, score, mu, logvar}; mu is the latent that
   * stands for the row, which a flow has as ``z``.
   */
  async judge(row) {
    const body = { inputs: [row] };
    const verbs = ["reconstruct", "score", "encode"];
    const replies = await Promise.all(verbs.map((verb) => this.#post(verb, body)));
    const [{ outputs }, score, { z, mu, logvar }] = replies;
    return {
      reconstruction: flat(outputs[0]),
      score: { elbo: score.elbo[0], kl: score.kl[0], pValue: score.p_value[0] },
      mu: (z ?? mu)[0],
      logvar: logvar[0],
    };
  }

  /**
   * {low, median, high} of every element: about where the model's samples lie, for scales and
   * placeholders. Asked for once.
   */
  typical() {
    this.#typical ??= this.#measureTypical();
    return this.#typical;
  }

  /**
   * How far each latent alone moves the output: 0 for one without effect. Null where that cannot be
   * had, because the model is too large to ask or the server refuses so many rows.
   */
  async influence() {
    if (2 * this.latentDim * this.size > MAX_PROBED_VALUES) return null;
    const axes = [...Array(this.latentDim).keys()];
    const along = (axis, length) => axes.map((i) => (i === axis ? length : 0));
    const latents = axes.flatMap((axis) => [along(axis, -1), along(axis, 1)]);
    const moved = await this.decode(latents).catch(noneIfRefused);
    if (moved === null) return null;
    const unit = await this.#units();
    return axes.map((axis) => distance(moved[2 * axis], moved[2 * axis + 1], unit));
  }

  /** What makes the elements of a row comparable: columns of a table are on scales of their own. */
  async #units() {
    if (this.isImage) return Array(this.size).fill(1);
    const { low, high } = await this.typical();
    return low.map((value, i) => high[i] - value);
  }

  async #measureTypical() {
    const n = Math.max(4, Math.min(TYPICAL_ROWS, Math.floor(MAX_PROBED_VALUES / this.size)));
    const { rows } = await this.sample({ n, seed: 0, temperature: 1 });
    const columns = rows[0].map((_, i) => rows.map((row) => row[i]).sort((a, b) => a - b));
    // So few rows do not reach the ends; a constant column still gets a scale.
    const margins = columns.map((values) => (values[n - 1] - values[0]) / 4 || 1);
    return {
      low: columns.map((values, i) => values[0] - margins[i]),
      median: columns.map((values) => values[n >> 1]),
      high: columns.map((values, i) => values[n - 1] + margins[i]),
    };
  }

  #post(verb, body) {
    return this.#api.post(this.path(verb), this.body(body));
  }
}

/** What a model is told: ``wanted`` where that fits, else its first class, or the usual numbers. */
function told(condition, wanted) {
  if (!condition) return undefined;
  const { kind, names, preprocessing } = condition;
  if (kind === "classes") return names.includes(wanted) ? wanted : names[0];
  const { shift } = preprocessing;
  const fits = Array.isArray(wanted) && wanted.length === names.length;
  return fits ? wanted : names.map((_, i) => Number((shift[i] ?? shift[0]).toPrecision(3)));
}

function noneIfRefused(error) {
  if (error instanceof Problem) return null;
  throw error;
}

function flat(row) {
  return row.flat(Infinity);
}

function distance(a, b, unit) {
  const squares = a.map((value, i) => ((value - b[i]) / unit[i]) ** 2);
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / a.length);
}
