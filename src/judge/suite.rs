//! Minimal pairs: traces that differ in one thing, with the verdicts that a judge should give. They test a judge on a model.
//!
//! A line of a suite is `{"pair", "differs", "both": {...}, "one": {...}, "other": {...}}`: what both traces have, and what differs. A trace is written in short form:
//! `question`, `answer` (or `answer_a` and `answer_b`, of which one is better), `system`, `history`, `context`, `documents`, `calls`, `tools`, `turns`, expectations, and `expected`, or `expected_any` where several verdicts are right; of a rubric
//! these are objects, by criterion. `"params"` beside them sets parameters of the judge for these two traces.

mod expected;
mod short;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Given, Judge, JudgeError, library};

pub use expected::Expected;

macro_rules! suites {
    ($($name:literal)+) => {
        &[$(($name, include_str!(concat!("../../judges/tests/", $name, ".jsonl")))),+]
    };
}

/// The suites of the built-in judges.
pub const SUITES: &[(&str, &str)] = suites! {
    "bias" "citation_support" "completeness" "conciseness" "conversation_completeness" "conversation_guidelines"
    "conversation_safety" "conversation_tool_efficiency" "correctness" "document_relevance" "equivalence" "factual_accuracy" "fluency"
    "groundedness" "guidelines" "hallucination" "harm_severity" "harms" "injection_success" "instruction_following"
    "knowledge_retention" "non_advice" "pii_leak" "preference" "refusal" "relevance" "retrieval_relevance"
    "retrieval_sufficiency" "role_adherence" "safety" "summarization" "task_completion" "tool_call_correctness"
    "tool_call_efficiency" "tool_result_use" "trajectory" "user_frustration"
};

/// Judges whose subject is the form of an answer: there a change of form may change the verdict.
const OF_FORM: [&str; 8] = [
    "conciseness",
    "conversation_guidelines",
    "equivalence",
    "fluency",
    "guidelines",
    "instruction_following",
    "role_adherence",
    "summarization",
];

/// How a trace is asked about again, without a reason for another verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// As it is.
    Plain,
    /// As it is, once more: how often the verdict changes by itself.
    Placebo,
    /// The criteria of a rubric that is one request in another order; of other judges the documents, or two answers, in the opposite one.
    Order,
    /// With a courtesy at the end.
    Length,
    /// With a heading before it.
    Style,
}

impl Variant {
    /// All that are compared with [`Variant::Plain`].
    pub const OTHERS: [Self; 4] = [Self::Placebo, Self::Order, Self::Length, Self::Style];

    /// The name in reports and in trace ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Placebo => "placebo",
            Self::Order => "order",
            Self::Length => "length",
            Self::Style => "style",
        }
    }
}

/// Two traces that differ in one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    pair: String,
    differs: String,
    #[serde(default)]
    params: Map<String, Value>,
    both: Map<String, Value>,
    one: Map<String, Value>,
    other: Map<String, Value>,
}

/// A trace of a suite, and the right verdicts about it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The id of the trace that the feedback is about.
    pub trace_id: String,
    /// The pair's name.
    pub pair: String,
    /// In what the two of a pair differ.
    pub differs: String,
    /// How it is asked about.
    pub variant: Variant,
    /// What the judge's parameters are set to for it.
    pub params: Given,
    /// The right verdicts.
    pub expected: Expected,
    /// The trace, those of its session, or the two that are compared, in the plain form of datasets. None where two answers are compared in the opposite
    /// order: both orders are asked anyway.
    pub traces: Vec<Value>,
}

/// What is wrong with a suite.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct SuiteError {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads a suite, a pair each line: each trace as it is, and in those variants that leave the right verdicts what they are. `judges` is a judge, or all
/// criteria of a rubric, and `compile` compiles them with other parameters, for the lines that set some.
///
/// # Errors
/// Which line is no pair of traces with verdicts that the judges may give, or sets what is no parameter, and why.
pub fn read(
    judges: &[Judge],
    text: &str,
    compile: impl Fn(&Given) -> Result<Vec<Judge>, JudgeError>,
) -> Result<Vec<Case>, SuiteError> {
    let mut cases: Vec<Case> = Vec::new();
    let mut compiled: Vec<(Given, Vec<Judge>)> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: String| SuiteError { line: at + 1, reason };
        let pair: Pair = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if cases.iter().any(|other| other.pair == pair.pair) {
            return Err(wrong(format!("the pair `{}` appears twice", pair.pair)));
        }
        let params = params(judges, &pair).map_err(wrong)?;
        if !params.is_empty() && !compiled.iter().any(|(known, _)| *known == params) {
            let judges = compile(&params).map_err(|error| wrong(error.to_string()))?;
            compiled.push((params.clone(), judges));
        }
        let judges =
            compiled.iter().find(|(known, _)| *known == params).map_or(judges, |(_, judges)| judges.as_slice());
        for (side, own) in [("one", &pair.one), ("other", &pair.other)] {
            let whole = pair.both.iter().chain(own).map(|(key, value)| (key.clone(), value.clone())).collect();
            cases.extend(of_side(judges, (&pair, &params), side, &whole).map_err(wrong)?);
        }
    }
    if cases.is_empty() {
        return Err(SuiteError { line: 1, reason: "no pairs".to_owned() });
    }
    Ok(cases)
}

/// What a pair sets, as texts.
fn params(judges: &[Judge], pair: &Pair) -> Result<Given, String> {
    let known = judges.first().map(|judge| judge.parameters().names()).unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let of_pair = pair.params.iter().map(|(name, value)| {
        if known.contains(name) {
            return Ok((name.clone(), vec![text(value)]));
        }
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "nor any other".to_owned() } else { format!("only {}", known.join(", ")) };
        Err(format!("`params`: the judge has no parameter `{name}`, {known}"))
    });
    of_pair.collect()
}

/// One of the two traces, as it is and in its variants.
fn of_side(
    judges: &[Judge],
    (pair, params): (&Pair, &Given),
    side: &str,
    whole: &Map<String, Value>,
) -> Result<Vec<Case>, String> {
    let Some(judge) = judges.first() else { return Ok(Vec::new()) };
    let expected = expected::read(judges, whole)?;
    let has_orders = judge.form.orders() > 1;
    let named = |variant: Variant| format!("{}/{side}/{}", pair.pair, variant.as_str());
    let plain = judge.form.order_for(&named(Variant::Plain));
    let applies = |variant: &Variant| match variant {
        Variant::Plain | Variant::Placebo => true,
        Variant::Order if has_orders => true,
        Variant::Order | Variant::Length | Variant::Style if short::is_compared(whole) => true,
        Variant::Order => short::has_documents_in_any_order(whole),
        Variant::Length | Variant::Style => short::has_answer(whole) && !is_of_form(judge),
    };
    let case = |variant: Variant| {
        let order = if variant == Variant::Order { plain + judge.form.orders().div_ceil(2) } else { plain };
        let trace_id = judge.form.id_in_order(named(variant), order);
        // Only the criteria change places.
        let shown = if has_orders && variant == Variant::Order { Variant::Plain } else { variant };
        Ok(Case {
            traces: short::traces(&trace_id, whole, shown)?,
            trace_id,
            pair: pair.pair.clone(),
            differs: pair.differs.clone(),
            variant,
            params: params.clone(),
            expected: expected.clone(),
        })
    };
    [Variant::Plain].into_iter().chain(Variant::OTHERS).filter(applies).map(case).collect()
}

fn is_of_form(judge: &Judge) -> bool {
    OF_FORM.contains(&library::canonical(judge.file_name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::JudgeKind;

    /// A rubric of two criteria in one request.
    pub(super) const RUBRIC: &str = r#"
[verdict]
type = "rubric"
[[criteria]]
name = "faithful"
description = "It says nothing else."
verdict = { type = "boolean", good = true }
[[criteria]]
name = "clear"
description = "1 = unclear, 4 = clear."
verdict = { type = "integer", min = 1, max = 4, better = "higher" }
[prompt]
user = "{{ answer | fence('answer') }}"
"#;

    #[test]
    fn every_built_in_judge_has_a_suite_of_8_to_20_pairs_with_allowed_verdicts() {
        for (name, text) in library::BUILT_IN {
            let judges = Judge::compile_all(name, text, name, &Given::new()).unwrap();
            if judges[0].kind() != JudgeKind::Llm {
                continue;
            }
            let (_, suite) = SUITES.iter().find(|(suite, _)| suite == name).unwrap_or_else(|| panic!("{name}"));
            let compile = |params: &Given| Judge::compile_all(name, text, name, params);
            let cases = read(&judges, suite, compile).unwrap_or_else(|error| panic!("{name}: {error}"));
            let plain: Vec<_> = cases.iter().filter(|case| case.variant == Variant::Plain).collect();
            assert!((16..=40).contains(&plain.len()), "{name}: {}", plain.len());
            // The one difference is a difference to the judge.
            for pair in plain.chunks(2) {
                assert!(
                    pair[0].pair == pair[1].pair && pair[0].expected != pair[1].expected,
                    "{name}: {}",
                    pair[0].pair
                );
            }
            // Each criterion is expected to find something, and to find nothing.
            for judge in &judges {
                let mut right: Vec<_> = plain.iter().filter_map(|case| case.expected.get(&judge.name)).collect();
                right.dedup();
                assert!(right.len() > 1, "{}", judge.name);
            }
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let judge =
            "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ answer }}\"\n[params.strict]\ndefault = false";
        let judges = [Judge::compile("j", judge, "j").unwrap()];
        let read =
            |judges: &[Judge], text: &str| read(judges, text, |params| Judge::compile_all("j", judge, "j", params));
        let pair = r#"{"pair": "a", "differs": "d", "both": {"question": "Q"}, "one": {"expected": true, "answer": "x"}, "other": {"expected": false, "answer": "y"}}"#;
        assert_eq!(read(&judges, pair).unwrap().len(), 8, "two traces in four variants");
        let with = |params: &str| pair.replace("\"both\"", &format!("\"params\": {params}, \"both\""));
        let set = read(&judges, &with("{\"strict\": true}")).unwrap();
        assert_eq!((set.len(), &set[0].params["strict"]), (8, &vec!["true".to_owned()]));
        for (text, words) in [
            ("", "line 1: no pairs"),
            (&format!("{pair}\n\n{pair}"), "line 3: the pair `a` appears twice"),
            (&pair.replace("\"expected\": true", "\"expect\": true"), "line 1: a trace needs `expected`"),
            (
                &pair.replace("\"expected\": true", "\"expected\": 1"),
                "line 1: `expected`: the verdict must be true or false",
            ),
            (&pair.replace("\"question\"", "\"questoin\""), "line 1: a trace has no `questoin`"),
            (&pair.replace("differs", "differ"), "line 1: unknown field `differ`"),
            (&with("{\"strict\": 1}"), "line 1: j: [params]: `strict` must be true or false"),
            (&with("{\"calls\": \"each\"}"), "line 1: `params`: the judge has no parameter `calls`, only `strict`"),
        ] {
            let error = read(&judges, text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn only_the_variant_order_has_the_criteria_of_a_rubric_in_another_order() {
        let of = |text: &str| {
            let judges = Judge::compile_all("j", text, "j", &Given::new()).unwrap();
            let pair = |n: usize| {
                format!(
                    r#"{{"pair": "{n}", "differs": "d", "both": {{"documents": ["x", "y"]}}, "one": {{"expected": {{"clear": 4}}, "answer": "x"}}, "other": {{"expected": {{"clear": 1}}, "answer": "y"}}}}"#
                )
            };
            let suite: Vec<_> = (0..6).map(pair).collect();
            let cases = read(&judges, &suite.join("\n"), |_| Ok(Vec::new())).unwrap();
            let order = |case: &Case| judges[0].form.order_for(&case.trace_id);
            let documents = |case: &Case| case.traces[0]["spans"][0]["outputs"][0]["page_content"].clone();
            let traces = cases.chunks(5).map(|of_trace| {
                assert_eq!(of_trace.iter().map(|case| case.variant).collect::<Vec<_>>()[1..], Variant::OTHERS);
                let changed = |case: &&Case| order(case) != order(&of_trace[0]);
                let turned = |case: &&Case| documents(case) != documents(&of_trace[0]);
                let names = |is: &dyn Fn(&&Case) -> bool| {
                    of_trace.iter().filter(is).map(|case| case.variant.as_str()).collect::<Vec<_>>()
                };
                (names(&changed), names(&turned))
            });
            traces.collect::<Vec<_>>()
        };
        assert!(of(RUBRIC).into_iter().all(|changed| changed == (vec!["order"], vec![])));
        for alone in ["calls = \"each\"", "order = \"fixed\""] {
            let text = RUBRIC.replace("type = \"rubric\"", &format!("type = \"rubric\"\n{alone}"));
            assert!(of(&text).into_iter().all(|changed| changed == (vec![], vec!["order"])), "{alone}");
        }
    }
}
