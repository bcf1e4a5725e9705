/** How one row of a model is shown: a picture, or a profile of its columns. */

import { Picture } from "./picture.js";
import { Profile } from "./profile.js";

/** An object with ``element`` and ``show(row)``. */
export async function createView(model, label) {
  return model.isImage ? new Picture(model, label) : new Profile(model, await model.typical());
}
