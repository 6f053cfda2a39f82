// What every page is made of: elements, figures, outcomes.

const block = (id) => JSON.parse(document.getElementById(id).textContent);

// What would move or hide other text is shown as what it is.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const pointed = (c) => (c === "\r" ? "" : `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
const visible = (text) => (INVISIBLE.test(text) ? text.replace(INVISIBLE, pointed) : text);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

// Anything that is not an element becomes a text node, so that nothing is ever parsed as HTML.
function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(String(child))));
  }
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
// A text from outside in a line of ours: its direction is its own.
const own = (text, attributes) => h("bdi", attributes, text);

// A share of the width.
const across = (share) => `${(100 * Math.min(1, Math.max(0, share))).toFixed(3)}%`;
const announce = (text) => { document.getElementById("announcer").textContent = text; };

// Figures

const integer = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const count = (n) => integer.format(n);
const counted = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;
const MINUS = "\u2212";
const fixed = (x, digits) => x.toFixed(digits).replace(/^-(?=.*[1-9])/, MINUS).replace(/^-/, "");
// As many decimals as a difference needs to show.
const figure = (x) => {
  const size = Math.abs(x);
  if (size >= 1e15 || (size > 0 && size < 1e-4)) return x.toExponential(2).replace(/-/g, MINUS);
  if (size >= 1000) return integer.format(x).replace("-", MINUS);
  return fixed(x, size >= 100 ? 1 : size >= 10 ? 2 : 3);
};
// One decimal, and as many more as keep a share that is not all from looking like it.
const bare = (x) => {
  const looksWhole = (digits) => {
    const shown = Number(Math.abs(100 * x).toFixed(digits));
    return (shown === 0 || shown === 100) && Math.abs(shown - Math.abs(100 * x)) > 1e-9;
  };
  return fixed(100 * x, [1, 2, 3].find((digits) => !looksWhole(digits)) ?? 4);
};
const percent = (x) => `${bare(x)}%`;
const range = (low, high, show) => `[${show(low)}, ${show(high)}]`;
const signed = (text) => (text.startsWith(MINUS) || /^[0.]*$/.test(text) ? text : `+${text}`);
const probability = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`);
const duration = (ms) => {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60e3) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60e3)} min ${Math.round((ms % 60e3) / 1000)} s`;
};
const two = (n) => String(n).padStart(2, "0");
const moment = (ms) => {
  const t = new Date(ms);
  const day = `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
  return `${day} ${two(t.getHours())}:${two(t.getMinutes())}`;
};
const money = (x) => (x >= 100 ? `$${count(x)}` : x >= 0.01 ? `$${x.toFixed(2)}` : `$${x.toPrecision(2)}`);
const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
const firstLine = (text) => {
  const end = text.search(/\S/);
  return end < 0 ? "" : clip(text.slice(end, end + 400).split("\n", 1)[0].trim(), 240);
};

// Outcomes: what they are called, and the sign and colour that they share. The order is that of attention.

const OUTCOMES = [
  { key: "bad", word: "bad", sign: "✗", tone: "bad" },
  { key: "failed", word: "failed", sign: "!", tone: "unknown" },
  { key: "abstained", word: "abstained", sign: "–", tone: "unknown" },
  { key: "rejected", word: "rejected by people", sign: "⊘", tone: "unknown" },
  { key: "scored", word: "scored", sign: "·", tone: "plain" },
  { key: "good", word: "good", sign: "✓", tone: "good" },
];
const sign = (outcome) => h("span", { class: `sign ${outcome.tone}`, "aria-hidden": "true" }, outcome.sign);

const valueText = (value) =>
  value === null || value === undefined ? "" : typeof value === "string" ? value
    : typeof value === "number" ? String(Number(value.toPrecision(6))) : JSON.stringify(value);
