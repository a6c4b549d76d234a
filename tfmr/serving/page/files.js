// A file is translated as a whole, and saved under another name.

import { post } from "./api.js";
import { byId, say } from "./dom.js";

const FORMATS = {
  txt: "text", md: "markdown", markdown: "markdown", html: "html", htm: "html", xhtml: "html", srt: "subrip",
};

/** Lets a file be chosen. `request()` returns the model and the languages for it. */
export function startFiles(request) {
  byId("file").addEventListener("change", async () => {
    const [file] = byId("file").files;
    if (!file) return;
    byId("file").value = ""; // so that the same file can be chosen again
    say(byId("file-error"), "");
    byId("file-result").hidden = true;
    byId("file-busy").hidden = false;
    try {
      offer(file.name, await translated(file, request()));
    } catch (error) {
      say(byId("file-error"), `${file.name}: ${error.message}`);
    } finally {
      byId("file-busy").hidden = true;
    }
  });
}

async function translated(file, request) {
  const format = FORMATS[file.name.split(".").at(-1).toLowerCase()];
  if (!format) throw new Error(`the name must end in one of ${Object.keys(FORMATS).map((end) => `.${end}`).join(", ")}`);
  const q = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return (await post("translate", { ...request, q: q.decode(await file.arrayBuffer()), format })).translatedText;
}

function offer(name, text) {
  const result = byId("file-result");
  URL.revokeObjectURL(result.href);
  result.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  result.download = name.replace(/(\.[^.]*)$/, ".translated$1");
  result.textContent = `Save ${result.download}`;
  result.hidden = false;
}
