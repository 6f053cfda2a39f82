//! What people would say of all items: a judge's rate, corrected by the labels that people gave on some.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use judge_run_statistics::calibration::{
    Corrected, Labelled, Stratum, Weights, labels_for_width, lee, post_stratified, ppi_plus_plus, rogan_gladen,
    stratified_mean,
};
use judge_run_statistics::mean::{clustered_mean, mean};
use judge_run_statistics::proportion::{wilson, wilson_effective};

pub use self::calibration::{
    CalibrateError, Calibration, CorrectedRate, Escalation, Method, Needs, Settings, StratumRow,
};
use self::case::Case;
use self::escalation::escalation;
use super::agreement::{Ends, Estimate, Warning};
use super::plan::{Strata, digests};
use super::ratings::{Item, Ratings};
use crate::feedback::Good;

/// Corrects a judge's rate.
///
/// # Errors
/// When there are no verdicts or no labels, or they are of the wrong kind.
pub fn calibrate(ratings: &Ratings, settings: &Settings<'_>) -> Result<Calibration, CalibrateError> {
    let judge = ratings.raters[settings.judge].source_id.clone();
    let name = ratings.name.clone();
    let good = settings.good.as_ref().or(ratings.good.as_ref());
    let form = Form::of(ratings, settings.judge, good)?;
    if form == Form::Number && settings.method != Method::PpiPlusPlus {
        return Err(CalibrateError::NotGoodOrBad { method: settings.method });
    }
    let (cases, n_excluded) = cases(ratings, settings, form, good);
    let verdicts: Vec<(f64, &str)> =
        cases.iter().filter_map(|case| Some((case.judge?, case.item.cluster.as_str()))).collect();
    if verdicts.is_empty() {
        return Err(CalibrateError::NoVerdicts { name, judge });
    }
    let level = settings.level;
    let pairs: Vec<(f64, f64)> = match &settings.elsewhere {
        None => cases.iter().filter_map(|case| Some((case.people?, case.judge?))).collect(),
        Some((ratings, judge, people)) => {
            let there =
                Settings { judge: *judge, people: people.clone(), plan: None, elsewhere: None, ..settings.clone() };
            self::cases(ratings, &there, form, good)
                .0
                .iter()
                .filter_map(|case| Some((case.people?, case.judge?)))
                .collect()
        }
    };
    let labels: Vec<f64> = match settings.elsewhere {
        None => cases.iter().filter_map(|case| case.people).collect(),
        Some(_) => pairs.iter().map(|(people, _)| *people).collect(),
    };
    if labels.is_empty() {
        return Err(CalibrateError::NoLabels { name, judge });
    }
    let design_effect = design_effect(&cases);
    let mut labelled = Labelled::default();
    if form == Form::Good {
        pairs.iter().for_each(|(people, judge)| labelled.add(*people > 0.5, *judge > 0.5));
    }
    let correlation = if form == Form::Good { labelled.correlation() } else { correlation(&pairs) };
    let naive = rate(&verdicts.iter().map(|(value, _)| *value).collect::<Vec<_>>(), form, design_effect, level)?;
    let human_only = human_only(&cases, settings, &labels, form, design_effect, level);
    let share = |part: u64, whole: u64| -> Option<Estimate> {
        let interval = wilson(part, whole, level).ok().filter(|_| whole > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let estimate = part as f64 / whole as f64;
        Some(Estimate { estimate, low: interval.lower, high: interval.upper })
    };
    let informedness = (form == Form::Good).then(|| labelled.informedness(level)).transpose()?;
    let mut found = Calibration {
        name,
        judge,
        n: verdicts.len() as u64,
        n_labelled: labels.len() as u64,
        n_excluded,
        naive,
        human_only,
        corrected: None,
        refused: refusal(ratings, settings, informedness.map(|(_, interval)| interval.lower), correlation, pairs.len()),
        sensitivity: share(labelled.both_pass, labelled.good()),
        specificity: share(labelled.both_fail, labelled.bad()),
        informedness: informedness.map(|(estimate, interval)| Estimate {
            estimate,
            low: interval.lower,
            high: interval.upper,
        }),
        correlation,
        adds_information: Labelled::adds_information(correlation, pairs.len() as u64),
        lambda: None,
        design_effect,
        needs: None,
        escalation: None,
        strata: rows(&cases),
        warnings: warnings(settings, &cases),
    };
    found.correct(&cases, &labelled, settings, form)?;
    if let Some(max_disagreement) = settings.max_disagreement {
        if form != Form::Good {
            return Err(CalibrateError::NoAgreement);
        }
        found.escalation = Some(escalation(&cases, settings, max_disagreement, found.refused.is_some())?);
        found.warnings.extend((design_effect > 1.0).then(|| Warning {
            code: "labels_alike",
            message: "labels of one session are correlated; the threshold assumes independent labels".to_owned(),
        }));
    }
    Ok(found)
}

/// Whether verdicts are good or bad, or numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Good,
    Number,
}

impl Form {
    fn of(ratings: &Ratings, judge: usize, good: Option<&Good>) -> Result<Self, CalibrateError> {
        let said = || ratings.items.iter().filter_map(|item| item.said(judge));
        if said().all(|said| said.is_good(good).is_some()) {
            return Ok(Self::Good);
        }
        if said().all(|said| said.number().is_some()) { Ok(Self::Number) } else { Err(CalibrateError::NotNumbers) }
    }
}

/// The items that the judge was asked about, with what people say of them; and how many labels do not count.
fn cases<'a>(ratings: &'a Ratings, settings: &Settings<'_>, form: Form, good: Option<&Good>) -> (Vec<Case<'a>>, u64) {
    let strata = Strata::of(ratings, settings.judge, good);
    let planned: Option<HashMap<_, f64>> =
        settings.plan.map(|plan| plan.items.iter().map(|item| (item.subject(), item.probability)).collect());
    let mut excluded = 0;
    let mut cases = Vec::new();
    for item in ratings.items.iter().filter(|item| item.by(settings.judge).is_some()) {
        let probability = planned.as_ref().and_then(|planned| planned.get(&item.subject()).copied());
        let is_example =
            settings.examples.contains(&item.trace_id) || item.ratings.iter().any(|rating| rating.is_example);
        let is_labelled = settings.people.iter().any(|person| item.said(*person).is_some());
        let counts = !is_example && (planned.is_none() || probability.is_some());
        let people = together(item, &settings.people, form, good).filter(|_| counts);
        excluded += u64::from(is_labelled && people.is_none());
        let said = item.said(settings.judge);
        let judge = said.and_then(|said| match form {
            Form::Good => said.is_good(good).map(|is_good| f64::from(u8::from(is_good))),
            Form::Number => said.number(),
        });
        cases.push(Case { item, stratum: strata.name(said), judge, people, probability });
    }
    (cases, excluded)
}

/// What most people say, or the mean of numbers; nothing where they are divided evenly.
#[expect(clippy::cast_precision_loss, reason = "few")]
fn together(item: &Item, people: &[usize], form: Form, good: Option<&Good>) -> Option<f64> {
    let said = || people.iter().filter_map(|person| item.said(*person));
    match form {
        Form::Number => {
            let numbers: Vec<f64> = said().filter_map(super::ratings::Said::number).collect();
            (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
        }
        Form::Good => {
            let votes: Vec<bool> = said().filter_map(|said| said.is_good(good)).collect();
            let passes = votes.iter().filter(|vote| **vote).count();
            (2 * passes != votes.len()).then(|| f64::from(u8::from(2 * passes > votes.len())))
        }
    }
}

/// How many labels of one session count as one, by what is left of them within their strata; 1 where items are apart.
fn design_effect(cases: &[Case<'_>]) -> f64 {
    let mut of_stratum: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for case in cases {
        of_stratum.entry(&case.stratum).or_default().extend(case.people);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let means: BTreeMap<&str, f64> = of_stratum
        .into_iter()
        .filter(|(_, labels)| !labels.is_empty())
        .map(|(stratum, labels)| (stratum, labels.iter().sum::<f64>() / labels.len() as f64))
        .collect();
    let rest: Vec<(f64, &str)> = cases
        .iter()
        .filter_map(|case| Some((case.people? - means.get(case.stratum.as_str())?, case.item.cluster.as_str())))
        .collect();
    let clusters: BTreeSet<&str> = rest.iter().map(|(_, cluster)| *cluster).collect();
    if clusters.len() == rest.len() {
        return 1.0;
    }
    let (values, clusters): (Vec<f64>, Vec<&str>) = rest.into_iter().unzip();
    clustered_mean(&values, &clusters).map_or(1.0, |found| found.design_effect.max(1.0))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(values: &[f64], form: Form, design_effect: f64, level: f64) -> Result<Estimate, judge_run_statistics::Error> {
    let estimate = values.iter().sum::<f64>() / values.len() as f64;
    let interval = match form {
        Form::Good => wilson_effective(estimate.clamp(0.0, 1.0), values.len() as f64 / design_effect, level)?,
        Form::Number => {
            let mut found = mean(values)?;
            found.standard_error *= design_effect.sqrt();
            found.interval(level)?
        }
    };
    Ok(Estimate { estimate, low: interval.lower, high: interval.upper })
}

/// What labels say alone: each counts for the items that it stands for.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn human_only(
    cases: &[Case<'_>],
    settings: &Settings<'_>,
    labels: &[f64],
    form: Form,
    design_effect: f64,
    level: f64,
) -> Option<Estimate> {
    if settings.plan.is_none() || settings.elsewhere.is_some() {
        return rate(labels, form, design_effect, level).ok();
    }
    let weighted: Vec<(f64, f64)> =
        cases.iter().filter_map(|case| Some((case.people?, 1.0 / case.probability?))).collect();
    let weights: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let squares: f64 = weighted.iter().map(|(_, weight)| weight * weight).sum();
    let estimate = weighted.iter().map(|(label, weight)| label * weight).sum::<f64>() / weights;
    // Kish's effective number.
    let effective = weights * weights / squares / design_effect;
    let interval = match form {
        Form::Good => wilson_effective(estimate.clamp(0.0, 1.0), effective, level).ok()?,
        Form::Number => {
            let mut found = mean(labels).ok()?;
            found.mean = estimate;
            found.standard_error *= (labels.len() as f64 / effective).sqrt();
            found.interval(level).ok()?
        }
    };
    Some(Estimate { estimate, low: interval.lower, high: interval.upper })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let sums = pairs.iter().fold((0.0, 0.0, 0.0), |(xy, xx, yy), (x, y)| {
        (xy + (x - a) * (y - b), xx + (x - a).powi(2), yy + (y - b).powi(2))
    });
    let product = sums.1 * sums.2;
    if product > 0.0 { sums.0 / product.sqrt() } else { 0.0 }
}

/// Why the judge should correct nothing.
fn refusal(
    ratings: &Ratings,
    settings: &Settings<'_>,
    lowest: Option<f64>,
    correlation: f64,
    labels: usize,
) -> Option<String> {
    let now = digests(ratings, settings.judge);
    if let Some(plan) = settings.plan
        && settings.elsewhere.is_none()
        && plan.digests != now
    {
        return Some("the judge changed since the labels were planned: its verdicts are of another version".to_owned());
    }
    if now.len() > 1 {
        let n = now.len();
        return Some(format!(
            "the judge changed: the verdicts are of {n} versions, and labels of one say nothing of another"
        ));
    }
    if let Some((there, judge, _)) = &settings.elsewhere {
        if digests(there, *judge) != now {
            return Some(
                "the labels are about another version of the judge, whose error rates do not carry over".to_owned(),
            );
        }
        if there.raters[*judge] != ratings.raters[settings.judge] {
            return Some("the labels are about another judge, whose error rates do not carry over".to_owned());
        }
    }
    // Fisher's z, for numbers: about two standard errors.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let is_chance = match lowest {
        Some(lowest) => lowest <= 0.0,
        None => labels < 4 || correlation.atanh() * (labels as f64 - 3.0).sqrt() <= 1.96,
    };
    is_chance.then(|| {
        let noun = if labels == 1 { "label" } else { "labels" };
        format!("by {labels} {noun} the judge cannot be told from chance")
    })
}

fn rows(cases: &[Case<'_>]) -> Vec<StratumRow> {
    let mut of_stratum: BTreeMap<&str, (u64, Vec<f64>)> = BTreeMap::new();
    for case in cases {
        let (n, labels) = of_stratum.entry(&case.stratum).or_default();
        *n += 1;
        labels.extend(case.people);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let row = |(stratum, (n, labels)): (&str, (u64, Vec<f64>))| StratumRow {
        stratum: stratum.to_owned(),
        n,
        n_labelled: labels.len() as u64,
        people: (!labels.is_empty()).then(|| labels.iter().sum::<f64>() / labels.len() as f64),
    };
    of_stratum.into_iter().map(row).collect()
}

fn warnings(settings: &Settings<'_>, cases: &[Case<'_>]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let is_sample = settings.method != Method::RoganGladen;
    if settings.plan.is_none() && is_sample {
        warnings.push(Warning {
            code: "not_planned",
            message: "the labels were not drawn by `label-plan`: the result presumes that they are a random sample"
                .to_owned(),
        });
    }
    if settings.plan.is_some() && !is_sample {
        warnings.push(Warning {
            code: "planned_by_verdict",
            message: "the labels were drawn by verdict, which shifts sensitivity and specificity: `jeffreys` fits them"
                .to_owned(),
        });
    }
    let drawn = cases.iter().filter(|case| case.probability.is_some());
    let open = drawn.filter(|case| case.people.is_none()).count();
    if open > 0 {
        warnings.push(Warning {
            code: "not_labelled",
            message: format!(
                "{open} items of the plan have no label that counts; the result presumes that this is by chance"
            ),
        });
    }
    let unlabelled: Vec<StratumRow> = rows(cases).into_iter().filter(|row| row.n_labelled == 0).collect();
    if is_sample && !unlabelled.is_empty() {
        let names: Vec<&str> = unlabelled.iter().map(|row| row.stratum.as_str()).collect();
        warnings.push(Warning {
            code: "stratum_without_labels",
            message: format!(
                "nobody labelled any item whose verdict is {}: of these nothing is known",
                names.join(", ")
            ),
        });
    }
    warnings
}

impl Calibration {
    fn correct(
        &mut self,
        cases: &[Case<'_>],
        labelled: &Labelled,
        settings: &Settings<'_>,
        form: Form,
    ) -> Result<(), judge_run_statistics::Error> {
        let (level, effect) = (settings.level, self.design_effect);
        let strata: Vec<Stratum> = rows(cases)
            .iter()
            .map(|row| {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
                let passed = row.people.unwrap_or_default() * row.n_labelled as f64;
                Stratum { items: row.n, labelled: row.n_labelled, passed }
            })
            .collect();
        if form == Form::Good && settings.elsewhere.is_none() && settings.width > 0.0 {
            let labels = labels_for_width(&strata, Weights::Population, settings.width, effect, level).ok();
            self.needs = labels.map(|labels| Needs { width: settings.width, labels });
        }
        if self.refused.is_some() {
            self.corrected = self.human_only.map(|Estimate { estimate, low, high }| CorrectedRate {
                estimate,
                low,
                high,
                method: "human_only",
                delta: None,
            });
            return Ok(());
        }
        let mut delta = None;
        let corrected = match settings.method {
            Method::Jeffreys => post_stratified(&strata, Weights::Population, effect, level)?,
            Method::RoganGladen => {
                let passed = cases.iter().filter(|case| case.judge == Some(1.0)).count() as u64;
                let plain = rogan_gladen(labelled, passed, self.n, level)?;
                delta = Some(Ends { low: plain.interval.lower, high: plain.interval.upper });
                lee(labelled, passed, self.n, level)?
            }
            Method::PpiPlusPlus if settings.plan.is_some() => of_strata(cases, effect, level)?,
            Method::PpiPlusPlus => {
                let pairs = cases.iter().filter_map(|case| Some((case.people?, case.judge?)));
                let (people, judge): (Vec<f64>, Vec<f64>) = pairs.unzip();
                let all: Vec<f64> = cases.iter().filter_map(|case| case.judge).collect();
                let found = ppi_plus_plus(&people, &judge, &all, effect, level)?;
                self.lambda = Some(found.lambda);
                found.corrected
            }
        };
        let Corrected { estimate, interval, .. } = corrected;
        let bounded = |value: f64| if form == Form::Good { value.clamp(0.0, 1.0) } else { value };
        self.corrected = Some(CorrectedRate {
            estimate: bounded(estimate),
            low: bounded(interval.lower),
            high: bounded(interval.upper),
            method: settings.method.as_str(),
            delta,
        });
        Ok(())
    }
}

/// With more labels of some verdicts than of others, these are the strata.
fn of_strata(cases: &[Case<'_>], design_effect: f64, level: f64) -> Result<Corrected, judge_run_statistics::Error> {
    let mut of_stratum: BTreeMap<&str, (u64, Vec<f64>)> = BTreeMap::new();
    for case in cases {
        let (items, labels) = of_stratum.entry(&case.stratum).or_default();
        *items += 1;
        labels.extend(case.people);
    }
    let strata: Vec<(u64, &[f64])> = of_stratum.values().map(|(items, labels)| (*items, labels.as_slice())).collect();
    stratified_mean(&strata, design_effect, level)
}

mod calibration;
mod case;
mod escalation;
#[cfg(test)]
mod tests;
