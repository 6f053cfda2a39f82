//! A judge's properties as JSON: for lists of judges, and for other programs.

use serde_json::{Map, Value, json};

use super::verdict::VerdictType;
use super::{AnswerForm, Judge, Unit, library};
use crate::feedback::Good;

/// `{"name", "version", "description", "verdict", "good", "unit", "requires", "digest", "aliases"}` of a judge. Of a rubric, given by all its criteria,
/// `good` is an object, by criterion, and so is `digest` if each has a request of its own.
pub fn described(judges: &[Judge]) -> Value {
    let Some(judge) = judges.first() else { return Value::Null };
    let by_criterion = |of: &dyn Fn(&Judge) -> Value| -> Value {
        judges.iter().map(|judge| (judge.criterion().unwrap_or_default().to_owned(), of(judge))).collect()
    };
    let good = |judge: &Judge| judge.good.as_ref().map(described_good).into();
    let (verdict, good, digest) = if judge.criterion().is_none() {
        (judge.described_verdict(), good(judge), judge.digest().into())
    } else {
        let criteria = by_criterion(&Judge::described_verdict);
        let is_one = matches!(judge.form, AnswerForm::Criterion { .. });
        let mut verdict = json!({"type": "rubric", "calls": if is_one { "one" } else { "each" }, "criteria": criteria});
        if judge.aggregated.is_some() {
            verdict["aggregate"] = "all".into();
        }
        let digest = if is_one { judge.digest().into() } else { by_criterion(&|judge| judge.digest().into()) };
        (verdict, by_criterion(&good), digest)
    };
    json!({
        "name": judge.file_name(),
        "version": judge.version,
        "description": judge.file_description(),
        "verdict": verdict,
        "good": good,
        "unit": judge.select.unit().as_str(),
        "requires": judge.select.requires().collect::<Vec<_>>(),
        "digest": digest,
        "aliases": library::aliases_of(judge.file_name()),
    })
}

/// What a judge may answer, in words; of a rubric by all its criteria.
pub fn verdict_in_words(judges: &[Judge]) -> String {
    let own = |judge: &Judge| {
        let or_unknown = if judge.can_abstain { ", or unknown" } else { "" };
        format!("{}{or_unknown}", judge.verdict)
    };
    let Some(first) = judges.first() else { return String::new() };
    let names: Vec<_> = judges.iter().filter_map(Judge::criterion).collect();
    if names.is_empty() {
        own(first)
    } else if judges.iter().all(|judge| judge.verdict == first.verdict) {
        format!("{}, for each of {}", own(first), names.join(", "))
    } else {
        judges.iter().zip(names).map(|(judge, name)| format!("{name}: {}", own(judge))).collect::<Vec<_>>().join("; ")
    }
}

impl Judge {
    /// `[verdict]` without defaults.
    fn described_verdict(&self) -> Value {
        let mut verdict = Map::new();
        let mut put = |key: &str, value: Value| verdict.insert(key.to_owned(), value);
        if let AnswerForm::Claims(claims) = &self.form {
            put("type", "claims".into());
            put("marks", json!(claims.marks));
            put("value", claims.formula.to_string().into());
            put("max_items", claims.max_items.into());
            for (key, number) in
                [("empty", claims.empty), ("min", self.verdict.scale().0), ("max", self.verdict.scale().1)]
            {
                if let Some(number) = number {
                    put(key, json!(number));
                }
            }
        } else {
            match &self.verdict {
                VerdictType::Boolean => _ = put("type", "boolean".into()),
                VerdictType::Category { labels } => {
                    let is_preference = self.select.unit() == Unit::Pair;
                    put("type", if is_preference { "preference" } else { "category" }.into());
                    put("labels", json!(labels));
                }
                VerdictType::Labels { labels } => {
                    put("type", "category".into());
                    put("labels", json!(labels));
                    put("multiple", true.into());
                }
                VerdictType::Integer { min, max } => {
                    put("type", "integer".into());
                    put("min", json!(min));
                    put("max", json!(max));
                }
                VerdictType::Number { min, max } => {
                    put("type", "number".into());
                    for (key, end) in [("min", min), ("max", max)] {
                        if let Some(end) = end {
                            put(key, json!(end));
                        }
                    }
                }
            }
        }
        for (key, is_declared) in [
            ("ordered", self.labels.ordered),
            ("case_sensitive", self.labels.case_sensitive),
            ("unknown", self.can_abstain),
            ("evidence", self.form == AnswerForm::Quoting),
        ] {
            if is_declared {
                put(key, true.into());
            }
        }
        if !self.labels.scores.is_empty() {
            put("scores", json!(self.labels.scores));
        }
        verdict.into()
    }
}

/// `true`, `["good"]`, `"higher"`, `">= 4"`.
fn described_good(good: &Good) -> Value {
    match good {
        Good::Boolean(good) => (*good).into(),
        Good::Labels(labels) => json!(labels),
        Good::Scale { .. } => good.to_string().into(),
    }
}
