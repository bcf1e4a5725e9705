/** Long lists: the first entries, the rest behind a button. */

import { button } from "./dom.js";

/** The number of columns or rows that are shown at first. */
export const SHOWN = 24;

/**
 * A button that calls ``showAll`` once and goes; null when there is nothing to fold.
 */
export function unfold(total, noun, showAll) {
  if (total <= SHOWN) return null;
  const more = button(`Show all ${total} ${noun}`, () => {
    more.remove();
    showAll();
  });
  more.classList.add("more");
  return more;
}
