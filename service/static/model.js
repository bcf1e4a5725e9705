/** One served model: its description, and its verbs on flat rows of plain numbers. */

const MAX_PROBED_VALUES = 500_000; // of one reply that only serves to lay out the page

/** Throughout, a row is x as an array of ``size`` numbers and a latent is z, ``latentDim``. */
export class Model {
  #api;
  #typical = null;

  /** ``description`` is what GET /models/{model} answers. */
  constructor(api, description) {
    this.#api = api;
    this.name = description.name;
    this.version = description.version;
    this.versions = description.versions;
    this.description = description;
    this.latentDim = description.latent_dim;
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

  /** ``n`` draws from the prior: {rows, latents}. */
  async sample({ n, seed, temperature }) {
    const reply = await this.#post("sample", { n, seed, temperature });
    return { rows: reply.outputs.map(flat), latents: reply.latents };
  }

  /** The mean of p(x|z) for each latent. */
  async decode(latents) {
    return (await this.#post("decode", { latents })).outputs.map(flat);
  }

  /** What the model makes of one row: {reconstruction, score, mu, logvar}. */
  async judge(row) {
    const body = { inputs: [row] };
    const verbs = ["reconstruct", "score", "encode"];
    const replies = await Promise.all(verbs.map((verb) => this.#post(verb, body)));
    const [{ outputs }, score, { mu, logvar }] = replies;
    return {
      reconstruction: flat(outputs[0]),
      score: { elbo: score.elbo[0], kl: score.kl[0], pValue: score.p_value[0] },
      mu: mu[0],
      logvar: logvar[0],
    };
  }

  /** Low, median and high of every element over samples of the model; asked for once. */
  typical() {
    this.#typical ??= this.#measureTypical();
    return this.#typical;
  }

  /**
   * How far each latent alone moves the output, in spreads of the samples: a latent without effect
   * has 0. Null where the model is too large to ask.
   */
  async influence() {
    const rows = 2 * this.latentDim;
    if (rows > 4096 || rows * this.size > MAX_PROBED_VALUES) return null;
    const axes = [...Array(this.latentDim).keys()];
    const along = (axis, length) => axes.map((i) => (i === axis ? length : 0));
    const moved = await this.decode(axes.flatMap((axis) => [along(axis, -1), along(axis, 1)]));
    const { low, high } = await this.typical();
    const spread = low.map((value, i) => high[i] - value || 1);
    return axes.map((axis) => distance(moved[2 * axis], moved[2 * axis + 1], spread));
  }

  async #measureTypical() {
    const n = Math.max(4, Math.min(128, Math.floor(MAX_PROBED_VALUES / this.size)));
    const { rows } = await this.sample({ n, seed: 0, temperature: 1 });
    const columns = rows[0].map((_, i) => rows.map((row) => row[i]).sort((a, b) => a - b));
    const at = (share) => columns.map((values) => values[Math.floor(share * (values.length - 1))]);
    return { low: at(0), median: at(0.5), high: at(1) };
  }

  #post(verb, body) {
    return this.#api.post(this.path(verb), body);
  }
}

function flat(row) {
  return row.flat(Infinity);
}

function distance(a, b, spread) {
  const squares = a.map((value, i) => ((value - b[i]) / spread[i]) ** 2);
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / a.length);
}
