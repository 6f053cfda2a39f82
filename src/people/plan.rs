//! What to label: a random sample of a judge's verdicts, allocated to be most informative, with the probability of drawing each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use judge_run_statistics::calibration::neyman;
use serde::{Deserialize, Serialize};

use super::ratings::{Item, Ratings, Said};
use crate::feedback::forms::text_cell as cell;
use crate::feedback::{DOCUMENT_METADATA, Good, IdHasher};
use crate::files;

/// The version of the file.
const FORMAT: u32 = 1;
/// The minimum number of labels per stratum.
const LEAST: u64 = 5;
/// Up to this many distinct values are strata; beyond that, ranges of equal size are.
const MAX_VALUES: usize = 8;
/// The number of labels from which the share of a stratum is known better than by guessing.
const ENOUGH: u64 = 10;

/// The plans next to a log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plans {
    /// The version of the file.
    pub format: u32,
    /// At most one of each name and judge.
    pub plans: Vec<Plan>,
}

/// The items for people to label, and how they were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is judged.
    pub name: String,
    /// Whose verdicts are the strata.
    pub judge: String,
    /// The versions of the judge.
    pub digests: BTreeSet<String>,
    /// The same seed draws the same items; more labels add to them.
    pub seed: u64,
    /// Unix milliseconds.
    pub create_time_ms: i64,
    /// What the items are drawn from.
    pub strata: Vec<PlanStratum>,
    /// What is to be labelled.
    pub items: Vec<PlanItem>,
}

/// The items of one verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStratum {
    /// The verdict: `pass`, `fail`, `none`, or a value.
    pub stratum: String,
    /// All items.
    pub items: u64,
    /// Those that are drawn.
    pub labels: u64,
    /// The probability of each to be drawn.
    pub probability: f64,
}

/// An item that is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanItem {
    /// The trace.
    pub trace_id: String,
    /// The span, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Which of its documents, from 0, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_index: Option<u32>,
    /// The verdict, as the stratum's name.
    pub stratum: String,
    /// The probability with which it was drawn.
    pub probability: f64,
}

impl PlanItem {
    /// What it is, to compare.
    pub fn subject(&self) -> (&str, Option<&str>, Option<u32>) {
        (&self.trace_id, self.span_id.as_deref(), self.document_index)
    }
}

/// The stratum of a verdict: whether it is good, if known; otherwise its value.
#[derive(Debug, Clone)]
pub struct Strata {
    good: Option<Good>,
    /// Where numbers are divided.
    cuts: Option<Vec<f64>>,
}

impl Strata {
    /// Of what a judge says of all items.
    pub fn of(ratings: &Ratings, judge: usize, good: Option<&Good>) -> Self {
        let said = || ratings.items.iter().filter_map(|item| item.said(judge));
        let are_good_or_bad = said().all(|said| said.is_good(good).is_some());
        let mut numbers: Vec<f64> = said().filter_map(Said::number).collect();
        numbers.sort_by(f64::total_cmp);
        let mut distinct = numbers.clone();
        distinct.dedup();
        let is_divided = !are_good_or_bad && distinct.len() > MAX_VALUES;
        let cuts = is_divided.then(|| (1..5).map(|part| numbers[numbers.len() * part / 5]).collect());
        let good = are_good_or_bad.then(|| good.cloned().unwrap_or(Good::Boolean(true)));
        Self { good, cuts }
    }

    /// The stratum of an item.
    pub fn name(&self, said: Option<&Said>) -> String {
        let Some(said) = said else { return "none".to_owned() };
        match (&self.good, &self.cuts, said) {
            (Some(good), _, said) => match said.is_good(Some(good)).or_else(|| said.is_good(None)) {
                Some(true) => "pass".to_owned(),
                Some(false) => "fail".to_owned(),
                None => "none".to_owned(),
            },
            (None, Some(cuts), Said::Number(value)) => {
                format!("part {}", cuts.iter().filter(|cut| value >= *cut).count() + 1)
            }
            _ => said.text().unwrap_or_else(|| "none".to_owned()),
        }
    }
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish<'a> {
    /// The judge, as an index of the raters.
    pub judge: usize,
    /// Which verdicts are good, if records do not say.
    pub good: Option<&'a Good>,
    /// How many labels.
    pub labels: u64,
    /// Another draws other items.
    pub seed: u64,
    /// Unix milliseconds.
    pub now_ms: i64,
}

impl Plan {
    /// Draws items at random for each verdict of the judge, allocated to make the corrected rate most precise.
    ///
    /// # Errors
    /// When there are no items.
    pub fn draw(ratings: &Ratings, wish: &Wish<'_>) -> Result<Self, judge_run_statistics::Error> {
        let Wish { judge, labels, seed, now_ms, .. } = *wish;
        let good = wish.good.or(ratings.good.as_ref());
        let strata = Strata::of(ratings, judge, good);
        let mut of_stratum: BTreeMap<String, Vec<&Item>> = BTreeMap::new();
        for item in ratings.items.iter().filter(|item| item.by(judge).is_some()) {
            of_stratum.entry(strata.name(item.said(judge))).or_default().push(item);
        }
        let guesses =
            of_stratum.iter().map(|(stratum, items)| (items.len() as u64, guess(ratings, judge, stratum, items, good)));
        let allocation = neyman(&guesses.collect::<Vec<_>>(), labels, LEAST)?;
        let mut plan = Self {
            name: ratings.name.clone(),
            judge: ratings.raters[judge].source_id.clone(),
            digests: digests(ratings, judge),
            seed,
            create_time_ms: now_ms,
            strata: Vec::new(),
            items: Vec::new(),
        };
        let mut drawn = Vec::new();
        for ((stratum, mut items), given) in of_stratum.into_iter().zip(allocation) {
            items.sort_by_key(|item| lot(&plan, item));
            let of = |item: &&Item| PlanItem {
                trace_id: item.trace_id.clone(),
                span_id: item.span_id.clone(),
                document_index: item.document_index,
                stratum: stratum.clone(),
                probability: given.probability,
            };
            let taken = usize::try_from(given.labels).unwrap_or(usize::MAX);
            drawn.extend(items.iter().take(taken).map(|item| (lot(&plan, item), of(item))));
            let (items, labels, probability) = (items.len() as u64, given.labels, given.probability);
            plan.strata.push(PlanStratum { stratum, items, labels, probability });
        }
        // Shuffled, so that the order reveals no verdict.
        drawn.sort_by_key(|(lot, _)| *lot);
        plan.items = drawn.into_iter().map(|(_, item)| item).collect();
        Ok(plan)
    }
}

/// What people will say about a stratum, as far as known.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn guess(ratings: &Ratings, judge: usize, stratum: &str, items: &[&Item], good: Option<&Good>) -> f64 {
    let people = ratings.of_type(crate::feedback::SourceType::Human);
    let said = items.iter().filter_map(|item| {
        people.iter().filter(|person| **person != judge).find_map(|person| item.said(*person)?.is_good(good))
    });
    let said: Vec<bool> = said.collect();
    let passed = said.iter().filter(|passed| **passed).count() as f64;
    match stratum {
        _ if said.len() as u64 >= ENOUGH => (passed + 0.5) / (said.len() as f64 + 1.0),
        "pass" => 0.9,
        "fail" => 0.3,
        _ => 0.5,
    }
}

/// The versions of a judge whose verdicts are in force.
pub(super) fn digests(ratings: &Ratings, judge: usize) -> BTreeSet<String> {
    ratings.items.iter().filter_map(|item| item.by(judge)?.digest.clone()).collect()
}

fn lot(plan: &Plan, item: &Item) -> u64 {
    let mut hasher = IdHasher::new("judge-run label plan 1");
    hasher.part(&plan.seed.to_le_bytes()).part(plan.name.as_bytes()).part(item.trace_id.as_bytes());
    hasher.optional_part(item.span_id.as_deref().map(str::as_bytes));
    if let Some(index) = item.document_index {
        hasher.part(&index.to_le_bytes());
    }
    hasher.finish_u64()
}

impl Plans {
    /// The file next to a log: `x.feedback.jsonl` -> `x.feedback.label-plan.json`.
    pub fn path_of(log: &Path) -> PathBuf {
        log.with_extension("label-plan.json")
    }

    /// Reads the plans next to a log; none if there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(log: &Path) -> io::Result<Self> {
        match std::fs::read(Self::path_of(log)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(text) => {
                let plans: Self = serde_json::from_slice(&text).map_err(io::Error::other)?;
                if plans.format > FORMAT {
                    return Err(io::Error::other(format!("format {} is from a newer judge-run", plans.format)));
                }
                Ok(plans)
            }
        }
    }

    /// The plan for a name and a judge.
    pub fn of(&self, name: &str, judge: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name && plan.judge == judge)
    }

    /// Saves a plan next to a log, replacing one for the same name and judge.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn keep(log: &Path, plan: &Plan) -> io::Result<PathBuf> {
        let mut plans = Self::read(log)?;
        plans.format = FORMAT;
        plans.plans.retain(|known| known.name != plan.name || known.judge != plan.judge);
        plans.plans.push(plan.clone());
        let path = Self::path_of(log);
        files::replace(&path, |out| -> io::Result<()> {
            serde_json::to_writer_pretty(&mut *out, &plans)?;
            out.write_all(b"\n")
        })?;
        Ok(path)
    }
}

/// A row of a sheet that people fill in.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named by what they are")]
pub struct SheetRow {
    pub trace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_index: Option<String>,
    pub name: String,
    pub value: String,
    pub rationale: String,
    pub source_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_rationale: Option<String>,
}

/// Writes a sheet as CSV, in which nothing is a formula to a spreadsheet.
///
/// # Errors
/// When it cannot be written.
pub fn write_csv(rows: &[SheetRow], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    type Column = (&'static str, fn(&SheetRow) -> Option<&str>);
    let optional: [Column; 6] = [
        ("span_id", |row| row.span_id.as_deref()),
        (DOCUMENT_METADATA, |row| row.document_index.as_deref()),
        ("inputs", |row| row.inputs.as_deref()),
        ("outputs", |row| row.outputs.as_deref()),
        ("judge_value", |row| row.judge_value.as_deref()),
        ("judge_rationale", |row| row.judge_rationale.as_deref()),
    ];
    let there: Vec<_> = optional.iter().filter(|(_, of)| rows.iter().any(|row| of(row).is_some())).collect();
    let titles = ["trace_id", "name", "value", "rationale", "source_id"];
    writer.write_record(titles.iter().copied().chain(there.iter().map(|(title, _)| *title)))?;
    for row in rows {
        let SheetRow { trace_id, name, value, rationale, source_id, .. } = row;
        let empty = |text: &str| cell(Some(text).filter(|text| !text.is_empty()));
        let first = [trace_id, name, value, rationale, source_id].map(|text| empty(text));
        writer.write_record(first.into_iter().chain(there.iter().map(|(_, of)| cell(of(row)))))?;
    }
    writer.flush()
}

/// Writes a sheet as JSON lines.
///
/// # Errors
/// When it cannot be written.
pub fn write_jsonl(rows: &[SheetRow], out: &mut dyn Write) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ratings::{Rater, Rating};
    use super::*;
    use crate::feedback::SourceType;

    fn judged(n: usize, passes: impl Fn(usize) -> Said) -> Ratings {
        let item = |i: usize| Item {
            trace_id: format!("t{i}"),
            cluster: format!("t{i}"),
            ratings: vec![Rating {
                rater: 0,
                said: passes(i),
                rationale: None,
                confidence: None,
                digest: Some("d1".into()),
                is_example: false,
            }],
            ..Item::default()
        };
        Ratings {
            name: "j".into(),
            raters: vec![Rater { source_type: SourceType::LlmJudge, source_id: "m".into() }],
            items: (0..n).map(item).collect(),
            ..Ratings::default()
        }
    }

    fn wish(labels: u64, seed: u64) -> Wish<'static> {
        Wish { judge: 0, good: None, labels, seed, now_ms: 3 }
    }

    #[test]
    fn items_are_drawn_by_verdict_and_more_labels_add_to_them() {
        let ratings = judged(1_000, |i| match i % 10 {
            0 | 1 => Said::Boolean(false),
            2 => Said::Nothing,
            _ => Said::Boolean(true),
        });
        let plan = Plan::draw(&ratings, &wish(100, 7)).unwrap();
        assert_eq!((plan.items.len(), plan.digests.len()), (100, 1));
        let of: BTreeMap<_, _> = plan.strata.iter().map(|s| (s.stratum.as_str(), (s.items, s.labels))).collect();
        assert_eq!((of["pass"].0, of["fail"].0, of["none"].0), (700, 200, 100));
        // 700 × 0.3, 200 × 0.46, 100 × 0.5.
        assert!((58..=62).contains(&of["pass"].1) && (25..=28).contains(&of["fail"].1), "{of:?}");
        assert_eq!(plan, Plan::draw(&ratings, &wish(100, 7)).unwrap());
        let ids = |plan: &Plan| plan.items.iter().map(|item| item.trace_id.clone()).collect::<BTreeSet<_>>();
        assert!(ids(&plan).is_subset(&ids(&Plan::draw(&ratings, &wish(200, 7)).unwrap())));
        assert_ne!(ids(&plan), ids(&Plan::draw(&ratings, &wish(100, 8)).unwrap()));
        let pass = plan.strata.iter().find(|stratum| stratum.stratum == "pass").unwrap();
        assert!(
            plan.items.iter().filter(|item| item.stratum == "pass").all(|item| item.probability == pass.probability)
        );
    }

    #[test]
    fn numbers_are_divided_into_parts() {
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let ratings = judged(100, |i| Said::Number(i as f64));
        let plan = Plan::draw(&ratings, &wish(25, 0)).unwrap();
        assert_eq!(plan.strata.iter().map(|s| (s.items, s.labels)).collect::<Vec<_>>(), [(20, 5); 5]);
    }

    #[test]
    fn plans_are_kept_beside_the_log_one_for_each_judge() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.feedback.jsonl");
        let ratings = judged(40, |i| Said::Boolean(i % 2 == 0));
        for seed in [1, 2] {
            Plans::keep(&log, &Plan::draw(&ratings, &wish(10, seed)).unwrap()).unwrap();
        }
        let plans = Plans::read(&log).unwrap();
        assert_eq!((plans.plans.len(), plans.of("j", "m").unwrap().seed), (1, 2));
        assert!(plans.of("j", "other").is_none());
        std::fs::write(Plans::path_of(&log), "{").unwrap();
        assert!(Plans::read(&log).is_err());
    }

    #[test]
    fn a_sheet_has_no_formulas_and_no_verdicts_unless_asked() {
        let row = SheetRow {
            trace_id: "=1".into(),
            name: "j".into(),
            inputs: Some("q, \"x\"".into()),
            ..SheetRow::default()
        };
        let mut out = Vec::new();
        write_csv(std::slice::from_ref(&row), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "trace_id,name,value,rationale,source_id,inputs\n'=1,j,,,,\"q, \"\"x\"\"\"\n"
        );
        let mut out = Vec::new();
        write_jsonl(&[row], &mut out).unwrap();
        assert!(!String::from_utf8(out).unwrap().contains("judge_value"));
    }
}
