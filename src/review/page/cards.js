// What was said of a trace by judges, programs and people: a card each.

function outcomeOfOpinion(opinion) {
  const key = opinion.code ? "failed" : opinion.rejected ? "rejected" : opinion.value === null ? "abstained" : null;
  const label = boot.labels.find((known) => known.name === opinion.name);
  const good = opinion.good ?? (label ? goodOf(label, opinion.value) : null);
  return OUTCOMES.find((outcome) => outcome.key === (key ?? (good === true ? "good" : good === false ? "bad" : "scored")));
}

const textOfOpinion = (opinion) => opinion.code ?? (opinion.value === null ? "null" : valueText(opinion.value));

function opinionCard(opinion) {
  const outcome = outcomeOfOpinion(opinion);
  const isVoid = !opinion.valid && !opinion.code;
  const metadata = Object.entries(opinion.metadata);
  const isMine = opinion.source_type === "HUMAN" && opinion.source_id === annotator.get();
  const state_ = opinion.rejected ? `rejected${opinion.rejected_by ? ` by ${opinion.rejected_by}` : ""}` : isVoid ? "replaced" : outcome.word;
  return h("article", { class: `card feedback ${isVoid ? "void unknown" : outcome.tone}` },
    h("h3", {}, own(opinion.name), h("span", { class: "badge" }, isMine ? "you" : WHO[opinion.source_type] ?? "unknown source")),
    opinion.source_id && !isMine ? h("p", { class: "quiet small" }, own(opinion.source_id)) : null,
    opinion.span_id ? h("p", { class: "quiet small" }, "about the span ", own(spanName(opinion.span_id)), documentOf(opinion)) : null,
    h("p", {}, h("span", { class: `verdict big ${isVoid ? "unknown" : outcome.tone}` }, sign(outcome), own(clip(textOfOpinion(opinion), 400))), h("span", { class: "quiet small" }, ` ${state_} · ${moment(opinion.time_ms)}`)),
    opinion.rationale ? h("div", { class: "rationale" }, foldable(opinion.rationale, [])) : null,
    opinion.history.length ? h("details", {}, h("summary", {}, `History: ${counted(opinion.history.length, "earlier record")}`), h("ol", { class: "history" }, opinion.history.map((entry) =>
      h("li", {}, h("span", { class: "quiet n" }, moment(entry.time_ms)), " ", own(entry.code ?? valueText(entry.value), { class: "strong" }), entry.deleted ? " withdrawn" : entry.valid === false ? ` rejected${entry.by ? ` by ${entry.by}` : ""}` : "", entry.rationale ? h("p", { class: "quiet small" }, own(clip(entry.rationale, 300))) : null)))) : null,
    metadata.length ? h("details", {}, h("summary", {}, "Metadata"), h("dl", { class: "facts small" }, metadata.map(([key, value]) => [h("dt", {}, own(key)), h("dd", {}, own(clip(String(value), 2000)))]))) : null,
    actionsOf(opinion));
}

function actionsOf(opinion) {
  if (!opinion.can_be_rejected || !opinion.id) return null;
  const choice = state.choices.find(({ question }) => question.name === opinion.name && isSamePart(question, opinion));
  const differs = choice && choice.value !== null && !same(choice.value, opinion.value);
  return h("p", { class: "actions" },
    h("button", { type: "button", "data-reject": opinion.id, click: () => mark(opinion, opinion.rejected) }, opinion.rejected ? "Accept again" : "Reject", " ", h("kbd", {}, "x")),
    differs && opinion.valid ? h("button", { type: "button", "aria-pressed": String(choice.overrides === opinion.id), click: () => override(choice, opinion) }, choice.overrides === opinion.id ? "Replaced by mine" : "Replace it with mine", " ", h("kbd", {}, "o")) : null);
}

const documentOf = ({ document_index }) => document_index === null || document_index === undefined ? null : `, document ${document_index + 1}`;

const spanName = (spanId) => state.item.trace?.spans?.find((span) => span.span_id === spanId)?.name ?? spanId;

function saidOf() {
  const { item } = state;
  if (item.hidden) {
    return [h("p", { class: "card veil" }, "The feedback of judges and others is hidden until you have decided.")];
  }
  const said = item.said.filter((opinion) => !(opinion.source_type === "HUMAN" && opinion.source_id === annotator.get() && !opinion.history.length && opinion.valid));
  if (!said.length) return [];
  return [h("h2", { class: "column-title said-title", id: "said", tabindex: "-1" }, "Feedback"), h("div", { class: "said" }, said.map(opinionCard))];
}
