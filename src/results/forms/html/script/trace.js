// One trace: on the left what happened, on the right the feedback.

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
  const left = detail.trace ? happened(detail, quotes) : withoutDataset();
  const raw = h("div", { class: "raw", hidden: true });
  const rawButton = h("button", { type: "button", "aria-pressed": "false", "data-key": "r", click: () => {
    raw.hidden = !raw.hidden;
    left.hidden = !raw.hidden;
    if (!raw.hasChildNodes()) append(raw, [h("pre", { class: "code-block" }, JSON.stringify({ trace_id: id, ...(detail.trace ?? {}) }, null, 2))]);
    rawButton.setAttribute("aria-pressed", String(!raw.hidden));
  } }, "Raw JSON ", h("kbd", {}, "r"));
  const right = h("div", { class: "said" }, h("h2", { class: "column-title" }, "Feedback"), rows.map((row, i) => feedbackCard(row, detail.feedback?.[i] ?? {})));
  const page = [
    h("nav", { class: "trace-nav", "aria-label": "Traces" }, back, h("span", { class: "steps" },
      step(near.before, "← previous", "ArrowLeft"), near.at === undefined ? null : h("span", { class: "quiet n" }, `${count(near.at + 1)} of ${count(near.all)}`), step(near.after, "next →", "ArrowRight")), rawButton),
    traceHead(detail, index, rows),
    h("div", { class: "trace-page" }, h("div", { class: "happened" }, h("h2", { class: "column-title" }, "Trace"), left, raw), right),
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

const withoutDataset = () => h("p", { class: "empty" }, "The log contains only feedback. To see the trace here, make the page with its dataset: ", h("code", {}, "judge-run report LOG -d DATASET -o page.html"), ".");

// Feedback

function feedbackCard(row, detail) {
  const source = sources[J.source[row]];
  const outcome = outcomeOf(row);
  const rationale = J.rationale[row];
  const metadata = Object.entries(detail.metadata ?? {});
  const code = codeOf(row);
  const about = code && data.codes[J.code[row]];
  const flip = comparisons.filter((c) => c.name === source.name && c.source_id === source.source_id).flatMap((c) => c.flips)
    .find((f) => f.trace_id === T.id[J.trace[row]] && (f.span_id ?? null) === (J.span[row] ?? null) && (f.document_index ?? null) === (J.document[row] ?? null));
  return h("article", { class: `card feedback ${outcome.tone}` },
    h("h3", {}, own(source.name), h("span", { class: "badge" }, WHO[source.source_type] ?? "unknown source")),
    source.source_id ? h("p", { class: "quiet small" }, own(source.source_id)) : null,
    J.span[row] ? h("p", { class: "quiet small" }, "about the span ", own(J.span[row]), J.document[row] === undefined ? null : `, document ${J.document[row] + 1}`) : null,
    h("p", {}, h("span", { class: `verdict big ${outcome.tone}` }, sign(outcome), own(verdictText(row) || "null")), h("span", { class: "quiet small" }, ` ${outcome.word}${detail.time_ms ? ` · ${moment(detail.time_ms)}` : ""}`)),
    about?.meaning ? h("p", { class: "small" }, sentence(about.meaning), about.remedy ? [" ", h("span", { class: "quiet" }, "Remedy: "), `${about.remedy}.`] : null) : null,
    rationale ? h("div", { class: "rationale" }, foldable(rationale, [])) : null,
    detail.rationale_cut ? h("p", { class: "quiet small" }, `${count(detail.rationale_cut)} more characters are in the log.`) : null,
    flip ? h("details", { class: "was" }, h("summary", {}, "Baseline said ", own(valueText(flip.base))), flip.base_rationale ? foldable(flip.base_rationale, [], 5) : h("p", { class: "quiet small" }, "without a rationale")) : null,
    detail.history?.length ? h("details", {}, h("summary", {}, `History: ${counted(detail.history.length, "earlier record")}`), h("ol", { class: "history" }, detail.history.map((entry) =>
      h("li", {}, h("span", { class: "quiet n" }, moment(entry.time_ms)), " ", own(entry.by ?? ""), " ", own(entry.code ?? valueText(entry.value), { class: "strong" }), entry.valid === false ? " rejected" : "", entry.rationale ? h("p", { class: "quiet small" }, own(clip(entry.rationale, 300))) : null)))) : null,
    metadata.length ? h("details", {}, h("summary", {}, "Metadata"), h("dl", { class: "facts small" }, metadata.map(([key, value]) => [h("dt", {}, own(key)), h("dd", {}, own(clip(String(value), 2000)))]))) : null);
}
