//! In a report: what people would say about all that a judge judged, where they labelled some of it.

use std::collections::{BTreeMap, BTreeSet};

use super::calibrate::{CalibrateError, Calibration, Method, Settings, calibrate};
use super::plan::Plans;
use super::ratings::{Rater, Ratings};
use crate::feedback::SourceType;
use crate::feedback::log::{OpenError, StandingRecords};
use crate::results::report::{Corrected, CorrectionMethod, JudgeReport, Report};

/// What is known in addition to the log.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// How labelled items were drawn.
    pub plans: Plans,
    /// By the judge's name, the traces that it was written with: their labels prove nothing.
    pub examples: BTreeMap<String, BTreeSet<String>>,
}

/// Adds the corrected rate, or mean, of each judge whose items people labelled. If no one did, nothing is read.
///
/// # Errors
/// When a log can no longer be read.
pub fn add_corrected(
    report: &mut Report,
    records: &mut StandingRecords,
    known: &Known,
    level: f64,
) -> Result<(), OpenError> {
    let is_label = |judge: &&JudgeReport| judge.source_type == SourceType::Human && judge.figures.n_scored > 0;
    let labelled: BTreeSet<String> = report.judges.iter().filter(is_label).map(|judge| judge.name.clone()).collect();
    for name in labelled {
        let is_judged = |judge: &JudgeReport| judge.name == name && is_judge(judge.source_type);
        if !report.judges.iter().any(is_judged) {
            continue;
        }
        let ratings = Ratings::read_verdicts(records, &name)?;
        for judge in report.judges.iter_mut().filter(|judge| is_judged(judge)) {
            judge.corrected = of_judge(&ratings, judge, known, level);
        }
    }
    Ok(())
}

fn is_judge(source_type: SourceType) -> bool {
    matches!(source_type, SourceType::LlmJudge | SourceType::Code)
}

fn of_judge(ratings: &Ratings, judge: &JudgeReport, known: &Known, level: f64) -> Option<Corrected> {
    let is_it = |rater: &Rater| (rater.source_type, &rater.source_id) == (judge.source_type, &judge.source_id);
    let rater = ratings.raters.iter().position(is_it)?;
    // An aggregate of people's votes is not a judge.
    let is_of_people = judge.source_type == SourceType::Code
        && !ratings.items.iter().filter_map(|item| item.by(rater)).any(|rating| rating.digest.is_some());
    if is_of_people {
        return None;
    }
    let plan = known.plans.of(&judge.name, &judge.source_id);
    let settings = Settings {
        judge: rater,
        people: ratings.of_type(SourceType::Human),
        method: Method::Jeffreys,
        good: judge.good.as_ref().and_then(|good| good.parse().ok()),
        level,
        width: 0.0,
        max_disagreement: None,
        plan,
        examples: known.examples.get(&judge.name).cloned().unwrap_or_default(),
        elsewhere: None,
    };
    let found = match calibrate(ratings, &settings) {
        Err(CalibrateError::NotGoodOrBad { .. }) => {
            calibrate(ratings, &Settings { method: Method::PpiPlusPlus, ..settings })
        }
        found => found,
    };
    let Calibration { n, n_labelled, n_excluded, corrected, refused, .. } = found.ok()?;
    let corrected = corrected?;
    Some(Corrected {
        estimate: corrected.estimate,
        low: corrected.low,
        high: corrected.high,
        level,
        method: match (&refused, judge.figures.pass.is_some()) {
            (Some(_), _) => CorrectionMethod::HumanOnly,
            (None, true) => CorrectionMethod::Jeffreys,
            (None, false) => CorrectionMethod::PpiPlusPlus,
        },
        n,
        n_labelled,
        n_excluded,
        is_planned: plan.is_some(),
        refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::by::TraceFacts;
    use crate::results::{Options, Results};

    fn line(trace: usize, by: &str, value: &str, more: &str) -> String {
        let kind = if by.starts_with("openai") { "LLM_JUDGE" } else { "HUMAN" };
        let metadata = if kind == "LLM_JUDGE" {
            format!(r#""judge_prompt":"p","judge_digest":"d"{more}"#)
        } else {
            more.to_owned()
        };
        format!(
            "{{\"assessment_id\":\"{kind}-{trace}\",\"name\":\"j\",\"value\":{value},\"trace_id\":\"t{trace}\",\
             \"source\":{{\"source_type\":\"{kind}\",\"source_id\":\"{by}\"}},\"metadata\":{{{metadata}}}}}\n"
        )
    }

    /// STATISTICS: of 1,000 items 700 pass; of 80 labels 45 pass with the judge, 8 without, 5 fail where it passes, 22 with it.
    fn small() -> String {
        let mut log: String = (0..1000)
            .map(|trace| line(trace, "openai:/m", if trace < 700 { "true" } else { "false" }, r#","good":"true""#))
            .collect();
        let labels = [(0..45, true), (45..53, false), (700..705, true), (705..727, false)];
        for (traces, value) in labels {
            log.extend(traces.map(|trace| line(trace, "anna", if value { "true" } else { "false" }, "")));
        }
        log
    }

    fn corrected(log: &str, known: &Known) -> Option<Corrected> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, log).unwrap();
        let mut records = StandingRecords::of(&[path]).unwrap();
        let results = Results::read(&mut records, &[], &TraceFacts::default()).unwrap();
        let mut report = results.report(vec!["f".into()], &Options::default(), 0);
        add_corrected(&mut report, &mut records, known, 0.95).unwrap();
        report.judges[0].corrected.clone()
    }

    #[test]
    fn labels_of_some_correct_the_rate_of_all() {
        let found = corrected(&small(), &Known::default()).unwrap();
        // Post-stratified Jeffreys, by numerical integration: 0.56235, 0.65001, 0.72713.
        for (figure, expected) in [(found.low, 0.56235), (found.estimate, 0.65001), (found.high, 0.72713)] {
            assert!((figure - expected).abs() < 2e-4, "{found:?}");
        }
        assert_eq!((found.n, found.n_labelled, found.is_planned), (1000, 80, false));
        assert_eq!((found.method, found.refused), (CorrectionMethod::Jeffreys, None));
    }

    #[test]
    fn a_judge_that_tells_nothing_corrects_nothing() {
        let log = small().replace("\"value\":false,\"trace_id\":\"t7", "\"value\":true,\"trace_id\":\"t7");
        let found = corrected(&log, &Known::default()).unwrap();
        assert_eq!(found.method, CorrectionMethod::HumanOnly);
        assert!(found.refused.is_some_and(|why| why.contains("chance")));
    }

    #[test]
    fn labels_of_examples_do_not_count() {
        let examples = BTreeMap::from([("j".to_owned(), BTreeSet::from(["t0".to_owned(), "t700".to_owned()]))]);
        let found = corrected(&small(), &Known { examples, ..Known::default() }).unwrap();
        assert_eq!((found.n_labelled, found.n_excluded), (78, 2));
    }

    #[test]
    fn without_labels_there_is_nothing() {
        let log: String = (0..5).map(|trace| line(trace, "openai:/m", "true", "")).collect();
        assert_eq!(corrected(&log, &Known::default()), None);
        let people: String = (0..5).map(|trace| line(trace, "anna", "true", "")).collect();
        assert_eq!(corrected(&people, &Known::default()), None);
    }
}
