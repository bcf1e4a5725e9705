/** Chance, where it need not be the server's. */

/** A seed short enough to be read out. */
export function newSeed() {
  return Math.floor(Math.random() * 1_000_000);
}

/** One draw from N(0, 1) (Box and Muller 1958). */
export function standardNormal() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
  return radius * Math.cos(2 * Math.PI * Math.random());
}
