/** An image file as a row: scaled in the browser to the model's size, cut to its proportions. */

import { Problem } from "./api.js";
import { el } from "./dom.js";

const LUMA = [0.299, 0.587, 0.114]; // ITU-R 601, as image libraries turn colour to gray

/** The row of ``file``; raises Problem when this browser cannot read it as an image. */
export async function readImage(file, model) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Problem(`${file.name || "The pasted file"} is not an image that this browser reads.`);
  }
  return toRow(scale(bitmap, model), model);
}

/** The middle of the picture, as large as the model's proportions allow. */
function scale(bitmap, { width, height }) {
  const context = el("canvas", { width, height }).getContext("2d");
  const share = Math.min(bitmap.width / width, bitmap.height / height);
  const [w, h] = [share * width, share * height];
  const [left, top] = [(bitmap.width - w) / 2, (bitmap.height - h) / 2];
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height); // transparent parts turn black
  context.drawImage(bitmap, left, top, w, h, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

function toRow(rgba, { width, height, channels, low, high }) {
  const row = [];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const rgb = [0, 1, 2].map((channel) => rgba[4 * pixel + channel]);
    const gray = rgb.reduce((sum, value, channel) => sum + LUMA[channel] * value, 0);
    for (const value of channels === 3 ? rgb : [gray]) {
      row.push(low + (value / 255) * (high - low));
    }
  }
  return row;
}
