/** A p-value in plain words. */

const LEVELS = [
  { upTo: 0.01, text: "Unlike anything in the training data" },
  { upTo: 0.05, text: "Unusual for this model" },
  { upTo: 0.2, text: "A little out of the ordinary" },
  { upTo: 1, text: "Like the training data" },
];

/**
 * The verdict on a row: {level, headline, reason}, level 0 the worst. ``rows`` is the size of the
 * held-out set; p = (1 + rows of it that score no better) / (1 + rows).
 */
export function verdict(pValue, rows) {
  const worse = Math.max(0, Math.round(pValue * (rows + 1)) - 1);
  const level = LEVELS.findIndex(({ upTo }) => pValue <= upTo);
  const extreme = worse === 0 && level > 0; // among few rows p cannot be smaller
  const text = extreme ? `Unlike any of the ${rows} held-out rows` : LEVELS[level].text;
  return {
    level: extreme ? 0 : level,
    headline: `${text} (p\u00a0${formatP(pValue)})`,
    reason: reason(worse, rows),
  };
}

function formatP(p) {
  return p < 0.001 ? "<\u00a00.001" : `=\u00a0${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

function reason(worse, rows) {
  const total = rows.toLocaleString("en");
  if (worse === 0) return `None of the ${total} held-out rows scores as low.`;
  if (worse >= rows) return `All of the ${total} held-out rows score no higher.`;
  return `Of ${total} held-out rows, ${worse.toLocaleString("en")} score as low or lower.`;
}
