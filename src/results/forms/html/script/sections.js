// What could not be judged, what flipped, slices and run facts.

function failuresOf() {
  const rows = data.codes.map((code, i) => ({ ...code, i })).filter((code) => code.n > 0).sort((a, b) => b.n - a.n);
  if (!rows.length) return null;
  return section("failures", "What could not be judged", h("ul", { class: "failures" }, rows.map((row) => {
    const example = J.code.indexOf(row.i);
    return h("li", { class: "card" },
      h("p", { class: "failure" }, linkTo({ code: new Set([row.code]) }, { class: "code" }, row.code), h("strong", { class: "n" }, count(row.n))),
      row.meaning ? h("p", {}, sentence(row.meaning)) : null,
      row.remedy ? h("p", {}, h("span", { class: "quiet" }, "Remedy: "), `${row.remedy}.`) : null,
      example < 0 ? null : h("p", { class: "quiet small example" }, "Example: ", traceLink(T.id[J.trace[example]]), J.rationale[example] ? [": ", own(firstLine(J.rationale[example]))] : null));
  })));
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const FLIPS = 6;

function flipsOf() {
  if (!comparisons.length) return null;
  const same = comparisons.filter((c) => !c.flips.length);
  const stayed = same.length ? h("p", { class: "quiet" }, "No verdict changed: ", same.map((c, i) => [i ? ", " : "", own(c.name), ` (${counted(c.n_pairs, "pair")})`]), ".") : null;
  return section("flips", "What changed since the baseline", comparisons.filter((c) => c.flips.length).map((comparison) => {
    const { flips } = comparison;
    const list = h("ol", { class: "flips" });
    const more = h("button", { type: "button", click: () => show(list.children.length + 50) });
    const show = (n) => {
      append(list, flips.slice(list.children.length, n).map((flip) => flipOf(comparison, flip)));
      const left = flips.length - list.children.length;
      more.hidden = left <= 0;
      more.textContent = `Show ${count(Math.min(50, left))} more`;
    };
    show(FLIPS);
    const only = [[comparison.n_only_base, "only in the baseline"], [comparison.n_only_new, "only now"]].filter(([n]) => n).map(([n, where]) => `${counted(n, "trace")} ${where}`);
    return h("div", { class: "comparison" },
      h("h3", {}, own(comparison.name), h("span", { class: "quiet" }, ` ${counted(comparison.n_flips, "verdict")} changed`)),
      changeOf(comparison),
      only.length ? h("p", { class: "quiet small" }, `${only.join(", ")}; not compared.`) : null,
      comparison.minimum_detectable === undefined ? null : h("p", { class: "quiet small" }, `The smallest difference that so many pairs would show: ${comparison.measure !== "mean" ? `${bare(comparison.minimum_detectable)} points` : figure(comparison.minimum_detectable)}.`),
      list, more);
  }), stayed);
}

// On anchors the application has no part: what moved is the judge.
function anchorsOf() {
  const anchors = report.anchors ?? [];
  if (!anchors.length) return null;
  const WORD = { judge_changed: CHANGE.judge_changed, equivalent: { ...CHANGE.equivalent, word: "the judge has not changed" } };
  const row = (of) => {
    const look = WORD[of.outcome] ?? { ...CHANGE.inconclusive, word: "no change of the judge is shown" };
    return h("div", { class: "comparison" },
      h("h3", {}, own(of.name), h("span", { class: "quiet" }, ` ${counted(of.n_pairs, "anchor")}`)),
      changeOf(of, look),
      of.outcome === "judge_changed" && of.flips.length
        ? h("ol", { class: "flips" }, of.flips.slice(0, FLIPS).map((flip) => flipOf(of, flip))) : null);
  };
  return section("anchors", "The judges on the anchors", anchors.map(row));
}

function flipOf(comparison, flip) {
  const side = (word, value, rationale) => h("div", { class: "side" },
    h("p", {}, h("span", { class: "quiet" }, `${word} `), own(valueText(value), { class: `verdict ${toneOfValue(comparison, value)}` })),
    rationale ? foldable(rationale, [], 5) : h("p", { class: "quiet small" }, "no rationale"));
  const index = indexOfTrace.get(flip.trace_id);
  return h("li", { class: "card flip" },
    h("p", { class: "flip-trace" }, traceLink(flip.trace_id, index === undefined ? undefined : T.title[index] || undefined), h("span", { class: "quiet small" }, " ", own(flip.trace_id))),
    h("div", { class: "sides" }, side("baseline", flip.base, flip.base_rationale), side("now", flip.new, flip.new_rationale)));
}

function toneOfValue(comparison, value) {
  return toneOf(report.judges.find((judge) => judge.name === comparison.name && judge.source_id === comparison.source_id), value);
}

const FEW = 20;
const SLICES = 8;

function slicesOf() {
  const groups = new Map();
  for (const judge of report.judges) {
    for (const slice of judge.slices ?? []) {
      const key = JSON.stringify([slice.by, judge.name, judge.source_id]);
      if (!groups.has(key)) groups.set(key, { by: slice.by, judge, slices: [] });
      groups.get(key).slices.push(slice);
    }
  }
  if (!groups.size) return null;
  const main = (slice) => slice.pass ?? slice.mean;
  const all = [...groups.values()].filter(({ slices }) => slices.some(main));
  const shares = scaleOf(all.flatMap(({ slices }) => slices.filter((s) => s.pass).flatMap((s) => [s.pass.low, s.pass.high])), true);
  return section("slices", "Slices", h("div", { class: "multiples" }, all.map(({ by, judge, slices }) => {
    const asShare = slices.some((slice) => slice.pass);
    const { histogram } = judge;
    const ofValues = () => (histogram?.length > 1 ? scaleFrom(histogram[0].low, histogram[histogram.length - 1].high) : scaleOf(slices.flatMap((s) => [s.mean?.low, s.mean?.high]), false));
    const scale = asShare ? shares : ofValues();
    const sorted = [...slices].sort((a, b) => (main(a)?.estimate ?? Infinity) - (main(b)?.estimate ?? Infinity));
    const rowOf = (slice) => {
      const est = main(slice);
      const words = est ? estText(est, asShare) : "nothing scored";
      return h("tr", { class: slice.n_scored < FEW ? "few" : "" },
        h("th", { scope: "row" }, linkTo({ slice: new Map([[by, String(slice.value)]]) }, {}, own(String(slice.value), { title: visible(String(slice.value)) }))),
        h("td", { class: "plot-cell" }, est ? intervalPlot({ label: `${slice.value}: ${words}`, scale, isShare: asShare, now: est, tone: slice.n_scored < FEW ? "faint" : "accent", hasAxis: false }) : null),
        h("td", { class: "n" }, est ? (asShare ? percent(est.estimate) : figure(est.estimate)) : "–"),
        h("td", { class: "n quiet" }, `n ${count(slice.n_scored)}`, slice.n_failed ? ` +${count(slice.n_failed)} failed` : ""));
    };
    const body = h("tbody", {}, sorted.slice(0, SLICES).map(rowOf));
    const left = sorted.length - SLICES;
    const more = h("button", { type: "button", class: "more", click: () => { append(body, sorted.slice(SLICES, 1000).map(rowOf)); more.remove(); } }, `Show ${count(left)} more`);
    const ends = `from ${tickText(scale.low, asShare)} to ${tickText(scale.high, asShare)}`;
    return h("div", {}, h("table", { class: "slices" },
      h("caption", {}, own(labelOf(judge)), h("span", { class: "quiet" }, " by ", own(by)), h("span", { class: "quiet small" }, ` · ${ends}`)), body), left > 0 ? more : null);
  })), h("p", { class: "quiet small" }, `Slices with fewer than ${FEW} verdicts are pale: their figures say little.`));
}

function factsOf() {
  const usage = report.judges.map((judge) => {
    const u = judge.usage ?? {};
    const prompt = u.input_tokens ?? 0;
    const parts = [
      `${count(prompt)} tokens in${prompt && u.cached_tokens ? ` (${percent(u.cached_tokens / prompt)} cached)` : ""}, ${count(u.output_tokens ?? 0)} out`,
      u.reasoning_tokens ? `${count(u.reasoning_tokens)} for reasoning` : null,
      u.cost_usd !== undefined ? money(u.cost_usd) : null,
      u.attempts ? counted(u.attempts, "request") : null,
      judge.latency_ms ? `half within ${duration(judge.latency_ms.p50)}, 99% within ${duration(judge.latency_ms.p99)}` : null,
    ];
    const readings = Object.entries(judge.readings ?? {}).map(([method, n]) => `${method} ${count(n)}`).join(", ");
    const { cascade } = judge;
    const decided = cascade ? [
      `${counted(cascade.n_spared, "verdict")} by the first votes`,
      cascade.decided_by ? `${count(cascade.n_escalated)} by ${visible(cascade.decided_by)}` : null,
      cascade.saved_usd !== undefined ? `about ${money(cascade.saved_usd)} saved` : null,
    ].filter(Boolean).join(", ") : null;
    return [labelOf(judge), [decided ? own(`${decided} · `) : null, parts.filter(Boolean).join(" · "), readings ? h("span", { class: "quiet" }, ` · read as: ${readings}`) : null]];
  });
  const rows = [...usage, ...data.facts, ["Page", `made ${moment(data.created_ms)} by judge-run ${data.version}`]];
  return h("section", { id: "facts", "aria-label": "Run facts" }, h("details", {}, h("summary", {}, h("h2", {}, "Run facts")),
    h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, own(name)), h("dd", {}, Array.isArray(value) ? value : own(value))]))));
}
