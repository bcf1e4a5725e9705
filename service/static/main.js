/** The page: pick a model, and build its four panels. */

import { address, Api, Problem } from "./api.js";
import { el } from "./dom.js";
import { ExplorePanel } from "./explore.js";
import { watchHealth } from "./health.js";
import { Keys } from "./keys.js";
import { Model } from "./model.js";
import { MorphPanel } from "./morph.js";
import { Picker } from "./picker.js";
import { SamplePanel } from "./sample.js";
import { TryPanel } from "./try.js";

const find = (id) => document.getElementById(id);
const api = new Api(new Keys(find("key")));
let opened = 0; // counts, so that a slow model does not replace one that was picked after it

/** The panels of a model; each works on its own once it is there. */
async function buildPanels(model) {
  const [explore, own] = await Promise.all([
    ExplorePanel.create(model),
    TryPanel.create(model, (z) => openInExplore(z)),
  ]);
  const morph = await MorphPanel.create(model, () => explore.z);
  const openInExplore = (z) => {
    explore.element.scrollIntoView({ block: "nearest" });
    return explore.load(z);
  };
  const sample = new SamplePanel(model, openInExplore);
  sample.refresh().then(() => sample.first && explore.load(sample.first));
  morph.renew();
  if (!model.isImage) own.useSample();
  return [sample, explore, own, morph].map(({ element }) => element);
}

async function open(picker, name, version, condition) {
  const turn = ++opened;
  await attempt(async () => {
    const model = new Model(api, await api.get(`models/${name}/versions/${version}`), condition);
    const panels = await buildPanels(model);
    if (turn !== opened) return;
    picker.show(model);
    find("panels").replaceChildren(...panels);
    history.replaceState(null, "", `#${name}/${version}`);
  });
}

/** The model in the address, else the server's default, else the first. */
function chosen({ models, default: preferred }) {
  const [name, version] = location.hash.slice(1).split("/");
  const named = (wanted) => models.find((model) => model.name === wanted);
  const asked = named(name);
  if (asked?.versions.includes(Number(version))) return [name, Number(version)];
  const model = asked ?? named(preferred) ?? models[0];
  return [model.name, model.version];
}

async function start() {
  watchHealth(find("health"));
  linkDocs(find("docs"));
  await attempt(async () => {
    const served = await api.get("models");
    if (served.models.length === 0) throw new Problem("This server serves no model yet.");
    const picker = new Picker(served.models, (...picked) => open(picker, ...picked));
    find("model").replaceChildren(picker.element);
    await open(picker, ...chosen(served));
  });
}

/** The documentation can be switched off. */
async function linkDocs(link) {
  link.hidden = !(await fetch(address("docs"), { method: "HEAD" }).catch(() => ({ ok: false }))).ok;
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    find("panels").replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
  }
}

start();
