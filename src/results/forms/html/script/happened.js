// What happened in a trace: input, output, documents, tools, spans; and what a rationale quotes of it.

// The quoted parts of a rationale, in lower case.
const QUOTED = /["“„«]([^"“”„«»\n]{8,400})["”“»]|(?:^|[\s(:])['‘`]([^'’`\n]{8,400})['’`]/g;
const quotesIn = (text) => [...text.matchAll(QUOTED)].slice(0, 20).map((found) => (found[1] ?? found[2]).trim().toLowerCase());

function part(title, ...children) {
  return children.flat().some(Boolean) ? h("section", { class: "part" }, h("h3", {}, title), ...children) : null;
}

// `aboutSpan` makes what is shown below the content of a span.
function happened(detail, quotes, aboutSpan) {
  const { trace } = detail;
  const spans = trace.spans ?? [];
  const asked = soleText(trace.inputs);
  const answered = soleText(trace.outputs);
  return h("div", {},
    detail.cut ? h("p", { class: "warning small" }, `Long texts are cut on this page, by ${count(detail.cut)} characters in all. The dataset has the full texts.`) : null,
    trace.inputs === undefined ? null : part("Input", asked === null ? valueOf(trace.inputs, quotes) : turn("user", foldable(asked, quotes))),
    trace.outputs === undefined ? null : part("Output", answered === null ? valueOf(trace.outputs, quotes) : turn("assistant", foldable(answered, quotes))),
    Object.keys(trace.expectations ?? {}).length ? part("Expected", valueOf(trace.expectations, quotes)) : null,
    documentsOf(spans, quotes), toolsOf(spans, quotes), spansOf(spans, quotes, aboutSpan),
    detail.spans_left_out ? h("p", { class: "quiet small" }, `${counted(detail.spans_left_out, "more span")} ${detail.spans_left_out === 1 ? "is" : "are"} not on this page.`) : null);
}

// Documents

const TEXT_KEYS = ["page_content", "content", "text", "pageContent", "document.content", "snippet", "chunk_text", "passage", "body"];
const INSIDE_KEYS = ["document", "documents", "docs", "chunks", "contexts", "context", "passages", "results", "matches", "hits", "nodes", "source_nodes", "node", "payload", "_source", "kwargs", "items", "data", "output", "outputs"];
const TITLE_KEYS = ["title", "name", "doc_title"];
const ADDRESS_KEYS = ["doc_uri", "url", "uri", "source", "path", "id", "doc_id", "chunk_id"];

function documentsIn(value, found = [], depth = 0) {
  if (typeof value === "string") found.push({ text: value, of: {} });
  else if (Array.isArray(value)) value.forEach((inner) => documentsIn(inner, found, depth + 1));
  else if (isObject(value) && depth < 8) {
    const key = TEXT_KEYS.find((name) => typeof value[name] === "string");
    if (key) found.push({ text: value[key], of: { ...value, ...(isObject(value.metadata) ? value.metadata : {}) } });
    else {
      const inside = INSIDE_KEYS.find((name) => value[name] !== null && typeof value[name] === "object");
      if (inside) documentsIn(value[inside], found, depth + 1);
      else found.push({ text: JSON.stringify(value), of: {} });
    }
  }
  return found;
}

function documentsOf(spans, quotes) {
  const documents = spans.filter((span) => span.span_type === "RETRIEVER").flatMap((span) => documentsIn(span.outputs));
  if (!documents.length) return null;
  const first = (of, keys) => keys.map((key) => of[key]).find((value) => typeof value === "string" && value);
  return part(counted(documents.length, "document"), h("ol", { class: "documents" }, documents.map(({ text, of }) => {
    const [title, place] = [first(of, TITLE_KEYS), first(of, ADDRESS_KEYS)];
    return h("li", {}, title || place ? h("p", { class: "quiet small" }, title ? own(title, { class: "strong" }) : null, title && place ? " · " : "", place ? own(place) : null) : null, foldable(text, quotes, 5));
  })));
}

// Tools and spans

const lasted = (span) => (span.start_time_unix_nano !== undefined && span.end_time_unix_nano !== undefined ? (Number(span.end_time_unix_nano) - Number(span.start_time_unix_nano)) / 1e6 : null);
const statusOf = (span) => (span.status === "ERROR" ? h("span", { class: "verdict bad" }, "✗ error") : null);

function toolsOf(spans, quotes) {
  const tools = spans.filter((span) => span.span_type === "TOOL");
  if (!tools.length) return null;
  return part(counted(tools.length, "tool call"), tools.map((span) => h("div", { class: "call" },
    h("p", {}, own(span.name, { class: "code strong" }), " ", statusOf(span), lasted(span) === null ? null : h("span", { class: "quiet small" }, ` ${duration(lasted(span))}`)),
    span.inputs === undefined ? null : argumentsOf(span.inputs, quotes),
    span.outputs === undefined ? null : h("div", { class: "result" }, h("p", { class: "quiet small" }, "result"), valueOf(span.outputs, quotes, 1)),
    span.status_message ? h("p", { class: "bad" }, own(span.status_message)) : null)));
}

function spansOf(spans, quotes, aboutSpan) {
  if (!spans.length) return null;
  const ids = new Set(spans.map((span) => span.span_id));
  const children = new Map();
  for (const span of spans) {
    const parent = ids.has(span.parent_id) && span.parent_id !== span.span_id ? span.parent_id : null;
    children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const starts = spans.map((span) => Number(span.start_time_unix_nano)).filter(Number.isFinite);
  const ends = spans.map((span) => Number(span.end_time_unix_nano)).filter(Number.isFinite);
  const [from, to] = [Math.min(...starts), Math.max(...ends)];
  const seen = new Set();
  const tree = (parent, depth) => (children.get(parent) ?? []).filter((span) => !seen.has(span) && seen.add(span)).map((span) => {
    const ms = lasted(span);
    const time = ms !== null && to > from ? svg("svg", { class: "plot time", width: "100%", height: 8, "aria-hidden": "true" },
      svg("rect", { class: `part ${span.status === "ERROR" ? "bad" : "accent"}`, y: 0, height: 8, x: across((Number(span.start_time_unix_nano) - from) / (to - from)), width: across(Math.max(0.004, (ms * 1e6) / (to - from))) })) : null;
    const inner = depth < 40 ? tree(span.span_id, depth + 1) : [];
    const body = h("div", { class: "span-body" });
    return h("li", {}, h("details", { toggle: (event) => {
      if (event.target.open && !body.hasChildNodes()) {
        append(body, [span.status_message ? h("p", { class: "bad" }, own(span.status_message)) : null,
          ...["inputs", "outputs", "attributes"].filter((key) => span[key] !== undefined).map((key) => [h("p", { class: "quiet small" }, key), valueOf(span[key], quotes, 1)]), aboutSpan?.(span)]);
      }
    } }, h("summary", {}, h("span", { class: "span-line" }, h("span", { class: "span-name" }, own(span.name), " ", h("span", { class: "quiet small" }, span.span_type.toLowerCase()), " ", statusOf(span)), time ?? h("span"), h("span", { class: "n quiet small" }, ms === null ? "" : duration(ms)))), body),
    inner.length ? h("ul", {}, inner) : null);
  });
  return part(counted(spans.length, "span"), h("ul", { class: "spans" }, tree(null, 0)));
}

// A quotation in a rationale links to its place.
function linkQuotes(left, right) {
  for (const element of right.querySelectorAll(".rationale .text")) {
    for (const node of [...element.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE)) {
      const text = node.data;
      const parts = [];
      let from = 0;
      for (const found of text.matchAll(QUOTED)) {
        const quote = (found[1] ?? found[2]).trim();
        const target = [...left.querySelectorAll("mark")].find((mark) => mark.dataset.quote === quote.toLowerCase());
        const at = text.indexOf(quote, found.index);
        if (!target || at < from) continue;
        parts.push(text.slice(from, at), quoteLink(quote, target));
        from = at + quote.length;
      }
      if (parts.length) node.replaceWith(...parts, text.slice(from));
    }
  }
}

// Not a button, which no line break goes through.
function quoteLink(quote, target) {
  const go = () => showMark(target);
  const press = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); } };
  return h("span", { role: "button", tabindex: "0", class: "quote", title: "Show where this is", click: go, keydown: press }, quote);
}

function showMark(target) {
  for (let element = target; element; element = element.parentElement) {
    if (element.tagName === "DETAILS") element.open = true;
    if (element.classList.contains("fold") && !element.classList.contains("open")) element.nextElementSibling?.click();
  }
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}
