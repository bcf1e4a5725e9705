/** The way from one latent to another. */

/**
 * Spherical interpolation between two latents (White 2016, "Sampling Generative Networks"): unlike
 * the straight line it does not pass near 0, where the prior puts next to nothing. ``share`` runs
 * from 0 to 1. Latents on one line through 0 have no arc between them and get the straight line.
 */
export function slerp(a, b, share) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (!(sine > 1e-6)) return mix(a, b, 1 - share, share); // also when a or b is 0
  return mix(a, b, Math.sin((1 - share) * angle) / sine, Math.sin(share * angle) / sine);
}

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

function mix(a, b, ofA, ofB) {
  return a.map((value, i) => ofA * value + ofB * b[i]);
}
