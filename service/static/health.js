/** Whether the server may be sent requests, looked at while the page is. */

import { address } from "./api.js";

const PERIOD_MS = 10_000;

export function watchHealth(element) {
  const look = async () => {
    if (document.hidden) return;
    const state = await health();
    element.dataset.state = state;
    if (element.textContent !== state) element.textContent = state;
  };
  setInterval(look, PERIOD_MS);
  document.addEventListener("visibilitychange", look);
  return look();
}

async function health() {
  try {
    return (await fetch(address("health/ready"))).ok ? "ready" : "not ready";
  } catch {
    return "no answer";
  }
}
