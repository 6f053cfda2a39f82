// What this window knows: who reviews, what is typed and not saved yet, what can be undone, how fast it goes; and how it asks the server.

const boot = block("boot");
const WHO = { LLM_JUDGE: "model", HUMAN: "person", CODE: "program" };

// A browser may refuse to keep anything; then a draft lasts as long as the window.
function kept(storage, name, otherwise) {
  const key = `judge-run review ${boot.log} ${name}`;
  let value = otherwise;
  try { value = JSON.parse(storage.getItem(key)) ?? otherwise; } catch { /* nothing is kept */ }
  return {
    get: () => value,
    set: (next) => {
      value = next;
      try {
        if (next === null) storage.removeItem(key);
        else storage.setItem(key, JSON.stringify(next));
      } catch { /* nothing is kept */ }
    },
  };
}

const storageOf = (name) => { try { return window[name]; } catch { return { getItem: () => null, setItem() {}, removeItem() {} }; } };
const [here, always] = [storageOf("sessionStorage"), storageOf("localStorage")];
const annotator = kept(always, "annotator", boot.annotator ?? "");
if (boot.annotator) annotator.set(boot.annotator);
const letters = kept(always, "letters", true);
const undoable = kept(here, "undoable", []);
const times = kept(here, "times", []);
const draftOf = (traceId) => kept(always, `draft ${annotator.get()} ${traceId}`, null);

const state = { item: null, active: 0, choices: [], spans: [], comment: "", problem: null, saving: false, revealed: false };

class Problem extends Error {
  constructor(kind, message) { super(message); this.kind = kind; }
}

async function ask(path, sent) {
  let answer;
  try {
    answer = await fetch(path, sent === undefined ? { cache: "no-store" } : {
      method: "POST", body: JSON.stringify({ by: annotator.get(), what: sent }), headers: { "content-type": "application/json", "x-judge-run": "review" },
    });
  } catch {
    throw new Problem("gone", "The server does not answer.");
  }
  const text = await answer.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* not one of ours */ }
  if (answer.ok && body) return body;
  if (body?.problem) throw new Problem(body.problem, body.message);
  throw new Problem("closed", text.trim() || `The server answers ${answer.status}.`);
}

const by = () => `by=${encodeURIComponent(annotator.get())}`;
const keyOf = (question) => `${question.span_id ?? ""}\n${question.name}${question.document_index === null || question.document_index === undefined ? "" : `\n${question.document_index}`}`;
// Whether two are about the same span, and the same of its documents.
const isSamePart = (a, b) => (a.span_id ?? null) === (b.span_id ?? null) && (a.document_index ?? null) === (b.document_index ?? null);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// Time counts while the page is looked at.

const watch = { since: null, seconds: 0 };
function startWatch() { Object.assign(watch, { since: document.hidden ? null : performance.now(), seconds: 0 }); }
function readWatch() { return watch.seconds + (watch.since === null ? 0 : (performance.now() - watch.since) / 1000); }
document.addEventListener("visibilitychange", () => {
  watch.seconds = readWatch();
  watch.since = document.hidden ? null : performance.now();
});

function pace() {
  const sorted = [...times.get()].sort((a, b) => a - b);
  return sorted.length < 3 ? null : sorted[Math.floor(sorted.length / 2)];
}

// Choices: what is answered here, from what was saved and what was typed since.

function takeItem(item) {
  const draft = draftOf(item.trace_id).get() ?? {};
  const asked = [...item.questions];
  // Spans that the reviewer chose to label.
  for (const { name, span_id } of draft.spans ?? []) addSpanQuestion(asked, item, name, span_id);
  for (const opinion of item.said) {
    if (opinion.span_id && (opinion.document_index ?? null) === null && opinion.source_type === "HUMAN" && opinion.source_id === annotator.get() && opinion.valid) addSpanQuestion(asked, item, opinion.name, opinion.span_id);
  }
  state.item = { ...item, questions: asked };
  state.spans = draft.spans ?? [];
  state.choices = asked.map((question) => {
    const saved = { value: question.mine?.value ?? null, rationale: question.mine?.rationale ?? "", overrides: question.mine?.overrides ?? null };
    return { question, saved, base: question.mine?.time_ms ?? null, ...saved, ...(draft.answers?.[keyOf(question)] ?? {}), complaint: null };
  });
  const remark = item.said.find((opinion) => opinion.name === boot.comment && opinion.source_id === annotator.get() && !opinion.span_id && opinion.valid);
  state.remark = { saved: remark?.value ?? "", base: remark?.time_ms ?? null };
  state.comment = draft.comment ?? state.remark.saved;
  const open = state.choices.findIndex((choice) => choice.value === null);
  state.active = open < 0 ? 0 : open;
}

function addSpanQuestion(asked, item, name, spanId) {
  const label = boot.labels.find((known) => known.name === name);
  if (!label || asked.some((question) => question.name === name && isSamePart(question, { span_id: spanId }))) return;
  const mine = item.said.find((opinion) => opinion.name === name && isSamePart(opinion, { span_id: spanId }) && opinion.source_id === annotator.get() && opinion.source_type === "HUMAN" && opinion.valid);
  asked.push({ ...label, span_id: spanId, mine: mine ? { value: mine.value, rationale: mine.rationale, time_ms: mine.time_ms, overrides: null } : null });
}

const isChanged = ({ value, rationale, overrides, saved }) => value !== null && !(same(value, saved.value) && rationale.trim() === (saved.rationale ?? "").trim() && overrides === saved.overrides);
const isRemarkChanged = () => state.comment.trim() !== state.remark.saved.trim();

function keepDraft() {
  const answers = {};
  for (const choice of state.choices) {
    if (isChanged(choice) || choice.rationale !== (choice.saved.rationale ?? "")) answers[keyOf(choice.question)] = { value: choice.value, rationale: choice.rationale, overrides: choice.overrides };
  }
  const comment = isRemarkChanged() ? state.comment : undefined;
  const isEmpty = !Object.keys(answers).length && comment === undefined && !state.spans.length;
  draftOf(state.item.trace_id).set(isEmpty ? null : { answers, comment, spans: state.spans });
}

// Whether a value is good, as far as its label says so.
function goodOf(question, value) {
  if (value === null || value === undefined) return null;
  const keyed = question.keyed.find((option) => same(option.value, value));
  if (keyed) return keyed.good;
  const [, sign, limit] = /^(>=|<=) (.+)$/.exec(question.good ?? "") ?? [];
  if (sign && typeof value === "number") return sign === ">=" ? value >= Number(limit) : value <= Number(limit);
  return null;
}
