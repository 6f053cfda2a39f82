// The table of judgments. Of any number of rows, only those in sight are in the document.

const indexOfTrace = new Map(T.id.map((id, i) => [id, i]));
const ROW = 44;
const ROW_NARROW = 92;
const narrow = matchMedia("(max-width: 719px)");
const rowHeight = () => (narrow.matches ? ROW_NARROW : ROW);

const flipped = new Set(comparisons.flatMap((c) => c.flips.map((flip) => JSON.stringify([c.name, c.source_id, flip.trace_id, flip.span_id ?? null, flip.document_index ?? null]))));
const isFlipped = (row) => {
  const { name, source_id } = sources[J.source[row]];
  return flipped.has(JSON.stringify([name, source_id, T.id[J.trace[row]], J.span[row] ?? null, J.document[row] ?? null]));
};
const all = J.trace.map((_, row) => row);
const flipRows = flipped.size ? new Set(all.filter(isFlipped)) : new Set();

// Columns, and what each is sorted by.
const number = (x) => x ?? -Infinity;
const COLUMNS = {
  trace: { title: "Trace", key: (row) => J.trace[row], rising: true },
  judge: { title: "Judge", key: (row) => J.source[row], rising: true },
  verdict: { title: "Verdict", key: (row) => J.outcome[row] * 1e6 + (typeof J.value[row] === "number" ? J.value[row] : 0), rising: true },
  rationale: { title: "Rationale" },
  tokens: { title: "Tokens", key: (row) => number(J.tokens[row]), class: "n" },
  latency: { title: "Latency", key: (row) => number(J.latency_ms[row]), class: "n" },
};

// What a search looks through, made when it is first needed.
let haystack = null;
function makeHaystack() {
  const ofTrace = T.id.map((id, i) => `${id}\n${T.title[i] ?? ""}\n${T.session[i] ?? ""}`);
  haystack = all.map((row) => `${ofTrace[J.trace[row]]}\n${nameOf(row)}\n${verdictText(row)}\n${J.rationale[row] ?? ""}`.toLowerCase());
}

let sorted = all;
let sortedBy = "verdict";
let shown = all;

function sortBy(sort) {
  if (sort === sortedBy && sorted !== all) return;
  const falls = sort.startsWith("-");
  const { key } = COLUMNS[falls ? sort.slice(1) : sort] ?? COLUMNS.verdict;
  const keys = all.map(key);
  sorted = [...all].sort((a, b) => (falls ? keys[b] - keys[a] : keys[a] - keys[b]) || a - b);
  sortedBy = sort;
}

function filter() {
  sortBy(state.sort || "verdict");
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length && !haystack) makeHaystack();
  const judges = new Set([...state.judge].map(Number));
  const outcomes = new Set([...state.outcome].map((key) => OUTCOMES.findIndex((o) => o.key === key)));
  const onlyFlipped = state.outcome.has("flipped");
  outcomes.delete(-1);
  const codes = new Set([...state.code].map((name) => data.codes.findIndex(({ code }) => code === name)));
  const slices = [...state.slice].map(([by, value]) => {
    const slice = data.slices.find((s) => s.by === by);
    return slice && { of: slice.of, value: slice.values.indexOf(value) };
  }).filter(Boolean);
  shown = sorted.filter((row) =>
    (!judges.size || judges.has(J.source[row])) && (!outcomes.size || outcomes.has(J.outcome[row])) && (!onlyFlipped || flipRows.has(row)) &&
    (!codes.size || codes.has(J.code[row])) && slices.every((s) => s.of[row] === s.value) &&
    words.every((word) => haystack[row].includes(word)));
}

// The document's part

const view = {};

function tableSection() {
  view.search = h("input", {
    id: "search", type: "search", placeholder: "Search traces, verdicts, rationales", "aria-label": "Search judgments", autocomplete: "off", spellcheck: "false",
    input: () => adjust({ q: view.search.value }),
  });
  view.chips = h("div", { class: "chips" });
  view.found = h("p", { class: "found", role: "status" });
  view.body = h("div", { class: "rows", role: "rowgroup" });
  view.head = h("div", { class: "row head", role: "row", "aria-rowindex": "1" });
  view.space = h("div", { class: "space", role: "presentation" }, view.body);
  view.table = h("div", { class: "table", role: "table", "aria-label": "Judgments" }, h("div", { role: "rowgroup", class: "head-group" }, view.head), view.space);
  view.scroller = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Judgments, scrollable", scroll: later(renderRows), keydown: moveInTable }, view.table);
  narrow.addEventListener("change", () => renderRows(true));
  addEventListener("resize", later(renderRows));
  return section("judgments", "Judgments", h("div", { class: "filters" }, view.search, view.found), view.chips, view.scroller,
    data.left_out ? h("p", { class: "quiet small" }, `${counted(data.left_out, "more judgment")} in the log ${data.left_out === 1 ? "is" : "are"} counted above and not listed here.`) : null);
}

function later(work) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; work(); });
  };
}

function renderHead() {
  view.head.replaceChildren(...Object.entries(COLUMNS).map(([name, column]) => {
    const order = sortedBy === name ? "ascending" : sortedBy === `-${name}` ? "descending" : "none";
    const next = order === "none" ? (column.rising ? name : `-${name}`) : order === "ascending" ? `-${name}` : name;
    const arrow = order === "none" ? "" : order === "ascending" ? " ↑" : " ↓";
    return h("div", { role: "columnheader", class: `cell ${name} ${column.class ?? ""}`, "aria-sort": column.key ? order : undefined },
      column.key ? h("button", { type: "button", class: "sort", click: () => { adjust({ sort: next }); view.head.querySelector(`.${name} button`)?.focus(); } }, column.title, h("span", { "aria-hidden": "true" }, arrow)) : column.title);
  }));
}

let drawn = "";

function renderRows(anew = false) {
  if (!view.scroller?.isConnected) return;
  const height = rowHeight();
  const from = Math.max(0, Math.floor(view.scroller.scrollTop / height) - 8);
  const to = Math.min(shown.length, from + Math.ceil(view.scroller.clientHeight / height) + 16);
  view.space.style.height = `${shown.length * height}px`;
  if (!anew && drawn === `${from} ${to}`) return;
  drawn = `${from} ${to}`;
  const focused = document.activeElement?.closest?.(".row")?.dataset.at;
  view.body.style.transform = `translateY(${from * height}px)`;
  view.body.replaceChildren(...shown.slice(from, to).map((row, i) => rowOf(row, from + i)));
  if (focused !== undefined) view.body.querySelector(`[data-at="${focused}"] a`)?.focus({ preventScroll: true });
}

function rowOf(row, at) {
  const trace = J.trace[row];
  const outcome = outcomeOf(row);
  const cell = (name, className, ...children) => h("div", { role: "cell", class: `cell ${name} ${className}` }, ...children);
  const title = T.title[trace] || T.id[trace];
  return h("div", { class: "row", role: "row", "aria-rowindex": at + 2, "data-at": at },
    cell("trace", "", h("a", { href: address({ trace: T.id[trace] }), title: visible(T.id[trace]) }, own(title)),
      T.title[trace] || J.span[row] ? h("span", { class: "quiet id" }, T.title[trace] ? own(T.id[trace]) : null, J.span[row] ? [" span ", own(J.span[row]), J.document[row] === undefined ? null : ` document ${J.document[row] + 1}`] : null) : null),
    cell("judge", "", own(nameOf(row))),
    cell("verdict", outcome.tone, sign(outcome), h("span", { class: "hidden" }, `${outcome.word}: `), own(clip(verdictText(row), 60)), flipRows.has(row) ? h("span", { class: "badge", title: "changed since the baseline" }, "flipped") : null),
    cell("rationale", "quiet", own(firstLine(J.rationale[row] ?? ""))),
    cell("tokens", "n quiet", J.tokens[row] === null ? "" : count(J.tokens[row])),
    cell("latency", "n quiet", J.latency_ms[row] === null ? "" : duration(J.latency_ms[row])));
}

function moveInTable(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const at = event.target.closest(".row")?.dataset.at;
  if (!by || at === undefined) return;
  event.preventDefault();
  const next = Math.min(shown.length - 1, Math.max(0, Number(at) + by));
  const top = next * rowHeight();
  const { scrollTop, clientHeight } = view.scroller;
  if (top < scrollTop) view.scroller.scrollTop = top;
  if (top + 2 * rowHeight() > scrollTop + clientHeight) view.scroller.scrollTop = top + 2 * rowHeight() - clientHeight;
  renderRows(true);
  view.body.querySelector(`[data-at="${next}"] a`)?.focus({ preventScroll: true });
}

function chip(name, value, label, n, tone) {
  return h("button", { type: "button", class: `chip ${tone ?? ""}`, "aria-pressed": String(state[name].has(value)), "data-chip": `${name} ${value}`, click: () => toggle(name, value) }, label, h("span", { class: "n" }, ` ${count(n)}`));
}

// How many judgments each chip selects, whatever else is chosen.
const tallyOf = (column) => {
  const tally = new Map();
  for (const value of column) tally.set(value, (tally.get(value) ?? 0) + 1);
  return tally;
};
const tallies = { outcome: tallyOf(J.outcome), source: tallyOf(J.source), code: tallyOf(J.code) };

function renderChips() {
  const focused = document.activeElement?.dataset?.chip;
  const group = (label, chips) => (chips.length ? h("div", { class: "group", role: "group", "aria-label": label }, h("span", { class: "quiet small" }, label), chips) : null);
  const outcomes = OUTCOMES.map((outcome, i) => tallies.outcome.has(i) && chip("outcome", outcome.key, [sign(outcome), " ", outcome.word], tallies.outcome.get(i), outcome.tone)).filter(Boolean);
  if (flipRows.size) outcomes.push(chip("outcome", "flipped", "flipped", flipRows.size));
  const judges = sources.map((source, i) => tallies.source.has(i) && chip("judge", String(i), own(labelOf(source)), tallies.source.get(i))).filter(Boolean);
  const codes = data.codes.map(({ code }, i) => tallies.code.has(i) && chip("code", code, own(code), tallies.code.get(i))).filter(Boolean);
  const slices = data.slices.map((slice) => {
    const select = h("select", {
      change: () => {
        const next = new Map(state.slice);
        if (select.selectedIndex > 0) next.set(slice.by, slice.values[select.selectedIndex - 1]);
        else next.delete(slice.by);
        adjust({ slice: next });
      },
      "data-chip": `slice ${slice.by}`,
    }, h("option", {}, "all"), slice.values.map((value) => h("option", { selected: state.slice.get(slice.by) === value }, value)));
    return h("label", { class: "slice" }, h("span", { class: "quiet small" }, own(slice.by)), " ", select);
  });
  const clear = isFiltered() ? h("button", { type: "button", class: "chip clear", click: () => { adjust(unfiltered()); view.search.focus(); } }, "Clear all") : null;
  view.chips.replaceChildren(...[group("Outcome", outcomes), judges.length > 1 ? group("Judge", judges) : null, group("Failure", codes), group("Slice", slices), clear].filter(Boolean));
  if (focused) [...view.chips.querySelectorAll("[data-chip]")].find((element) => element.dataset.chip === focused)?.focus();
}

function refreshTable(keepsPlace = false) {
  if (!view.scroller?.isConnected) return;
  filter();
  if (view.search.value !== state.q) view.search.value = state.q;
  const every = shown.length === all.length;
  view.found.textContent = every ? `${counted(all.length, "judgment")}` : `${count(shown.length)} of ${counted(all.length, "judgment")}`;
  view.table.setAttribute("aria-rowcount", shown.length + 1);
  if (!keepsPlace) view.scroller.scrollTop = 0;
  renderChips();
  renderHead();
  renderRows(true);
}
