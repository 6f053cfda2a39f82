//! Judge files: a named question with a prompt, a verdict type and a version, in TOML.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::answer_form::AnswerForm;
use super::claims::Claims;
use super::code::CodeTable;
use super::examples::Example;
use super::kind::JudgeKind;
use super::labels::LabelTraits;
use super::pair;
use super::parameters::{Given, ParamsTable};
use super::program::CommandTable;
use super::rubric::{Aggregated, Criterion, Rubric};
use super::select::SelectTable;
use super::verdict::VerdictType;
use crate::endpoint::ModelUri;
use crate::endpoint::wire::chat::Sampling;
use crate::feedback::{Better, Good};

/// A judge file as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeFile {
    /// Who gives the verdict.
    #[serde(default)]
    pub r#type: JudgeKind,
    /// Goes up when the question changes; part of the record's `judge_prompt`.
    #[serde(default = "first_version")]
    pub version: u32,
    /// What the judge finds out, in one line.
    #[serde(default)]
    pub description: String,
    /// The model to ask, unless the command line or the configuration names one.
    pub model: Option<ModelUri>,
    /// What is judged: traces, spans, sessions or pairs of outputs.
    #[serde(default)]
    pub select: SelectTable,
    /// What the judge may answer.
    pub verdict: VerdictTable,
    /// Of a rubric: what is judged, each by itself.
    #[serde(default)]
    pub criteria: Vec<CriterionTable>,
    /// The question, of a judge that asks a model.
    pub prompt: Option<Prompts>,
    /// What is computed, of a judge of the type `code`.
    pub code: Option<CodeTable>,
    /// The program, of a judge of the type `command`.
    pub command: Option<CommandTable>,
    /// How the answer is sampled, and what the judge leaves to its user to say.
    #[serde(default)]
    pub params: ParamsTable,
    /// Judgments as they should be.
    #[serde(default)]
    pub examples: Vec<Example>,
}

fn first_version() -> u32 {
    1
}

/// `[[criteria]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriterionTable {
    name: String,
    pub(super) description: String,
    verdict: VerdictTable,
}

/// The parts of a judge file that give separate feedback.
pub(super) struct Part {
    /// Of a rubric.
    pub(super) criterion: Option<PartOfRubric>,
    pub(super) verdict: VerdictType,
    pub(super) labels: LabelTraits,
    /// Whether it may say that the material does not allow a verdict.
    pub(super) can_abstain: bool,
    pub(super) form: AnswerForm,
    pub(super) good: Option<Good>,
    /// How many there are.
    pub(super) parts: usize,
    /// Of a rubric whose verdicts come to one: all its criteria.
    pub(super) aggregated: Option<Aggregated>,
}

/// What a criterion is besides its verdict.
pub(super) struct PartOfRubric {
    pub(super) name: String,
    pub(super) description: String,
    /// Whether it is asked about in a request of its own.
    pub(super) is_alone: bool,
}

/// What may be set of a rubric, besides its parameters.
const CALLS: &str = "calls";

impl JudgeFile {
    /// What [`ParamsTable::said`] says. Of a rubric `calls` may be said, too: what it costs is for its user to decide.
    ///
    /// # Errors
    /// When what was said is none of what there is.
    pub(super) fn said(&mut self, given: &Given) -> Result<(Sampling, Option<NonZeroU32>, Given), String> {
        let (sampling, k, mut given) = self.params.said(given)?;
        if self.verdict.r#type == VerdictKind::Rubric
            && !self.params.parameters.contains_key(CALLS)
            && let Some(texts) = given.remove(CALLS)
        {
            self.verdict.calls = Some(match texts.last().map_or("", |text| text.trim()) {
                "one" => Calls::One,
                "each" => Calls::Each,
                _ => return Err(format!("`{CALLS}` must be one or each")),
            });
        }
        Ok((sampling, k, given))
    }

    /// One of the parts: a criterion of a rubric, or else the whole.
    ///
    /// # Errors
    /// The table at fault, and what is wrong with it.
    pub(super) fn part(&self, index: usize) -> Result<Part, (&'static str, String)> {
        let in_verdict = |reason| ("verdict", reason);
        let Some((calls, order)) = self.verdict.rubric().map_err(in_verdict)? else {
            if !self.criteria.is_empty() {
                return Err(in_verdict("[[criteria]] require type = \"rubric\"".to_owned()));
            }
            let verdict = self.verdict.verdict_type().map_err(in_verdict)?;
            let labels = self.verdict.label_traits(&verdict).map_err(in_verdict)?;
            let can_abstain = self.verdict.unknown;
            let form = self.verdict.answer_form().map_err(in_verdict)?;
            let good = self.verdict.good(&verdict).map_err(in_verdict)?;
            return Ok(Part { criterion: None, verdict, labels, can_abstain, form, good, parts: 1, aggregated: None });
        };
        let criterion = |table: &CriterionTable| {
            let in_criterion = |reason| ("criteria", format!("`{}`: {reason}", table.name));
            let verdict = table.verdict.verdict_type().map_err(in_criterion)?;
            let labels = table.verdict.label_traits(&verdict).map_err(in_criterion)?;
            table.verdict.rubric().map_err(in_criterion)?;
            if table.verdict.is_preference() || table.verdict.answer_form().map_err(in_criterion)? != AnswerForm::Value
            {
                return Err(in_criterion("a criterion is a boolean, a category, an integer or a number".to_owned()));
            }
            let good = table.verdict.good(&verdict).map_err(in_criterion)?;
            let (name, description) = (table.name.clone(), table.description.clone());
            Ok(Criterion { name, description, verdict, labels, can_abstain: table.verdict.unknown, good })
        };
        let criteria = self.criteria.iter().map(criterion).collect::<Result<Vec<_>, _>>()?;
        let rubric = Rubric::new(criteria, order == Order::Shuffle).map_err(|reason| ("criteria", reason))?;
        let parts = rubric.criteria.len();
        let aggregated = self.verdict.aggregate.map(|RubricAggregate::All| rubric.aggregated()).transpose();
        let aggregated = aggregated.map_err(|reason| ("criteria", reason))?;
        let Criterion { name, description, verdict, labels, can_abstain, good } =
            rubric.criteria[index.min(parts - 1)].clone();
        let criterion =
            PartOfRubric { name, description: description.trim().to_owned(), is_alone: calls == Calls::Each };
        let form = match calls {
            Calls::One => AnswerForm::Criterion { rubric: Arc::new(rubric), index },
            Calls::Each => AnswerForm::Value,
        };
        Ok(Part { criterion: Some(criterion), verdict, labels, can_abstain, form, good, parts, aggregated })
    }
}

/// The number of requests of a rubric per trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Calls {
    /// One for all criteria.
    #[default]
    One,
    /// One for each.
    Each,
}

/// What the verdicts on all criteria come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RubricAggregate {
    /// Whether all of them are good.
    All,
}

/// The order in which criteria are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// One of a few, by trace.
    #[default]
    Shuffle,
    /// That of the file.
    Fixed,
}

/// `[prompt]`: the two messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// The instructions: the same for all traces, so that providers' prefix caches hit. No variables.
    pub system: Option<Spanned<String>>,
    /// The trace, as a Jinja template.
    pub user: Spanned<String>,
    /// Tokens that both messages may have, by the estimate of [`crate::endpoint::wire::chat::ChatRequest::estimated_input_tokens`].
    pub max_input_tokens: Option<u32>,
    /// What to do with a longer prompt.
    pub truncate: Option<Truncate>,
}

impl Prompts {
    /// Of a judge that asks no model.
    pub(super) fn none() -> Self {
        Self { system: None, user: Spanned::new(0..0, String::new()), max_input_tokens: None, truncate: None }
    }
}

/// What to do with a prompt that is longer than the judge allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Truncate {
    /// It is not asked, and recorded as too large.
    #[default]
    Fail,
    /// The longest values of the trace lose their middle.
    Middle,
}

/// `[verdict]` as written: flat, so that messages name the wrong field.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictTable {
    r#type: VerdictKind,
    min: Option<f64>,
    max: Option<f64>,
    labels: Option<Vec<String>>,
    marks: Option<Vec<String>>,
    max_items: Option<u32>,
    value: Option<String>,
    empty: Option<f64>,
    #[serde(default)]
    evidence: bool,
    calls: Option<Calls>,
    order: Option<Order>,
    aggregate: Option<RubricAggregate>,
    good: Option<toml::Value>,
    better: Option<Better>,
    threshold: Option<f64>,
    #[serde(default)]
    pub(super) unknown: bool,
    #[serde(default)]
    multiple: bool,
    #[serde(default)]
    ordered: bool,
    #[serde(default)]
    case_sensitive: bool,
    #[serde(default)]
    scores: BTreeMap<String, f64>,
    ties: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VerdictKind {
    Boolean,
    Category,
    Integer,
    Number,
    Claims,
    Rubric,
    Preference,
}

impl VerdictTable {
    /// The declared type, if the table makes sense.
    ///
    /// # Errors
    /// Which field is missing, superfluous or wrong.
    pub fn verdict_type(&self) -> Result<VerdictType, String> {
        let Self { r#type, min, max, labels, ties, .. } = self;
        if labels.is_some() && *r#type != VerdictKind::Category {
            return Err("`labels` requires type = \"category\"".to_owned());
        }
        let is_number = matches!(r#type, VerdictKind::Integer | VerdictKind::Number | VerdictKind::Claims);
        if (min.is_some() || max.is_some()) && !is_number {
            return Err("`min` and `max` require type = \"integer\", \"number\" or \"claims\"".to_owned());
        }
        if ties.is_some() && *r#type != VerdictKind::Preference {
            return Err("`ties` requires type = \"preference\"".to_owned());
        }
        let verdict = match r#type {
            VerdictKind::Boolean => VerdictType::Boolean,
            VerdictKind::Preference => pair::preference(ties.unwrap_or(true)),
            VerdictKind::Category => {
                let labels =
                    labels.clone().ok_or("a category requires `labels`, such as labels = [\"good\", \"bad\"]")?;
                if self.multiple { VerdictType::Labels { labels } } else { VerdictType::Category { labels } }
            }
            VerdictKind::Integer => {
                let whole = |end: Option<f64>, name| {
                    let end = end.ok_or(format!("an integer scale requires `{name}`"))?;
                    if end.fract() != 0.0 || end.abs() > 1e15 {
                        return Err(format!("`{name}` of an integer scale must be a whole number, not {end}"));
                    }
                    #[expect(clippy::cast_possible_truncation, reason = "whole and far below i64::MAX")]
                    Ok(end as i64)
                };
                VerdictType::Integer { min: whole(*min, "min")?, max: whole(*max, "max")? }
            }
            VerdictKind::Rubric => return Err("a criterion cannot be a rubric".to_owned()),
            VerdictKind::Number | VerdictKind::Claims => VerdictType::Number { min: *min, max: *max },
        };
        verdict.validate()?;
        Ok(verdict)
    }

    /// What is declared of the labels, if the table makes sense.
    ///
    /// # Errors
    /// Which field contradicts the type or another field.
    pub fn label_traits(&self, verdict: &VerdictType) -> Result<LabelTraits, String> {
        if self.is_preference() && (self.multiple || self.ordered || self.case_sensitive || !self.scores.is_empty()) {
            return Err("`multiple`, `ordered`, `case_sensitive` and `scores` require type = \"category\"".to_owned());
        }
        let traits =
            LabelTraits { ordered: self.ordered, case_sensitive: self.case_sensitive, scores: self.scores.clone() };
        match verdict {
            VerdictType::Category { labels } => traits.validate(labels, false)?,
            VerdictType::Labels { labels } => traits.validate(labels, true)?,
            _ if self.multiple || traits != LabelTraits::default() => {
                return Err(
                    "`multiple`, `ordered`, `case_sensitive` and `scores` require type = \"category\"".to_owned()
                );
            }
            _ => {}
        }
        Ok(traits)
    }

    /// Whether it is about which of two outputs is better.
    pub(super) fn is_preference(&self) -> bool {
        self.r#type == VerdictKind::Preference
    }

    /// How the criteria are asked about, if there are any.
    ///
    /// # Errors
    /// Which field is superfluous.
    fn rubric(&self) -> Result<Option<(Calls, Order)>, String> {
        let Self { r#type, calls, order, aggregate, good, better, threshold, evidence, .. } = self;
        if *r#type != VerdictKind::Rubric {
            let of_rubrics =
                [("calls", calls.is_some()), ("order", order.is_some()), ("aggregate", aggregate.is_some())];
            return match of_rubrics.iter().find(|(_, is_there)| *is_there) {
                Some((name, _)) => Err(format!("`{name}` requires type = \"rubric\"")),
                None => Ok(None),
            };
        }
        if good.is_some() || better.is_some() || threshold.is_some() || *evidence {
            return Err("a rubric has no verdict itself: say in each of the [[criteria]] what is good".to_owned());
        }
        if self.unknown {
            return Err("a rubric has no verdict itself: say in each of the [[criteria]] whether it may be `unknown`"
                .to_owned());
        }
        Ok(Some((calls.unwrap_or_default(), order.unwrap_or_default())))
    }

    /// How the answer is asked for.
    ///
    /// # Errors
    /// Which field is missing, superfluous or wrong.
    pub fn answer_form(&self) -> Result<AnswerForm, String> {
        let Self { r#type, marks, max_items, value, empty, evidence, .. } = self;
        if *r#type != VerdictKind::Claims {
            let of_claims = [
                ("marks", marks.is_some()),
                ("max_items", max_items.is_some()),
                ("value", value.is_some()),
                ("empty", empty.is_some()),
            ];
            return match of_claims.iter().find(|(_, is_there)| *is_there) {
                Some((name, _)) => Err(format!("`{name}` requires type = \"claims\"")),
                None if *evidence => Ok(AnswerForm::Quoting),
                None => Ok(AnswerForm::Value),
            };
        }
        if *evidence {
            return Err("each claim has a quotation: `evidence` is for other types".to_owned());
        }
        let value = value.as_ref().ok_or("claims require `value`, such as value = \"supported / total\"")?;
        Claims::new(marks.clone().unwrap_or_default(), *max_items, value, *empty).map(AnswerForm::Claims)
    }

    /// Which verdicts are good, if the table says so.
    ///
    /// # Errors
    /// When the declaration does not fit the type.
    pub fn good(&self, verdict: &VerdictType) -> Result<Option<Good>, String> {
        if self.threshold.is_some() && self.better.is_none() {
            return Err("`threshold` requires `better = \"higher\"` or `better = \"lower\"`".to_owned());
        }
        match (verdict, &self.good, self.better) {
            (_, None, None) => Ok(None),
            _ if self.is_preference() => Err("a preference has winners, not good verdicts".to_owned()),
            (VerdictType::Boolean, Some(toml::Value::Boolean(good)), None) => Ok(Some(Good::Boolean(*good))),
            (VerdictType::Boolean, ..) => Err("write `good = true` or `good = false`".to_owned()),
            (
                VerdictType::Category { labels } | VerdictType::Labels { labels },
                Some(toml::Value::Array(good)),
                None,
            ) => good_labels(labels, good).map(Some),
            (VerdictType::Category { labels } | VerdictType::Labels { labels }, ..) => {
                let first = labels.first().map_or("good", String::as_str);
                Err(format!("write `good` as a list of labels, such as good = [\"{first}\"]"))
            }
            (VerdictType::Integer { .. } | VerdictType::Number { .. }, None, Some(better)) => {
                let threshold = self.threshold.map(|threshold| divides(verdict, threshold)).transpose()?;
                Ok(Some(Good::Scale { better, threshold }))
            }
            (VerdictType::Integer { .. } | VerdictType::Number { .. }, ..) => {
                Err("write `better = \"higher\"` or `better = \"lower\"` for a number".to_owned())
            }
        }
    }
}

/// A threshold outside the scale would make all verdicts good, or none.
fn divides(verdict: &VerdictType, threshold: f64) -> Result<f64, String> {
    match verdict.check(&threshold.into()) {
        Ok(_) => Ok(threshold),
        // A threshold between two whole numbers is valid, too.
        Err(_) => match verdict.scale() {
            (Some(min), Some(max)) if (min..=max).contains(&threshold) => Ok(threshold),
            _ => Err(format!("`threshold` must be {verdict}, not {threshold}")),
        },
    }
}

fn good_labels(labels: &[String], good: &[toml::Value]) -> Result<Good, String> {
    let good: Vec<String> =
        good.iter().map(|label| label.as_str().map_or_else(|| label.to_string(), ToOwned::to_owned)).collect();
    match good.iter().find(|label| !labels.contains(label)) {
        Some(unknown) => Err(format!("`good` names `{unknown}`, which is not one of the `labels`")),
        None if good.is_empty() || labels.iter().all(|label| good.contains(label)) => {
            Err("`good` must name some of the `labels`, but not all".to_owned())
        }
        None => Ok(Good::Labels(good)),
    }
}
