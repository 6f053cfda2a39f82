//! From which confidence on a judge's verdicts need no second opinion.

use std::collections::BTreeSet;

use judge_run_statistics::selective::{Verdict, threshold};

use super::calibration::{Escalation, Settings};
use super::case::Case;

/// The threshold for good and bad verdicts. With `is_refused` there is none.
pub(super) fn escalation(
    cases: &[Case<'_>],
    settings: &Settings<'_>,
    max_disagreement: f64,
    is_refused: bool,
) -> Result<Escalation, judge_run_statistics::Error> {
    let strata: BTreeSet<&str> = cases.iter().map(|case| case.stratum.as_str()).collect();
    // Without a plan all labels are treated as one random sample.
    let stratum = |case: &Case<'_>| match settings.plan {
        Some(_) => strata.iter().position(|name| *name == case.stratum).unwrap_or_default(),
        None => 0,
    };
    let given: Vec<_> = cases.iter().filter_map(|case| Some((case, case.judge?))).collect();
    let verdicts: Vec<Verdict> = given
        .iter()
        .filter_map(|(case, said)| {
            let confidence = case.item.by(settings.judge)?.confidence?;
            Some(Verdict { confidence, stratum: stratum(case), differs: case.people.map(|people| people != *said) })
        })
        .collect();
    let found = if is_refused { None } else { threshold(&verdicts, max_disagreement, 1.0 - settings.level)? };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let coverage = found.map_or(0.0, |found| found.kept as f64 / given.len() as f64);
    Ok(Escalation {
        max_disagreement,
        level: settings.level,
        below: found.map(|found| rounded_down(found.confidence)),
        n_labelled: verdicts.iter().filter(|verdict| verdict.differs.is_some()).count() as u64,
        n_kept: found.map_or(0, |found| found.labelled),
        n_differing: found.map_or(0, |found| found.differing),
        bound: found.map(|found| found.bound),
        coverage,
        n_without: (given.len() - verdicts.len()) as u64,
    })
}

/// To the four digits that records have; a threshold must not exceed the confidence at which it was found.
fn rounded_down(confidence: f64) -> f64 {
    (confidence * 1e4 + 1e-6).floor() / 1e4
}
