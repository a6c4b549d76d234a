// Numbers, languages and tokens as people read them.

/** Returns a probability in percent, with as many digits as matter. */
export function percent(p) {
  if (p >= 0.995) return p >= 0.9995 ? "100%" : `${(100 * p).toFixed(1)}%`;
  if (p >= 0.1) return `${Math.round(100 * p)}%`;
  if (p >= 0.001) return `${(100 * p).toFixed(1)}%`;
  return "< 0.1%";
}

/** Returns a log-probability or a score. */
export const score = (value) => value.toFixed(2).replace("-", "−");

/** Returns a whole number with separators. */
export const whole = (value) => value.toLocaleString("en");

/** Returns a large number in a few letters: 1.23 million. */
export function large(value) {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} million`;
  return whole(value);
}

/** Returns the name of a language from its code, such as en or deu_Latn. */
export function languageName(code) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code.replace("_", "-")) ?? code;
  } catch {
    return code;
  }
}

const MARKS = { "</s>": "end", "<s>": "start", "<pad>": "padding", "<unk>": "unknown", "<|endoftext|>": "end" };

/** Returns the text of a token so that it can be seen. */
export function tokenLabel(token) {
  if (token.special) return MARKS[token.text] ?? (token.text || "·");
  const text = token.text.replace(/^ /, "");
  return text.replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/ /g, "␣") || "␣";
}

/** Whether a token continues the word before it. */
export const isJoined = (tokens, index) =>
  index > 0 && !tokens[index].special && !tokens[index - 1].special && !/^\s/.test(tokens[index].text);
