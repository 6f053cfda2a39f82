// How texts and values of any form are shown.

const LONG_LINES = 12;
// Of more characters only the beginning is laid out, until the rest is asked for.
const HUGE = 20_000;
const IMAGE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

// A text with its line breaks; what a judge quoted of it is marked.
function textBlock(text, quotes) {
  if (text.length > HUGE) return h("div", { class: "text-block" }, pieces(text).map((piece) => h("p", { class: "text piece", dir: "auto" }, marked(piece, quotes))));
  const parts = text.split(/^```[^\n]*\n?/m);
  const blocks = parts.map((part, i) => (i % 2 ? h("pre", { class: "code-block" }, marked(part, quotes)) : part.trim() || parts.length === 1 ? h("p", { class: "text", dir: "auto" }, marked(part.replace(/^\n+|\s+$/g, ""), quotes)) : null));
  return h("div", { class: "text-block" }, blocks);
}

// A text in parts that a browser can lay out one by one, divided at spaces.
function pieces(text) {
  const found = [];
  for (let from = 0; from < text.length;) {
    const space = text.lastIndexOf(" ", from + HUGE);
    const to = text.length - from <= HUGE ? text.length : space > from ? space + 1 : from + HUGE;
    found.push(text.slice(from, to));
    from = to;
  }
  return found;
}

function marked(text, quotes) {
  if (!quotes?.length) return text;
  const lower = text.toLowerCase();
  const found = quotes.map((quote) => [lower.indexOf(quote), quote]).filter(([at]) => at >= 0).sort(([a], [b]) => a - b);
  const parts = [];
  let from = 0;
  for (const [at, quote] of found) {
    if (at < from) continue;
    parts.push(text.slice(from, at), h("mark", { "data-quote": quote, tabindex: "-1" }, text.slice(at, at + quote.length)));
    from = at + quote.length;
  }
  return [...parts, text.slice(from)];
}

// Folded at some lines, where it is longer.
function foldable(text, quotes, lines = LONG_LINES) {
  const isHuge = text.length > HUGE;
  const body = textBlock(isHuge ? text.slice(0, HUGE) : text, quotes);
  const isLong = text.length > lines * 110 || text.split("\n", lines + 2).length > lines + 1;
  if (!isLong) return body;
  const fold = h("div", { class: `fold lines-${lines}` }, body);
  const button = h("button", { type: "button", class: "more", "aria-expanded": "false", click: () => {
    const open = fold.classList.toggle("open");
    if (open && isHuge && fold.firstChild === body) fold.replaceChildren(textBlock(text, quotes));
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : more;
  } });
  const more = `Show all ${count(text.length)} characters`;
  button.textContent = more;
  return h("div", {}, fold, button);
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isMessage = (value) => isObject(value) && typeof (value.role ?? value.type) === "string" && ("content" in value || "tool_calls" in value);

// The messages of a value that is, or has, a list of them.
function messagesOf(value) {
  const list = Array.isArray(value) ? value : Array.isArray(value?.messages) ? value.messages : null;
  const inner = list?.length === 1 && Array.isArray(list[0]) ? list[0] : list;
  return inner?.length && inner.every(isMessage) ? inner : null;
}

function image(url) {
  return IMAGE.test(url) ? h("img", { src: url, alt: "image in the trace", class: "picture" }) : null;
}

// The content of a message: a text, or parts.
function contentOf(content, quotes) {
  if (typeof content === "string") return content ? foldable(content, quotes) : null;
  if (!Array.isArray(content)) return content === null || content === undefined ? null : valueOf(content, quotes);
  return content.map((part) => {
    if (typeof part === "string") return foldable(part, quotes);
    const url = part?.image_url?.url ?? part?.image_url;
    if (typeof url === "string") return image(url) ?? h("p", { class: "quiet" }, "image: ", own(clip(url, 200)));
    return typeof part?.text === "string" ? foldable(part.text, quotes) : valueOf(part, quotes);
  });
}

function turn(role, ...children) {
  return h("div", { class: `turn ${["user", "human"].includes(role) ? "user" : "other"}` }, h("p", { class: "role" }, own(role)), ...children);
}

function turns(messages, quotes) {
  return messages.map((message) => turn(String(message.role ?? message.type), contentOf(message.content, quotes),
    (Array.isArray(message.tool_calls) ? message.tool_calls : []).map((call) => {
      const called = call?.function ?? call ?? {};
      return h("div", { class: "call" }, h("p", {}, h("span", { class: "quiet" }, "calls "), own(String(called.name ?? "?"), { class: "code" })), argumentsOf(called.arguments ?? called.args, quotes));
    })));
}

function argumentsOf(value, quotes) {
  if (typeof value === "string") {
    try {
      const parsed = JSON.parse(value);
      if (isObject(parsed)) return valueOf(parsed, quotes);
    } catch { /* a text like any other */ }
  }
  return value === undefined ? null : valueOf(value, quotes);
}

// Any value: a text, turns, names with values, or JSON.
function valueOf(value, quotes, depth = 0) {
  if (typeof value === "string") return image(value) ?? foldable(value, quotes);
  const messages = messagesOf(value);
  if (messages) {
    const rest = isObject(value) ? Object.entries(value).filter(([key]) => key !== "messages") : [];
    return [turns(messages, quotes), rest.length ? valueOf(Object.fromEntries(rest), quotes, depth) : null];
  }
  if (isMessage(value)) return turns([value], quotes);
  if (isObject(value) && Object.keys(value).length && depth < 2) {
    return h("dl", { class: "fields" }, Object.entries(value).map(([key, inner]) => [h("dt", {}, own(key)), h("dd", {}, valueOf(inner, quotes, depth + 1))]));
  }
  if (value === null || typeof value !== "object") return h("p", { class: "text code" }, JSON.stringify(value) ?? "");
  return json(value, quotes);
}

const json = (value, quotes) => foldableCode(JSON.stringify(value, null, 2), quotes);

function foldableCode(text, quotes) {
  const block = foldable("", []);
  block.replaceChildren(h("pre", { class: "code-block" }, marked(text, quotes)));
  if (text.split("\n", LONG_LINES + 2).length <= LONG_LINES + 1 && text.length < LONG_LINES * 110) return block;
  return h("details", { class: "json" }, h("summary", {}, `JSON, ${count(text.length)} characters`), block);
}

// Only the one text of inputs or outputs, where they say nothing else.
function soleText(value) {
  if (typeof value === "string") return value;
  if (isObject(value)) {
    const inner = Object.values(value);
    if (inner.length === 1) return soleText(inner[0]);
  }
  return null;
}
