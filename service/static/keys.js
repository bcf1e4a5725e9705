/** The API key: kept for this tab only, asked for when the server wants one. */

const STORED_AS = "vae-api-key";

/** The key of this tab, or null. A browser that stores nothing for a page raises instead. */
export function storedKey() {
  try {
    return sessionStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}

function store(key) {
  try {
    sessionStorage.setItem(STORED_AS, key);
  } catch {
    // The key then lasts until the page is loaded again.
  }
}

/** ``form`` holds the field; it is shown only while a key is needed. */
export class Keys {
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

  /** Waits until there is another key than ``refused``; many callers may wait for the same one. */
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
    store(this.current);
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
