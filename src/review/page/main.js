// The screens, how one leads to the next, and the keys.

const main = document.getElementById("main");
const top_ = document.getElementById("top");

function screen(title, ...children) {
  state.item = null;
  top_.replaceChildren(...bar());
  main.className = "screen";
  const heading = h("h1", { tabindex: "-1" }, title);
  main.replaceChildren(heading, ...children.flat().filter(Boolean));
  document.title = `${title} · Review`;
  heading.focus({ preventScroll: true });
}

function bar(done = state.done ?? 0) {
  if (!annotator.get()) return [];
  const speed = pace();
  const left = boot.total - done;
  const fill_ = h("div", {});
  fill_.style.width = `${boot.total ? (100 * done) / boot.total : 0}%`;
  return [h("div", { class: "bar" }, h("span", { class: "brand" }, "Review"),
    h("div", { class: "progress", role: "progressbar", "aria-label": "Answered", "aria-valuemin": "0", "aria-valuemax": String(boot.total), "aria-valuenow": String(done) }, fill_),
    h("span", { class: "tally" }, `${count(done)} of ${count(boot.total)}`),
    speed ? h("span", { class: "quiet small" }, `${Math.round(speed)} s each${left ? `, about ${Math.max(1, Math.round((left * speed) / 60))} min left` : ""}`) : null,
    h("span", { class: "who" }, own(annotator.get()), boot.annotator ? null : h("button", { type: "button", click: askName }, "Change"),
      h("button", { type: "button", click: help, "aria-keyshortcuts": "?" }, "Keys ", h("kbd", {}, "?"))))];
}

function askName() {
  state.item = null;
  top_.replaceChildren();
  main.className = "screen";
  const field = h("input", { type: "text", id: "name", autocomplete: "username", required: true, maxlength: "200" });
  const go = (event) => {
    event.preventDefault();
    if (!field.value.trim()) return field.focus();
    annotator.set(field.value.trim());
    start();
  };
  main.replaceChildren(h("h1", {}, "Who reviews?"), h("form", { class: "card login", submit: go },
    h("label", { for: "name" }, "Your name or address; it is part of every record that you save"), field, h("button", { class: "primary" }, "Begin ", h("kbd", {}, "Enter"))));
  field.value = annotator.get();
  field.focus();
}

function allDone() {
  history.replaceState(null, "", location.pathname);
  const speed = pace();
  screen("All done.", h("p", {}, `${counted(boot.total, "trace")}${speed ? `, ${Math.round(speed)} seconds each` : ""}. All of it is in the log.`),
    h("p", { class: "keys" }, h("button", { type: "button", click: () => show(0) }, "Review them again"), undoable.get().length ? h("button", { type: "button", click: undo }, "Undo ", h("kbd", {}, "u")) : null));
}

function gone(problem, again) {
  const words = problem.kind === "gone" ? "The server does not answer. It may have been stopped, or have stopped itself after a long time without use." : problem.message;
  screen(problem.kind === "gone" ? "The server is gone" : "That did not work", h("p", {}, words),
    h("p", { class: "quiet" }, "What you typed is kept in this browser, and what was saved is in the log. Start the same command again and open the address that it prints."),
    h("p", { class: "keys" }, h("button", { type: "button", class: "primary", click: again }, "Try again")));
}

async function show(at) {
  if (!annotator.get()) return askName();
  try {
    const item = await ask(`api/item/${at}?${by()}`);
    state.done = item.done;
    state.problem = null;
    const typing = state.item?.at === at ? typedIn() : null;
    takeItem(item);
    startWatch();
    history.replaceState(null, "", `#${at + 1}`);
    render();
    if (typing && typeOn(typing)) return;
    scrollTo(0, 0);
    document.getElementById("trace-title")?.focus({ preventScroll: true });
  } catch (problem) {
    gone(problem, () => show(at));
  }
}

// The field that has the cursor: when the same trace is shown again, what is being typed must not become shortcuts.
function typedIn() {
  const field = document.activeElement;
  return field?.id && field.matches("input, select, textarea") ? { id: field.id, at: field.selectionEnd } : null;
}

function typeOn({ id, at }) {
  const field = document.getElementById(id);
  field?.focus({ preventScroll: true });
  if (field?.matches("textarea")) field.setSelectionRange(at, at);
  return Boolean(field);
}

async function showNext(from) {
  try {
    const next = await ask(`api/next?from=${from}&${by()}`);
    state.done = next.done;
    if (next.at === null) return allDone();
    await show(next.at);
  } catch (problem) {
    gone(problem, () => showNext(from));
  }
}

function start() {
  if (!annotator.get()) return askName();
  if (!boot.total) return screen("Nothing to review", h("p", {}, "No trace matches the options."));
  const at = Number(location.hash.slice(1)) - 1;
  if (Number.isInteger(at) && at >= 0 && at < boot.total) show(at);
  else showNext(0);
}

function render() {
  const { item } = state;
  main.className = "review";
  top_.replaceChildren(...bar());
  const quotes = item.said.flatMap((opinion) => quotesIn(opinion.rationale ?? ""));
  const left = item.trace ? happened(item, quotes, labelSpan)
    : h("p", { class: "empty" }, item.has_dataset ? "The dataset has no trace of this id." : ["To see the trace here, name its dataset: ", h("code", {}, "judge-run review LOG -d DATASET"), "."]);
  const raw = h("div", { class: "raw", hidden: true });
  const rawButton = h("button", { type: "button", "aria-pressed": "false", "data-key": "r", click: () => {
    raw.hidden = !raw.hidden;
    left.hidden = !raw.hidden;
    if (!raw.hasChildNodes()) append(raw, [h("pre", { class: "code-block" }, JSON.stringify(item.trace ?? { trace_id: item.trace_id }, null, 2))]);
    rawButton.setAttribute("aria-pressed", String(!raw.hidden));
  } }, "Raw JSON ", h("kbd", {}, "r"));
  const right = h("div", { class: "decide" }, state.problem ? h("p", { class: "banner", role: "alert" }, state.problem) : null, questionsPart(), h("div", { id: "said-part" }, saidOf()));
  const go = (at, label, key) => h("button", { type: "button", "data-key": key, "aria-keyshortcuts": key, disabled: at < 0 || at >= item.total, click: () => leave(at) }, label);
  main.replaceChildren(
    h("nav", { class: "review-nav", "aria-label": "Traces" }, go(item.at - 1, "← previous", "ArrowLeft"), h("span", { class: "quiet place" }, `${count(item.at + 1)} of ${count(item.total)}`), go(item.at + 1, "next →", "ArrowRight"), h("span", { class: "end" }, rawButton)),
    head(item), h("div", { class: "trace-page" }, h("div", { class: "happened" }, h("h2", { class: "hidden" }, "Trace"), left, raw), right));
  linkQuotes(left, right);
  fillFields();
  document.title = `${item.at + 1}/${item.total} ${clip(item.title ?? item.trace_id, 60)} · Review`;
}

function head(item) {
  const trace = item.trace ?? {};
  const facts = [own(item.trace_id, { class: "code" }),
    trace.session_id ? h("span", {}, "session ", own(trace.session_id)) : null,
    trace.user ? h("span", {}, "user ", own(trace.user)) : null,
    trace.state && trace.state !== "STATE_UNSPECIFIED" ? h("span", { class: trace.state === "ERROR" ? "bad" : "" }, trace.state) : null,
    trace.request_time_ms !== undefined ? moment(trace.request_time_ms) : null,
    trace.execution_duration_ms !== undefined ? duration(trace.execution_duration_ms) : null].filter(Boolean);
  const tags = Object.entries(trace.tags ?? {}).filter(([key]) => !key.startsWith("mlflow."));
  return h("div", { class: "trace-head" }, h("h1", { tabindex: "-1", id: "trace-title" }, own(item.title || item.trace_id)),
    h("p", { class: "quiet small facts-line" }, facts.map((fact) => h("span", {}, fact))),
    tags.length ? h("p", { class: "tags" }, tags.map(([key, value]) => own(`${key}: ${value}`, { class: "tag" }))) : null);
}

function leave(at) {
  if (state.saving || at < 0 || at >= state.item.total) return;
  show(at);
}

// Saving, and taking it back

async function save() {
  const { item } = state;
  if (state.saving || !item) return;
  const missing = state.choices.findIndex((choice) => choice.value !== null && goodOf(choice.question, choice.value) === false && !choice.rationale.trim());
  if (missing >= 0) return complain(missing, "A verdict that is not good needs a reason.");
  const changed = state.choices.filter(isChanged);
  if (!changed.length && !isRemarkChanged()) {
    const open = state.choices.findIndex((choice) => choice.value === null);
    if (open >= 0 && !item.decided) { state.active = open; renderQuestions(); announce("Choose an answer first"); document.querySelectorAll(".question")[open].scrollIntoView({ block: "nearest" }); return; }
    return showNext(item.at + 1);
  }
  state.saving = true;
  const seconds = readWatch();
  const undo_ = { at: item.at, changes: [] };
  let kept_ = null;
  try {
    for (const choice of changed) {
      const { question, value, rationale, overrides, base, saved } = choice;
      await ask("api/answer", { trace_id: item.trace_id, span_id: question.span_id, document_index: question.document_index ?? null, name: question.name, value, rationale, overrides, base, seconds });
      undo_.changes.push({ name: question.name, span_id: question.span_id, document_index: question.document_index ?? null, before: saved });
      choice.saved = { value, rationale, overrides };
    }
    if (isRemarkChanged()) {
      const value = state.comment.trim() || null;
      await ask("api/answer", { trace_id: item.trace_id, span_id: null, name: boot.comment, value, rationale: null, overrides: null, base: state.remark.base, seconds: null });
      undo_.changes.push({ name: boot.comment, span_id: null, before: { value: state.remark.saved || null, rationale: "", overrides: null } });
    }
  } catch (problem) {
    kept_ = problem;
  }
  state.saving = false;
  if (undo_.changes.length) undoable.set([...undoable.get(), undo_].slice(-50));
  if (kept_) return failedToSave(kept_, changed);
  draftOf(item.trace_id).set(null);
  if (!item.decided) times.set([...times.get(), seconds].slice(-50));
  announce("Saved");
  const answered = state.choices.every((choice) => choice.value !== null);
  // Those who decided blind see the others' feedback now.
  if (item.hidden && answered) {
    await show(item.at);
    document.getElementById("said")?.focus({ preventScroll: true });
    announce("Saved. Others' feedback is now shown; Enter continues.");
    return;
  }
  await showNext(item.at + 1);
}

function complain(i, words) {
  state.choices[i].complaint = words;
  state.active = i;
  renderQuestions();
  document.getElementById(`reason-${i}`).focus();
}

async function failedToSave(problem, changed) {
  if (problem.kind === "invalid" && changed.length) {
    const i = state.choices.findIndex((choice) => changed.includes(choice) && isChanged(choice));
    return complain(Math.max(0, i), problem.message);
  }
  if (problem.kind === "changed") {
    state.problem = null;
    await show(state.item.at);
    if (!state.item) return;
    state.problem = "This was answered in another window meanwhile. Below is your answer in this one; saving it replaces the other, which stays in the history.";
    return render();
  }
  if (problem.kind === "failed") {
    state.problem = `Not saved: ${problem.message}. Try again with Enter.`;
    return render();
  }
  gone(problem, () => show(state.item?.at ?? Math.max(0, Number(location.hash.slice(1)) - 1)));
}

async function undo() {
  const stack = undoable.get();
  const last = stack[stack.length - 1];
  if (!last || state.saving) return announce("Nothing to undo");
  state.saving = true;
  try {
    const item = await ask(`api/item/${last.at}?${by()}`);
    for (const { name, span_id, document_index, before } of [...last.changes].reverse()) {
      const mine = item.said.find((opinion) => opinion.name === name && isSamePart(opinion, { span_id, document_index }) && opinion.source_type === "HUMAN" && opinion.source_id === annotator.get() && opinion.valid);
      await ask("api/answer", { trace_id: item.trace_id, span_id, document_index: document_index ?? null, name, value: before.value, rationale: before.rationale || null, overrides: before.overrides, base: mine?.time_ms ?? null, seconds: null });
    }
    undoable.set(stack.slice(0, -1));
    state.saving = false;
    await show(last.at);
    announce("Undone");
  } catch (problem) {
    state.saving = false;
    if (problem.kind === "gone" || problem.kind === "closed") return gone(problem, () => show(last.at));
    undoable.set(stack.slice(0, -1));
    await show(last.at);
    announce(`Cannot be undone: ${problem.message}`);
  }
}

async function mark(opinion, valid) {
  try {
    await ask("api/mark", { trace_id: state.item.trace_id, id: opinion.id, valid });
    keepDraft();
    await show(state.item.at);
    announce(valid ? "Accepted" : "Rejected");
  } catch (problem) {
    if (problem.kind === "gone" || problem.kind === "closed") return gone(problem, () => show(Math.max(0, Number(location.hash.slice(1)) - 1)));
    state.problem = `Not saved: ${problem.message}.`;
    render();
  }
}

// Keys

const KEYS = [
  ["1 … 9", "choose an answer to the selected question"], ["↑ ↓", "select another question"], ["Enter", "save, and go to the next open trace"], ["Ctrl Enter", "the same, also while typing"],
  ["e", "type a reason (Enter saves, Shift Enter breaks the line, Esc leaves)"], ["c", "comment on the trace"], ["← →", "previous, next trace"], ["u", "undo the last save"],
  ["a", "agree with the judge on the selected question"], ["x", "reject the judge's verdict on it, or accept it again"], ["o", "replace the judge's verdict with yours"], ["r", "raw JSON"], ["?", "this list"],
];

function help() {
  const box = h("input", { type: "checkbox", id: "letters", change: (event) => letters.set(event.target.checked) });
  box.checked = letters.get();
  const dialog = h("dialog", { "aria-labelledby": "keys-title", close: (event) => event.target.remove() }, h("h2", { id: "keys-title" }, "Keys"),
    h("dl", { class: "key-list" }, KEYS.map(([key, words]) => [h("dt", {}, key.split(" ").map((one) => (one === "…" ? " … " : [h("kbd", {}, one), " "]))), h("dd", {}, words)])),
    h("p", {}, h("label", {}, box, " keys that are letters, digits or signs work (off: use Tab, Space and Ctrl Enter)")),
    h("form", { method: "dialog", class: "actions" }, h("button", { class: "primary" }, "Close ", h("kbd", {}, "Esc"))));
  document.body.append(dialog);
  dialog.showModal();
}

// The judges' verdict on the marked question.
function judged() {
  const question = state.choices[state.active]?.question;
  return state.item.said.find((opinion) => question && opinion.can_be_rejected && opinion.name === question.name && isSamePart(opinion, question));
}

function pressed(event) {
  const choice = state.choices[state.active];
  const key = event.key;
  if (key === "Enter") return event.target.closest?.("button, summary, a, [role=button]") ? false : (save(), true);
  if (key === "ArrowUp" || key === "ArrowDown") {
    const next = state.active + (key === "ArrowDown" ? 1 : -1);
    if (next < 0 || next >= state.choices.length || state.choices.length < 2) return false;
    activate(next);
    document.querySelectorAll(".question")[next].scrollIntoView({ block: "nearest" });
    announce(state.choices[next].question.name);
    return true;
  }
  if (key === "ArrowLeft" || key === "ArrowRight") return leave(state.item.at + (key === "ArrowRight" ? 1 : -1)), true;
  if (!letters.get()) return false;
  if (/^[1-9]$/.test(key)) {
    const option = choice?.question.keyed[Number(key) - 1];
    if (option) choose(state.active, option.value);
    else if (choice && !choice.question.keyed.length) document.getElementById(`value-${state.active}`).focus();
    return Boolean(option);
  }
  const opinion = judged();
  const actions = {
    e: () => document.getElementById(`reason-${state.active}`)?.focus(),
    c: () => document.getElementById("comment")?.focus(),
    u: undo, r: () => document.querySelector("[data-key=r]")?.click(),
    a: () => opinion && opinion.value !== null && choose(state.active, opinion.value),
    x: () => opinion && mark(opinion, opinion.rejected),
    o: () => opinion && choice.value !== null && !same(choice.value, opinion.value) && override(choice, opinion),
  };
  if (!actions[key]) return false;
  actions[key]();
  return true;
}

addEventListener("keydown", (event) => {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  const isTyping = event.target.closest?.("input, select, textarea");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && state.item) {
    event.preventDefault();
    return save();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === "Enter") return;
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && !event.shiftKey && state.item && event.target.id.startsWith("reason-")) {
      event.preventDefault();
      save();
    }
    return;
  }
  if (event.key === "?" && letters.get()) return event.preventDefault(), help();
  if (!state.item) {
    if (event.key === "u" && letters.get() && annotator.get()) undo();
    return;
  }
  if (pressed(event)) event.preventDefault();
});

start();
