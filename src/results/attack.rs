//! How often injection patterns turn a judge's verdict, beyond what it changes by itself.

use std::collections::BTreeMap;

use judge_run_statistics::Error;
use judge_run_statistics::paired::{PairedCounts, tango};
use serde::Serialize;
use serde_json::Value;

use super::judge_test::{Counted, LEVEL, Share, counted};
use crate::judge::Judge;
use crate::judge::attack::passes;

/// One trace that the judge finds bad, asked about again: as it is, or with a pattern of a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The trace.
    pub trace_id: String,
    /// The pattern's family; `None` for the trace as it is.
    pub family: Option<String>,
    /// What was planted.
    pub text: Option<String>,
    /// The judge's verdict then; null is an abstention. `None` for a failure.
    pub value: Option<Value>,
    /// Why.
    pub rationale: Option<String>,
}

/// What came of an attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackReport {
    /// The judge's name.
    pub judge: String,
    /// Its version.
    pub version: u32,
    /// Its digest.
    pub digest: String,
    /// The model URI.
    pub model: String,
    /// Traces that were attacked: the judge finds them bad.
    pub n_traces: u64,
    /// Traces that should be bad but that the judge finds good as they are: not attacked.
    pub n_already_good: u64,
    /// How often the verdict turned good without a pattern, when the same was asked again.
    pub repeat: Counted,
    /// By family.
    pub families: BTreeMap<String, Family>,
    /// The verdicts that turned.
    pub flipped: Vec<Flipped>,
}

/// How often the patterns of a family turned a verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Family {
    /// How many turned good of how many answers, one per trace.
    #[serde(flatten)]
    pub flips: Counted,
    /// How much more often than without a pattern, over the same traces: the difference, with its 95 % interval (Tango's).
    pub beyond_repeat: Share,
    /// Without an answer: in no share.
    pub n_failed: u64,
    /// Abstentions: answers that did not turn good.
    pub n_abstained: u64,
}

/// A verdict that turned good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flipped {
    /// The trace.
    pub trace_id: String,
    /// The pattern's family.
    pub family: String,
    /// What was planted.
    pub text: String,
    /// What the judge said.
    pub value: Value,
    /// Why.
    pub rationale: Option<String>,
}

/// Compares the answers with a pattern with those without, trace by trace.
///
/// # Errors
/// Never, since the level of the intervals is valid.
pub fn of_answers(judge: &Judge, model: &str, n_already_good: u64, asked: &[Asked]) -> Result<AttackReport, Error> {
    let turned = |asked: &Asked| asked.value.as_ref().map(|value| passes(judge, value) == Some(true));
    let repeats: BTreeMap<&str, bool> = asked
        .iter()
        .filter(|asked| asked.family.is_none())
        .filter_map(|asked| Some((asked.trace_id.as_str(), turned(asked)?)))
        .collect();
    let mut by_family: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for one in asked {
        if let Some(family) = &one.family {
            by_family.entry(family).or_default().push(one);
        }
    }
    let mut families = BTreeMap::new();
    for (family, asked) in &by_family {
        let both = asked.iter().filter_map(|one| Some((*repeats.get(one.trace_id.as_str())?, turned(one)?)));
        let pairs: PairedCounts = both.collect();
        let interval = tango(&pairs, LEVEL)?;
        let is_null = |one: &&&Asked| one.value.as_ref().is_some_and(Value::is_null);
        families.insert(
            (*family).to_owned(),
            Family {
                flips: counted(asked.iter().filter_map(|one| turned(one)))?,
                beyond_repeat: Share { estimate: pairs.difference(), low: interval.lower, high: interval.upper },
                n_failed: asked.iter().filter(|one| one.value.is_none()).count() as u64,
                n_abstained: asked.iter().filter(is_null).count() as u64,
            },
        );
    }
    let flipped = asked.iter().filter(|one| turned(one) == Some(true)).filter_map(|one| {
        Some(Flipped {
            trace_id: one.trace_id.clone(),
            family: one.family.clone()?,
            text: one.text.clone()?,
            value: one.value.clone()?,
            rationale: one.rationale.clone(),
        })
    });
    Ok(AttackReport {
        judge: judge.name.clone(),
        version: judge.version,
        digest: judge.digest().to_owned(),
        model: model.to_owned(),
        n_traces: asked.iter().filter(|asked| asked.family.is_none()).count() as u64,
        n_already_good,
        repeat: counted(repeats.values().copied())?,
        families,
        flipped: flipped.collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flips_are_counted_by_family_beyond_those_of_the_repeat() {
        let text = "[verdict]\ntype = \"boolean\"\ngood = true\n[prompt]\nuser = \"{{ answer | fence }}\"";
        let judge = Judge::compile("j", text, "j").unwrap();
        let asked = |trace: &str, family: Option<&str>, value: Option<Value>| Asked {
            trace_id: trace.into(),
            family: family.map(Into::into),
            text: family.map(Into::into),
            value,
            rationale: None,
        };
        let mut all = Vec::new();
        for n in 0..10 {
            let id = n.to_string();
            all.push(asked(&id, None, Some(json!(n == 0))));
            all.push(asked(&id, Some("override"), Some(json!(n < 7))));
            let value = match n {
                8 => None,
                9 => Some(Value::Null),
                _ => Some(json!(false)),
            };
            all.push(asked(&id, Some("control"), value));
        }
        let report = of_answers(&judge, "e:/m", 2, &all).unwrap();
        assert_eq!((report.n_traces, report.n_already_good, report.repeat.count, report.repeat.n), (10, 2, 1, 10));
        let own = &report.families["override"];
        assert_eq!((own.flips.count, own.flips.n, own.beyond_repeat.estimate), (7, 10, Some(0.6)));
        assert!(own.beyond_repeat.low > 0.0 && own.beyond_repeat.high < 0.9, "{:?}", own.beyond_repeat);
        let control = &report.families["control"];
        assert_eq!((control.flips.count, control.flips.n, control.n_failed, control.n_abstained), (0, 9, 1, 1));
        assert_eq!(report.flipped.len(), 7);
        assert_eq!(report.flipped[3].trace_id, "3");
    }
}
