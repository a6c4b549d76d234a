// Requests to the server.

let key = "";

async function send(path, options) {
  const response = await fetch(path, withKey(options));
  if (response.ok) return response.json();
  const said = await response.json().then((body) => body.error?.message ?? body.error, () => "");
  if ([401, 403].includes(response.status) && askForKey(said)) return send(path, options);
  throw new Error(said || `The server answered ${response.status}`);
}

function withKey(options) {
  return key ? { ...options, headers: { ...options.headers, Authorization: `Bearer ${key}` } } : options;
}

function askForKey(said) {
  key = prompt(/wrong/.test(said) ? "This key is wrong. Try again:" : "This server needs a key:") ?? "";
  return key !== "";
}

/** Returns what the server answers to GET. */
export const get = (path, signal) => send(path, { signal });

/** Returns what the server answers to a JSON object. */
export const post = (path, body, signal) =>
  send(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal });

/** Returns a function like `post` whose newest call cancels the one before. A cancelled call returns null. */
export function newest() {
  let running = null;
  return async (path, body) => {
    running?.abort();
    const mine = (running = new AbortController());
    try {
      return await post(path, body, mine.signal);
    } catch (error) {
      if (mine.signal.aborted) return null;
      throw error;
    }
  };
}
