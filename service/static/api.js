/** The server's public API: JSON requests and replies, and the API key that goes with them. */

const KEY_STORED_AS = "vae-api-key";

/** A failure, described for the user. ``status`` is 0 if there was no reply. */
export class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Sends requests to this server; every failure is raised as a Problem. */
export class Api {
  #keys;

  /** ``keyForm`` asks for the API key; it is shown only while a key is needed. */
  constructor(keyForm) {
    this.#keys = new ApiKey(keyForm);
  }

  get(path) {
    return this.#request(path, { method: "GET" });
  }

  post(path, body) {
    return this.#request(path, { method: "POST", body: JSON.stringify(body) });
  }

  /** Return the parsed reply. While the server answers 401, ask for the key and send again. */
  async #request(path, options) {
    for (;;) {
      const key = this.#keys.current;
      const reply = await send(path, { ...options, headers: headers(key) });
      if (reply.status !== 401) return read(reply);
      await this.#keys.replace(key);
    }
  }
}

/** The absolute URL of a path of this server, which may be served below a path prefix. */
export function address(path) {
  return new URL(path, document.baseURI).href;
}

/** The API key of this tab, or null. */
export function storedKey() {
  try {
    return sessionStorage.getItem(KEY_STORED_AS);
  } catch {
    return null; // the browser denies this page its storage
  }
}

function storeKey(key) {
  try {
    sessionStorage.setItem(KEY_STORED_AS, key);
  } catch {
    // The key then lasts until the page is loaded again.
  }
}

/** The API key: kept for this tab, and asked for if the server requires one. */
class ApiKey {
  #form;
  #field;
  #problem;
  #asking = null;

  constructor(form) {
    this.#form = form;
    this.#field = form.querySelector("input");
    this.#problem = form.querySelector("[role=alert]");
    this.current = storedKey();
  }

  /** Wait until the user has replaced the key ``refused``; many requests may wait at once. */
  async replace(refused) {
    if (this.current !== refused) return;
    this.#asking ??= this.#ask(refused);
    await this.#asking;
  }

  async #ask(refused) {
    this.#problem.textContent = refused ? "The server does not know this key." : "";
    this.#form.hidden = false;
    this.#field.focus();
    this.current = await this.#entered();
    storeKey(this.current);
    this.#field.value = "";
    this.#form.hidden = true;
    this.#asking = null;
  }

  #entered() {
    return new Promise((resolve) => {
      const submitted = (event) => {
        event.preventDefault();
        resolve(this.#field.value);
      };
      this.#form.addEventListener("submit", submitted, { once: true });
    });
  }
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

/** Describe a problem document (RFC 9457) in one sentence. */
function describe({ title, detail, expected, given }, reply) {
  const parts = [detail ?? title ?? `the server answered ${reply.status}`];
  if (expected !== undefined) parts.push(`expected ${expected}`);
  if (given !== undefined) parts.push(`given ${given}`);
  const wait = reply.headers.get("Retry-After");
  if (wait) parts.push(`try again in ${wait} s`);
  return parts.join("; ");
}
