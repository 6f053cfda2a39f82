// What the report is made of: its data, and what is known of a row.

const data = block("data");
const { report, judgments: J, traces: T, sources } = data;

const outcomeOf = (row) => OUTCOMES[J.outcome[row]];
const codeOf = (row) => (J.code[row] === null ? null : data.codes[J.code[row]].code);
const verdictText = (row) => codeOf(row) ?? valueText(J.value[row]);
const nameOf = (row) => sources[J.source[row]].name;
// Names are enough where each has one source.
const repeated = new Set(sources.map((s) => s.name).filter((name, i, all) => all.indexOf(name) !== i));
const labelOf = (source) => (repeated.has(source.name) && source.source_id ? `${source.name} (${source.source_id})` : source.name);
