// The questions about a trace, and their answers as they are chosen and typed.

function questionCard(choice, i) {
  const { question } = choice;
  const titleId = `question-${i}`;
  const isActive = i === state.active;
  const needsReason = goodOf(question, choice.value) === false;
  const status = choice.saved.value === null && !isChanged(choice) ? "open" : isChanged(choice) ? "not saved yet" : "✓ saved";
  return h("section", { class: `card question${isActive ? " active" : ""}`, "aria-labelledby": titleId, "aria-current": isActive ? "true" : null, focusin: () => activate(i) },
    h("h3", { id: titleId }, own(question.name), question.span_id ? h("span", { class: "badge" }, "span ", own(clip(spanName(question.span_id), 40)), documentOf(question)) : null,
      h("span", { class: `state ${status === "✓ saved" ? "good" : "quiet"}` }, status)),
    question.about ? h("p", { class: "quiet about" }, own(question.about)) : null,
    answerField(choice, i, titleId),
    h("div", { class: "field" },
      h("label", { for: `reason-${i}` }, needsReason ? "Reason (required, as it is not good)" : "Reason", isActive ? [" ", h("kbd", {}, "e")] : null),
      h("textarea", { id: `reason-${i}`, rows: 1, dir: "auto", "aria-required": String(needsReason), "aria-invalid": choice.complaint ? "true" : null, input: (event) => {
        choice.rationale = event.target.value;
        choice.complaint = null;
        keepDraft();
      } }),
      choice.complaint ? h("p", { class: "bad", role: "alert" }, `✗ ${choice.complaint}`) : null));
}

function answerField(choice, i, titleId) {
  const { question } = choice;
  const { schema } = question;
  if (question.keyed.length) {
    return h("div", { class: "options", role: "group", "aria-labelledby": titleId }, question.keyed.map(({ value, good }, n) => {
      const mark_ = good === true ? "✓ " : good === false ? "✗ " : "";
      return h("button", { type: "button", class: `option${good === true ? " is-good" : good === false ? " is-bad" : ""}`, "aria-pressed": String(same(value, choice.value)), click: () => choose(i, value) },
        h("kbd", {}, String(n + 1)), h("span", {}, h("span", { class: good === true ? "good" : good === false ? "bad" : "", "aria-hidden": "true" }, mark_), own(valueText(value))));
    }));
  }
  const id = `value-${i}`;
  if (schema.type === "number") {
    const range = schema.min !== null && schema.max !== null ? `${figure(schema.min)} to ${figure(schema.max)}` : "number";
    return h("div", { class: "field" }, h("label", { for: id }, range), h("input", { id, type: "number", step: schema.whole ? "1" : "any", min: schema.min, max: schema.max, value: choice.value, input: (event) => {
      choice.value = event.target.value === "" ? null : Number(event.target.value);
      keepDraft();
    } }));
  }
  return h("div", { class: "field" }, h("label", { for: id }, "Answer"), h("textarea", { id, rows: 2, dir: "auto", input: (event) => {
    choice.value = event.target.value.trim() ? event.target.value : null;
    keepDraft();
  } }));
}

// Text of fields is not an attribute.
function fillFields() {
  state.choices.forEach((choice, i) => {
    document.getElementById(`reason-${i}`).value = choice.rationale;
    const value = document.getElementById(`value-${i}`);
    if (value) value.value = choice.value ?? "";
  });
  const comment = document.getElementById("comment");
  if (comment) comment.value = state.comment;
}

function activate(i) {
  if (i === state.active) return;
  state.active = i;
  document.querySelectorAll(".question").forEach((card, n) => {
    card.classList.toggle("active", n === i);
    if (n === i) card.setAttribute("aria-current", "true");
    else card.removeAttribute("aria-current");
  });
}

function choose(i, value) {
  const choice = state.choices[i];
  choice.value = same(choice.value, value) && choice.saved.value === null ? null : value;
  choice.complaint = null;
  state.active = i;
  keepDraft();
  const needsReason = goodOf(choice.question, choice.value) === false && !choice.rationale.trim();
  const next = state.choices.findIndex((other, n) => n > i && other.value === null);
  if (!needsReason && choice.value !== null && next >= 0) state.active = next;
  renderQuestions();
  if (needsReason) document.getElementById(`reason-${i}`).focus();
  else document.querySelectorAll(".question")[state.active]?.scrollIntoView({ block: "nearest" });
  announce(choice.value === null ? `${choice.question.name}: no answer` : `${choice.question.name}: ${valueText(choice.value)}`);
}

function override(choice, opinion) {
  choice.overrides = choice.overrides === opinion.id ? null : opinion.id;
  keepDraft();
  render();
  announce(choice.overrides ? "Yours replaces the verdict once you save" : "The verdict stays");
}

function labelSpan(span) {
  const buttons = boot.labels.map((label) => h("button", { type: "button", click: () => {
    if (!state.spans.some((known) => known.name === label.name && known.span_id === span.span_id)) state.spans.push({ name: label.name, span_id: span.span_id });
    keepDraft();
    takeItem({ ...state.item });
    state.active = state.choices.findIndex(({ question }) => question.name === label.name && isSamePart(question, { span_id: span.span_id }));
    renderQuestions();
    document.querySelectorAll(".question")[state.active]?.scrollIntoView({ block: "nearest" });
  } }, own(label.name)));
  return h("p", { class: "actions small" }, h("span", { class: "quiet" }, "Label this span:"), buttons);
}

function questionsPart() {
  const isLast = state.choices.every((choice) => choice.saved.value !== null && !isChanged(choice)) && !isRemarkChanged();
  return h("section", { id: "questions", tabindex: "-1", "aria-label": "Your decision" },
    h("div", { class: "said" }, state.choices.map(questionCard),
      h("div", { class: "field" }, h("label", { for: "comment" }, "Comment ", h("kbd", {}, "c")),
        h("textarea", { id: "comment", rows: 1, dir: "auto", input: (event) => { state.comment = event.target.value; keepDraft(); } })),
      h("p", { class: "actions" }, h("button", { type: "button", class: "primary", id: "save", click: save }, isLast ? "Next " : "Save and next ", h("kbd", {}, "Enter")),
        undoable.get().length ? h("button", { type: "button", click: undo }, "Undo ", h("kbd", {}, "u")) : null)));
}

function renderQuestions() {
  const typing = document.activeElement?.id;
  const old = document.getElementById("questions");
  if (!old) return render();
  old.replaceWith(questionsPart());
  fillFields();
  const said = document.getElementById("said-part");
  said?.replaceChildren(...saidOf());
  if (said) linkQuotes(document.querySelector(".happened"), said);
  if (typing) document.getElementById(typing)?.focus({ preventScroll: true });
}
