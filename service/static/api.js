/** The server's public API: JSON in, JSON out, every failure a Problem. */

/** What went wrong, in words for the person at the screen. ``status`` is 0 without a reply. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Requests to this origin. ``keys`` has the API key and asks for one when the server does. */
export class Api {
  #keys;

  constructor(keys) {
    this.#keys = keys;
  }

  get(path) {
    return this.#request(path, { method: "GET" });
  }

  post(path, body) {
    return this.#request(path, { method: "POST", body: JSON.stringify(body) });
  }

  /** The parsed reply. Asks for the key and sends again as long as the server answers 401. */
  async #request(path, options) {
    for (;;) {
      const key = this.#keys.current;
      const reply = await send(path, { ...options, headers: headers(key) });
      if (reply.status !== 401) return read(reply);
      await this.#keys.replace(key);
    }
  }
}

/** The absolute address of a path of this server, which may itself live below a prefix. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

function headers(key) {
  const common = { Accept: "application/json", "Content-Type": "application/json" };
  return key ? { ...common, "X-API-Key": key } : common;
}

async function send(path, options) {
  try {
    return await fetch(address(path), options);
  } catch {
    throw new Problem("The server did not answer. Is it still running?");
  }
}

async function read(reply) {
  let body;
  try {
    body = await reply.json();
  } catch {
    throw new Problem(`The server answered ${reply.status} without JSON.`, reply.status);
  }
  if (reply.ok) return body;
  throw new Problem(describe(body, reply), reply.status);
}

/** One sentence from a problem document (RFC 9457). */
function describe({ title, detail, expected, given }, reply) {
  const parts = [detail ?? title ?? `the server answered ${reply.status}`];
  if (expected !== undefined) parts.push(`expected ${expected}`);
  if (given !== undefined) parts.push(`given ${given}`);
  const wait = reply.headers.get("Retry-After");
  if (wait) parts.push(`try again in ${wait} s`);
  return parts.join("; ");
}
