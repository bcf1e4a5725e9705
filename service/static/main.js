/** The page: the choice of a model, its four panels, and the state of the server. */

import { address, Api, Problem } from "./api.js";
import { el } from "./dom.js";
import { ExplorePanel } from "./explore-panel.js";
import { InterpolatePanel } from "./interpolate-panel.js";
import { Model } from "./model.js";
import { ModelPicker } from "./model-picker.js";
import { SamplePanel } from "./sample-panel.js";
import { TryPanel } from "./try-panel.js";

const HEALTH_PERIOD_MS = 10_000;

const find = (id) => document.getElementById(id);
const api = new Api(find("key"));
let opened = 0; // counts calls of ``open``: a slow model must not replace one that was picked later

/** Build the four panels of a model and start their first requests. */
async function buildPanels(model) {
  const openInExplore = (z) => {
    explore.element.scrollIntoView({ block: "nearest" });
    return explore.load(z);
  };
  const [explore, tryYourOwn] = await Promise.all([
    ExplorePanel.create(model),
    TryPanel.create(model, openInExplore),
  ]);
  const interpolate = await InterpolatePanel.create(model, () => explore.z);
  const sample = new SamplePanel(model, openInExplore);
  sample.refresh().then(() => sample.first && explore.load(sample.first));
  interpolate.renew();
  if (!model.isImage) tryYourOwn.useSample();
  return [sample, explore, tryYourOwn, interpolate].map(({ element }) => element);
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

/** [name, version] of the model in the address, else of the server's default, else of the first. */
function firstModel({ models, default: preferred }) {
  const [name, version] = location.hash.slice(1).split("/");
  const named = (wanted) => models.find((model) => model.name === wanted);
  const requested = named(name);
  if (requested?.versions.includes(Number(version))) return [name, Number(version)];
  const model = requested ?? named(preferred) ?? models[0];
  return [model.name, model.version];
}

async function start() {
  watchHealth(find("health"));
  linkDocs(find("docs"));
  await attempt(async () => {
    const served = await api.get("models");
    if (served.models.length === 0) throw new Problem("This server serves no model yet.");
    const picker = new ModelPicker(served.models, (...picked) => open(picker, ...picked));
    find("model").replaceChildren(picker.element);
    await open(picker, ...firstModel(served));
  });
}

/** Run ``work``; if it raises a Problem, show it in place of the panels. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    find("panels").replaceChildren(el("p", { class: "problem", role: "alert" }, error.message));
  }
}

/** Show the link to the documentation unless the server has it disabled. */
async function linkDocs(link) {
  link.hidden = !(await fetch(address("docs"), { method: "HEAD" }).catch(() => ({ ok: false }))).ok;
}

/** Show in ``element`` whether the server is ready, and check again while the page is visible. */
function watchHealth(element) {
  const check = async () => {
    if (document.hidden) return;
    const state = await health();
    element.dataset.state = state;
    if (element.textContent !== state) element.textContent = state;
  };
  setInterval(check, HEALTH_PERIOD_MS);
  document.addEventListener("visibilitychange", check);
  return check();
}

async function health() {
  try {
    return (await fetch(address("health/ready"))).ok ? "ready" : "not ready";
  } catch {
    return "no answer";
  }
}

start();
