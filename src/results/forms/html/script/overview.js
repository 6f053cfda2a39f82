// The answer, the gates and a card a judge.

const WHO = { LLM_JUDGE: "model", HUMAN: "person", CODE: "program" };
const lookOf = (gate) => (gate.outcome === "inconclusive" && gate.cause === "judge_changed" ? CHANGE.judge_changed : GATE[gate.outcome]);
const GATE = { pass: { sign: "✓", tone: "good", word: "passes" }, fail: { sign: "✗", tone: "bad", word: "fails" }, inconclusive: { sign: "?", tone: "unknown", word: "is undecided" } };
const CHANGE = {
  better: { sign: "▲", tone: "good", word: "better" },
  worse: { sign: "▼", tone: "bad", word: "worse" },
  equivalent: { sign: "=", tone: "plain", word: "equivalent" },
  inconclusive: { sign: "?", tone: "unknown", word: "no conclusion" },
  judge_changed: { sign: "≠", tone: "unknown", word: "the judge changed" },
};
const TONE = { pass: "good", fail: "bad", inconclusive: "unknown" };
const comparisons = report.comparisons ?? [];
const comparisonOf = (judge) => comparisons.find((c) => c.name === judge.name && c.source_id === judge.source_id);
const mark = ({ sign, tone }) => h("span", { class: `sign ${tone}`, "aria-hidden": "true" }, sign);
const section = (id, title, ...children) =>
  h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title`, tabindex: "-1" }, title), ...children);
const isShare = (judge) => judge.pass !== undefined;
const mainOf = (judge) => judge.pass ?? judge.mean;
const estText = (est, asShare) =>
  asShare ? `${percent(est.estimate)} ${range(est.low, est.high, bare)}` : `${figure(est.estimate)} ${range(est.low, est.high, figure)}`;

// The minus of a figure is as wide as its digits.
const typeset = (text) => text.replace(/(?<=[[ ])-(?=\d)/g, MINUS);

function topOf() {
  const outcome = data.headline.outcome;
  const listed = J.trace.length ? [counted(J.trace.length + data.left_out, "judgment"), counted(T.id.length, "trace")] : [];
  const facts = [...listed, moment(data.created_ms)];
  return [
    h("p", { class: "masthead" }, h("a", { href: "#all", class: "brand" }, "judge-run"), own(data.title, { class: "file" }), h("span", { class: "quiet" }, facts.join(" · "))),
    h("h1", {}, outcome ? mark(GATE[outcome]) : null, h("span", { class: outcome ? TONE[outcome] : "" }, own(typeset(data.headline.text)))),
    data.headline.details.length ? h("p", { class: "lead" }, data.headline.details.map((text) => [own(typeset(text)), " "])) : null,
    (report.warnings ?? []).map((warning) => h("p", { class: "warning" }, h("strong", {}, "Note: "), own(warning.message))),
  ];
}

function gatesOf() {
  if (!report.gates?.length) return null;
  const order = ["fail", "inconclusive", "pass"];
  const gates = [...report.gates].sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
  const rows = gates.map((gate) => {
    const look = lookOf(gate);
    const hasInterval = gate.low !== undefined && gate.high !== undefined;
    const values = [gate.estimate, gate.low, gate.high, gate.threshold].filter((x) => Number.isFinite(x));
    const asShare = values.every((x) => x >= 0 && x <= 1);
    const scale = scaleOf(values, asShare);
    const show = asShare ? percent : figure;
    const figures = gate.estimate === undefined ? "no figure" : `${show(gate.estimate)}${hasInterval ? ` ${range(gate.low, gate.high, asShare ? bare : figure)}` : ""}`;
    const traces = (gate.traces ?? []).slice(0, 5);
    return h("li", { class: "gate" },
      h("span", { class: `verdict ${look.tone}` }, mark(look), look.word),
      own(gate.gate, { class: "code" }),
      h("span", { class: "n" }, figures),
      gate.estimate === undefined ? h("span") : intervalPlot({
        label: `${gate.gate}: ${figures}, threshold ${show(gate.threshold)}`, scale, isShare: asShare, tone: look.tone, threshold: gate.threshold,
        now: { estimate: gate.estimate, low: gate.low ?? gate.estimate, high: gate.high ?? gate.estimate },
      }),
      gate.reason ? h("p", { class: "reason quiet" }, own(gate.reason)) : null,
      traces.length ? h("p", { class: "reason quiet" }, "Look at: ", traces.map((trace, i) => [i ? ", " : "", traceLink(trace.trace_id)])) : null);
  });
  return section("gates", "Gates", h("ul", { class: "gates" }, rows));
}

const traceLink = (id, text) =>
  indexOfTrace.has(id) ? h("a", { href: address({ trace: id }) }, own(text ?? id)) : own(text ?? id);

function cardsOf() {
  if (!report.judges.length) return comparisons.length ? null : section("judges", "Judges", h("p", { class: "empty" }, "No feedback from judges yet."));
  // What people and programs said comes after the judges, and what got worse first.
  const order = ["worse", "judge_changed", "inconclusive"];
  const rank = (judge) => (judge.source_type === "LLM_JUDGE" ? 0 : 100) + (order.indexOf(comparisonOf(judge)?.outcome) + 1 || 99);
  const judges = [...report.judges].map((judge, i) => [judge, i]).sort(([a, i], [b, k]) => rank(a) - rank(b) || i - k);
  const shares = judges.filter(([judge]) => isShare(judge)).flatMap(([judge]) => [judge.pass.low, judge.pass.high, baseOf(judge)]);
  const common = scaleOf(shares, true);
  return section("judges", judges.length === 1 ? "The judge" : "Judges", h("div", { class: "cards" }, judges.map(([judge, i]) => cardOf(judge, i, common))));
}

// Where the baseline stood, unless another judge said so.
function baseOf(judge) {
  const comparison = comparisonOf(judge);
  if (!comparison || comparison.outcome === "judge_changed" || (comparison.measure === "mean") === isShare(judge)) return undefined;
  return comparison.measure === "true" && judge.good === "false" ? 1 - comparison.base : comparison.base;
}

function cardOf(judge, i, common) {
  const main = mainOf(judge);
  const comparison = comparisonOf(judge);
  const asShare = isShare(judge);
  const about = data.judges[i] ?? {};
  const base = baseOf(judge);
  const bins = judge.histogram;
  const ofValues = bins?.length > 1 ? scaleFrom(bins[0].low, bins[bins.length - 1].high) : scaleOf([main?.low, main?.high, base], false);
  const scale = asShare ? common : ofValues;
  const tone = { worse: "bad", better: "good" }[comparison?.outcome] ?? "accent";
  const words = !main ? "nothing scored" : `${asShare ? "pass rate" : "mean"} ${estText(main, asShare)}`;
  const baseWords = base === undefined ? "" : `, baseline ${asShare ? percent(base) : figure(base)}`;
  return h("article", { class: "card judge-card" },
    h("h3", {}, own(judge.name)),
    h("p", { class: "quiet small" }, judge.source_type === "LLM_JUDGE" ? "" : `${WHO[judge.source_type] ?? "unknown source"} `, own(judge.source_id ?? "")),
    about.about && judge.source_type === "LLM_JUDGE" ? h("p", { class: "about" }, own(about.about)) : null,
    h("p", { class: "main" }, mainFigure(judge, main, asShare)),
    comparison ? changeOf(comparison) : null,
    (comparison?.warnings ?? []).map((warning) => h("p", { class: "warning small" }, own(warning.message))),
    main ? intervalPlot({ label: `${judge.name}: ${words}${baseWords}, n ${count(main.n)}`, scale, isShare: asShare, now: main, base, tone }) : null,
    base === undefined ? null : h("p", { class: "legend quiet small" }, "● now  ○ baseline"),
    judge.corrected ? correctedOf(judge.corrected, asShare) : null,
    distributionOf(judge, ofValues),
    countsOf(judge, i),
    (judge.warnings ?? []).map((warning) => h("p", { class: "warning small" }, own(warning.message))));
}

function mainFigure(judge, main, asShare) {
  const [large, beside] = main ? [asShare ? percent(main.estimate) : figure(main.estimate), asShare ? `good ${range(main.low, main.high, bare)}` : `mean ${range(main.low, main.high, figure)}`]
    : judge.categories?.length ? [percent(judge.categories[0].share), `said ${clip(judge.categories[0].label, 40)}`]
      : ["–", judge.n_scored ? "nothing says which verdicts are good" : "nothing scored"];
  return [h("strong", {}, large), h("span", { class: "quiet" }, " ", own(beside))];
}

function correctedOf({ estimate, low, high, n_labelled, refused }, asShare) {
  const by = `by ${counted(n_labelled, "label")} of people${refused ? " alone" : ""}`;
  return [
    h("p", { class: "change" }, h("strong", {}, asShare ? percent(estimate) : figure(estimate)),
      h("span", { class: "quiet small" }, ` ${refused ? "" : "corrected "}${by}, ${range(low, high, asShare ? bare : figure)}`)),
    refused ? h("p", { class: "warning small" }, own(`No correction by the judge: ${refused}`)) : null,
  ];
}

const WHAT = { mean: "mean ", true: "true " };

function changeOf(comparison, look = CHANGE[comparison.outcome]) {
  const asShare = comparison.measure !== "mean";
  const { difference } = comparison;
  const show = (x) => (asShare ? signed(bare(x)) : signed(figure(x)));
  const unit = asShare ? " points" : "";
  const details = [
    difference ? `${WHAT[comparison.measure] ?? ""}${show(difference.estimate)}${unit} ${range(difference.low, difference.high, show)}` : null,
    comparison.p_adjusted !== undefined ? probability(comparison.p_adjusted) : null,
    counted(comparison.n_pairs, "pair"),
    comparison.secondary ? "secondary" : null,
  ].filter(Boolean).join(" · ");
  return h("p", { class: "change" }, h("span", { class: `verdict ${look.tone}` }, mark(look), look.word), h("span", { class: "quiet small" }, ` ${details}`));
}

function distributionOf(judge, scale) {
  if (judge.histogram?.length > 1 && judge.quantiles) {
    const { p10, p50, p90 } = judge.quantiles;
    const most = Math.max(...judge.histogram.map((bin) => bin.n));
    const words = `median ${figure(p50)}, 80% between ${figure(p10)} and ${figure(p90)}; highest bar ${count(most)}`;
    return h("figure", {}, histogramPlot(`Distribution of ${judge.name}: ${words}`, judge.histogram, scale), h("figcaption", { class: "quiet small" }, words));
  }
  if (judge.categories?.length) {
    // Of what is true or false the share says it all.
    if (judge.pass && judge.categories.every(({ label }) => label === "true" || label === "false")) return null;
    return categoryBars(judge.categories, new Map(judge.categories.map(({ label }) => [label, toneOf(judge, label)])));
  }
  return null;
}

function countsOf(judge, i) {
  const source = sources.findIndex((s) => s.judge === i);
  const at = (outcome) => ({ judge: new Set([String(source)]), outcome: new Set([outcome]) });
  const good = judge.pass ? Math.round(judge.pass.estimate * judge.n_scored) : 0;
  const parts = judge.pass
    ? [{ n: good, tone: "good", word: "good" }, { n: judge.n_scored - good, tone: "bad", word: "bad" }]
    : [{ n: judge.n_scored, tone: "plain", word: "scored" }];
  const others = [
    { n: judge.n_failed, tone: "unknown", word: "failed", key: "failed" },
    { n: judge.n_abstained ?? 0, tone: "faint", word: "abstained", key: "abstained" },
    { n: judge.n_invalid ?? 0, tone: "faint", word: "rejected by people", key: "rejected" },
  ];
  const all = [...parts, ...others];
  const words = all.filter((part) => part.n).map((part) => `${part.word} ${count(part.n)}`).join(", ");
  const cell = (key, word, n, tone) => h("div", {}, h("dt", {}, word), h("dd", { class: n ? tone : "quiet" }, n && source >= 0 ? linkTo(at(key), {}, count(n)) : count(n)));
  const keys = judge.pass ? [["good", "good", good, ""], ["bad", "bad", judge.n_scored - good, "bad"]] : [["scored", "scored", judge.n_scored, ""]];
  return [
    stripPlot(words || "no judgments", all),
    h("dl", { class: "counts" }, keys.map((key) => cell(...key)), others.map(({ key, word, n, tone }) => (n || key === "failed" ? cell(key, word, n, tone) : null))),
    judge.bounds && judge.n_failed && !judge.warnings?.some((warning) => warning.code === "failures_could_decide") ? h("p", { class: "quiet small" }, `If all that failed were bad or good: ${percentOrFigure(judge.bounds.low, judge)} to ${percentOrFigure(judge.bounds.high, judge)}`) : null,
  ];
}

const percentOrFigure = (x, judge) => (isShare(judge) ? percent(x) : figure(x));

// Whether a verdict is good, as the judge's own words say.
function toneOf(judge, value) {
  const good = judge?.good;
  if (good === undefined || value === null || value === undefined) return "plain";
  if (typeof value === "number") {
    const [, sense, limit] = /^([<>]=) (.+)$/.exec(good) ?? [];
    if (!sense) return "plain";
    return (sense === ">=" ? value >= Number(limit) : value <= Number(limit)) ? "good" : "bad";
  }
  const labels = good.startsWith("[") ? JSON.parse(good) : [good];
  return labels.map(String).includes(String(value)) ? "good" : "bad";
}
