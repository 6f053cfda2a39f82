//! A judge's properties as JSON: for lists of judges, and for other programs.

use serde_json::{Map, Value, json};

use super::verdict::VerdictType;
use super::{AnswerForm, Judge, Unit, library};
use crate::feedback::Good;

impl Judge {
    /// `{"name", "version", "description", "verdict", "good", "unit", "requires", "digest", "aliases"}`.
    pub fn described(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "verdict": self.described_verdict(),
            "good": self.good.as_ref().map(described_good),
            "unit": self.select.unit().as_str(),
            "requires": self.select.requires().collect::<Vec<_>>(),
            "digest": self.digest(),
            "aliases": library::aliases_of(&self.name),
        })
    }

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
