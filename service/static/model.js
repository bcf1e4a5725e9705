/** One served model: its description, and its verbs on flat rows of plain numbers. */

import { Problem } from "./api.js";

const MAX_PROBED_VALUES = 500_000; // in a reply that the page needs only for its layout
const TYPICAL_ROWS = 32; // the most rows that the panel Sample offers for a vector model

/** A seed short enough to read aloud. */
export function randomSeed() {
  return Math.floor(Math.random() * 1_000_000);
}

/** A row is x, an array of ``size`` numbers; a latent is z, an array of ``latentDim`` numbers. */
export class Model {
  #api;
  #typical = null;

  /**
   * ``description`` is the reply of GET /models/{model}. ``condition`` is a class or an
   * array of numbers, for a conditional model. If it does not fit, the model's first class or the
   * means of its training rows replace it.
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
    this.conditionColumns = kind === "vector" ? names : [];
    this.condition = resolveCondition(description.condition, condition);
    this.isImage = description.input.kind === "image";
    this.shape = description.input.shape;
    this.size = this.shape.reduce((product, length) => product * length, 1);
    [this.height, this.width, this.channels = 1] = this.shape;
    [this.low, this.high] = description.input.range ?? [0, 1];
    this.columns = description.input.columns ?? [...Array(this.size).keys()].map(String);
  }

  /** The path of a verb; it contains the version unless that is the latest one. */
  path(verb) {
    const latest = this.version === Math.max(...this.versions);
    const version = latest ? "" : `/versions/${this.version}`;
    return `models/${this.name}${version}/${verb}`;
  }

  /** The body of a request to a verb: ``members`` and, for a conditional model, the condition. */
  body(members) {
    return this.condition === undefined ? members : { ...members, condition: this.condition };
  }

  /** ``n`` samples from the prior: {rows, latents}. */
  async sample({ n, seed = randomSeed(), temperature = 1 }) {
    const reply = await this.#post("sample", { n, seed, temperature });
    return { rows: reply.outputs.map(flat), latents: reply.latents };
  }

  /** The mean of p(x|z) for each latent. */
  async decode(latents) {
    return (await this.#post("decode", { latents })).outputs.map(flat);
  }

  /**
   * Reconstruct, score and encode one row: {reconstruction, score, mu, logvar}. ``mu`` is the
   * latent that represents the row; a model with a flow returns it as ``z``.
   */
  async analyse(row) {
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
   * {low, median, high} of each element of a row, estimated from a few samples: for scales and
   * placeholders. The request is sent once.
   */
  typical() {
    this.#typical ??= this.#measureTypical();
    return this.#typical;
  }

  /**
   * How far each latent dimension alone moves the output; 0 if it has no effect. Null if the model
   * is too large to probe, or if the server refuses that many rows.
   */
  async influence() {
    if (2 * this.latentDim * this.size > MAX_PROBED_VALUES) return null;
    const dimensions = [...Array(this.latentDim).keys()];
    const along = (axis, length) => dimensions.map((i) => (i === axis ? length : 0));
    const latents = dimensions.flatMap((axis) => [along(axis, -1), along(axis, 1)]);
    const moved = await this.decode(latents).catch(nullIfProblem);
    if (moved === null) return null;
    const unit = await this.#units();
    return dimensions.map((axis) => distance(moved[2 * axis], moved[2 * axis + 1], unit));
  }

  /** A unit for each element of a row, since each column of a table has its own scale. */
  async #units() {
    if (this.isImage) return Array(this.size).fill(1);
    const { low, high } = await this.typical();
    return low.map((value, i) => high[i] - value);
  }

  async #measureTypical() {
    const n = Math.max(4, Math.min(TYPICAL_ROWS, Math.floor(MAX_PROBED_VALUES / this.size)));
    const { rows } = await this.sample({ n, seed: 0, temperature: 1 });
    const columns = rows[0].map((_, i) => rows.map((row) => row[i]).sort((a, b) => a - b));
    // A few samples do not reach the ends of the range. A constant column still needs a scale.
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

/** Return ``wanted`` if it fits, else the first class or the means of the training rows. */
function resolveCondition(condition, wanted) {
  if (!condition) return undefined;
  const { kind, names, preprocessing } = condition;
  if (kind === "classes") return names.includes(wanted) ? wanted : names[0];
  const { shift } = preprocessing;
  const fits = Array.isArray(wanted) && wanted.length === names.length;
  return fits ? wanted : names.map((_, i) => Number((shift[i] ?? shift[0]).toPrecision(3)));
}

function nullIfProblem(error) {
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
