/** The API's documentation: the operations of openapi.json, by their tags. */

import { Api, Problem } from "./api.js";
import { el } from "./dom.js";
import { Keys } from "./keys.js";
import { Operation } from "./operation.js";

const find = (id) => document.getElementById(id);

/** Operations by their first tag, in the order of the document. */
function grouped({ paths }) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [tag] = operation.tags ?? ["other"];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(new Operation(method, path, operation));
    }
  }
  return groups;
}

function section(tag, operations) {
  const heading = el("h2", {}, tag);
  return el("section", { class: "operations" }, heading, ...operations.map(({ element }) => element));
}

/** Opens the operation that the address names, as a link from elsewhere does. */
function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

async function start() {
  try {
    const api = await new Api(new Keys(find("key"))).get("openapi.json");
    find("title").textContent = `${api.info.title} ${api.info.version}`;
    find("lead").textContent = api.info.summary ?? "";
    const sections = [...grouped(api)].map(([tag, operations]) => section(tag, operations));
    find("operations").replaceChildren(...sections);
    openNamed();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    find("operations").replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
  }
}

start();
