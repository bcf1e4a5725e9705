/** Numbers for people. */

/** Four significant digits, without an exponent where that stays readable. */
export function format(value) {
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-3)) return minus(value.toExponential(1));
  return minus(size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4))));
}

/** A fixed number of decimals. */
export function fixed(value, decimals) {
  return minus(value.toFixed(decimals));
}

/** "28 × 28", "28 × 28 colour" or "13 columns". */
export function describeShape(model) {
  if (!model.isImage) return `${model.size} columns`;
  return `${model.height} × ${model.width} ${model.channels === 3 ? "colour" : "gray"}`;
}

function minus(text) {
  return text.replace("-", "−");
}
