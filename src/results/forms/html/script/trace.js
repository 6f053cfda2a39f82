// One trace: on the left what happened, on the right what was said of it.

const parsed = new Map();

// Details come in blocks of many traces, which are parsed when one of them is looked at.
function detailOf(index) {
  const number = Math.floor(index / data.traces_per_block);
  if (!parsed.has(number)) {
    if (parsed.size > 3) parsed.delete(parsed.keys().next().value);
    parsed.set(number, document.getElementById(`traces-${number}`) ? block(`traces-${number}`) : []);
  }
  return parsed.get(number)[index % data.traces_per_block] ?? {};
}

// What stands in quotation marks in a rationale, in lower case.
const QUOTED = /["“„«]([^"“”„«»\n]{8,400})["”“»]|(?:^|[\s(:])['‘`]([^'’`\n]{8,400})['’`]/g;
const quotesIn = (text) => [...text.matchAll(QUOTED)].slice(0, 20).map((found) => (found[1] ?? found[2]).trim().toLowerCase());

let rowsOfTrace = null;
function rowsOf(index) {
  if (!rowsOfTrace) {
    rowsOfTrace = T.id.map(() => []);
    all.forEach((row) => rowsOfTrace[J.trace[row]].push(row));
  }
  return rowsOfTrace[index];
}

// The traces of the present view, in its order, to go through them.
function neighbours(index) {
  filter();
  const order = [...new Set(shown.map((row) => J.trace[row]))];
  const at = order.indexOf(index);
  return at < 0 ? {} : { at, all: order.length, before: order[at - 1], after: order[at + 1] };
}

function tracePage(id) {
  const index = indexOfTrace.get(id);
  const back = h("a", { href: address({ trace: null }), class: "back", "data-to": "judgments" }, "← All judgments");
  if (index === undefined) return [h("nav", { class: "trace-nav" }, back), h("p", { class: "empty" }, "No judgment on this page is about the trace ", own(id), ".")];
  const detail = detailOf(index);
  const rows = rowsOf(index);
  const quotes = rows.flatMap((row) => quotesIn(J.rationale[row] ?? ""));
  const near = neighbours(index);
  const step = (to, label, key) => (to === undefined ? h("span", { class: "quiet" }, label) : h("a", { href: address({ trace: T.id[to] }), "data-key": key, "aria-keyshortcuts": key }, label));
  const left = happened(detail, index, quotes);
  const raw = h("div", { class: "raw", hidden: true });
  const rawButton = h("button", { type: "button", "aria-pressed": "false", "data-key": "r", click: () => {
    raw.hidden = !raw.hidden;
    left.hidden = !raw.hidden;
    if (!raw.hasChildNodes()) append(raw, [h("pre", { class: "code-block" }, JSON.stringify({ trace_id: id, ...(detail.trace ?? {}) }, null, 2))]);
    rawButton.setAttribute("aria-pressed", String(!raw.hidden));
  } }, "Raw JSON ", h("kbd", {}, "r"));
  const right = h("div", { class: "said" }, h("h2", { class: "column-title" }, "What was said of it"), rows.map((row, i) => feedbackCard(row, detail.feedback?.[i] ?? {})));
  const page = [
    h("nav", { class: "trace-nav", "aria-label": "Traces" }, back, h("span", { class: "steps" },
      step(near.before, "← previous", "ArrowLeft"), near.at === undefined ? null : h("span", { class: "quiet n" }, `${count(near.at + 1)} of ${count(near.all)}`), step(near.after, "next →", "ArrowRight")), rawButton),
    traceHead(detail, index, rows),
    h("div", { class: "trace-page" }, h("div", { class: "happened" }, h("h2", { class: "column-title" }, "What happened"), left, raw), right),
  ];
  linkQuotes(left, right);
  return page;
}

function traceHead(detail, index, rows) {
  const trace = detail.trace ?? {};
  const facts = [
    own(T.id[index], { class: "code" }),
    T.session[index] ? h("span", {}, "session ", h("a", { href: address({ ...unfiltered(), q: T.session[index] }), "data-to": "judgments" }, own(T.session[index]))) : null,
    trace.user ? h("span", {}, "user ", own(trace.user)) : null,
    trace.state && trace.state !== "STATE_UNSPECIFIED" ? h("span", { class: trace.state === "ERROR" ? "bad" : "" }, trace.state) : null,
    trace.request_time_ms !== undefined ? moment(trace.request_time_ms) : null,
    trace.execution_duration_ms !== undefined ? duration(trace.execution_duration_ms) : null,
    trace.token_usage ? `${count(trace.token_usage.total_tokens)} tokens` : null,
  ].filter(Boolean);
  const tags = Object.entries(trace.tags ?? {}).filter(([key]) => !key.startsWith("mlflow."));
  return h("div", { class: "trace-head" },
    h("h1", { tabindex: "-1", id: "trace-title" }, own(T.title[index] || T.id[index])),
    h("p", { class: "quiet small facts-line" }, facts.map((fact) => h("span", {}, fact))),
    tags.length ? h("p", { class: "tags" }, tags.map(([key, value]) => own(`${key}: ${value}`, { class: "tag" }))) : null,
    h("p", { class: "verdicts" }, rows.slice(0, 12).map((row) => h("span", { class: `verdict ${outcomeOf(row).tone}` }, sign(outcomeOf(row)), own(nameOf(row)), " ", own(clip(verdictText(row), 40))))));
}

function part(title, ...children) {
  return children.flat().some(Boolean) ? h("section", { class: "part" }, h("h3", {}, title), ...children) : null;
}

function happened(detail, index, quotes) {
  const { trace } = detail;
  if (!trace) return h("p", { class: "empty" }, "The log holds only what was said. To see the trace here, make the page with its dataset: ", h("code", {}, "judge-run report LOG -d DATASET -o page.html"), ".");
  const spans = trace.spans ?? [];
  const asked = soleText(trace.inputs);
  const answered = soleText(trace.outputs);
  return h("div", {},
    detail.cut ? h("p", { class: "warning small" }, `Long texts are cut on this page, by ${count(detail.cut)} characters in all. The dataset has them whole.`) : null,
    trace.inputs === undefined ? null : part("Input", asked === null ? valueOf(trace.inputs, quotes) : turn("user", foldable(asked, quotes))),
    trace.outputs === undefined ? null : part("Output", answered === null ? valueOf(trace.outputs, quotes) : turn("assistant", foldable(answered, quotes))),
    Object.keys(trace.expectations ?? {}).length ? part("Expected", valueOf(trace.expectations, quotes)) : null,
    documentsOf(spans, quotes), toolsOf(spans, quotes), spansOf(spans, quotes),
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

function spansOf(spans, quotes) {
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
          ...["inputs", "outputs", "attributes"].filter((key) => span[key] !== undefined).map((key) => [h("p", { class: "quiet small" }, key), valueOf(span[key], quotes, 1)])]);
      }
    } }, h("summary", {}, h("span", { class: "span-line" }, h("span", { class: "span-name" }, own(span.name), " ", h("span", { class: "quiet small" }, span.span_type.toLowerCase()), " ", statusOf(span)), time ?? h("span"), h("span", { class: "n quiet small" }, ms === null ? "" : duration(ms)))), body),
    inner.length ? h("ul", {}, inner) : null);
  });
  return part(counted(spans.length, "span"), h("ul", { class: "spans" }, tree(null, 0)));
}

// Feedback

function feedbackCard(row, detail) {
  const source = sources[J.source[row]];
  const outcome = outcomeOf(row);
  const rationale = J.rationale[row];
  const metadata = Object.entries(detail.metadata ?? {});
  const code = codeOf(row);
  const about = code && data.codes[J.code[row]];
  const flip = comparisons.filter((c) => c.name === source.name && c.source_id === source.source_id).flatMap((c) => c.flips)
    .find((f) => f.trace_id === T.id[J.trace[row]] && (f.span_id ?? null) === (J.span[row] ?? null));
  return h("article", { class: `card feedback ${outcome.tone}` },
    h("h3", {}, own(source.name), h("span", { class: "badge" }, WHO[source.source_type] ?? "unknown source")),
    source.source_id ? h("p", { class: "quiet small" }, own(source.source_id)) : null,
    J.span[row] ? h("p", { class: "quiet small" }, "about the span ", own(J.span[row])) : null,
    h("p", {}, h("span", { class: `verdict big ${outcome.tone}` }, sign(outcome), own(verdictText(row) || "null")), h("span", { class: "quiet small" }, ` ${outcome.word}${detail.time_ms ? ` · ${moment(detail.time_ms)}` : ""}`)),
    about?.meaning ? h("p", { class: "small" }, sentence(about.meaning), about.remedy ? [" ", h("span", { class: "quiet" }, "Remedy: "), `${about.remedy}.`] : null) : null,
    rationale ? h("div", { class: "rationale" }, foldable(rationale, [])) : null,
    detail.rationale_cut ? h("p", { class: "quiet small" }, `${count(detail.rationale_cut)} more characters are in the log.`) : null,
    flip ? h("details", { class: "was" }, h("summary", {}, "Baseline said ", own(valueText(flip.base))), flip.base_rationale ? foldable(flip.base_rationale, [], 5) : h("p", { class: "quiet small" }, "without a rationale")) : null,
    detail.history?.length ? h("details", {}, h("summary", {}, `History: ${counted(detail.history.length, "earlier record")}`), h("ol", { class: "history" }, detail.history.map((entry) =>
      h("li", {}, h("span", { class: "quiet n" }, moment(entry.time_ms)), " ", own(entry.by ?? ""), " ", own(entry.code ?? valueText(entry.value), { class: "strong" }), entry.valid === false ? " rejected" : "", entry.rationale ? h("p", { class: "quiet small" }, own(clip(entry.rationale, 300))) : null)))) : null,
    metadata.length ? h("details", {}, h("summary", {}, "Metadata"), h("dl", { class: "facts small" }, metadata.map(([key, value]) => [h("dt", {}, own(key)), h("dd", {}, own(clip(String(value), 2000)))]))) : null);
}

// What a rationale quotes leads to where it stands.
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
  return h("span", { role: "button", tabindex: "0", class: "quote", title: "Show where this stands", click: go, keydown: press }, quote);
}

function showMark(target) {
  for (let element = target; element; element = element.parentElement) {
    if (element.tagName === "DETAILS") element.open = true;
    if (element.classList.contains("fold") && !element.classList.contains("open")) element.nextElementSibling?.click();
  }
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}
