//! From opinions to the report on them.

use std::collections::BTreeMap;

use judge_run_statistics::mean::FEW_CLUSTERS;

use super::figures::{Measure, latency};
use super::opinions::{Group, Observation, Results, Verdict};
use super::pairwise::pairwise;
use super::report::{
    Cascade, Estimate, Figures, JudgeReport, Report, SCHEMA_VERSION, Slice, Usage, Warning, WarningCode,
};
use crate::endpoint::prices::Prices;
use crate::endpoint::wire::answer;
use crate::judge::{Good, Judge, library};

/// What a report is made with, in addition to the opinions.
#[derive(Debug, Clone)]
pub struct Options {
    /// The nominal coverage of intervals, in `(0, 1)`.
    pub level: f64,
    /// Which verdicts are good, by name. It overrides the log.
    pub good: BTreeMap<String, Good>,
    /// What tokens cost, by model URI.
    pub prices: BTreeMap<String, Prices>,
    /// How much was skipped, by name and model URI.
    pub skipped: BTreeMap<(String, String), u64>,
}

impl Default for Options {
    /// A level of 0.95.
    fn default() -> Self {
        Self { level: 0.95, good: BTreeMap::new(), prices: BTreeMap::new(), skipped: BTreeMap::new() }
    }
}

/// Which verdicts of a group are good, and the source of that.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownGood {
    pub good: Option<Good>,
    pub is_assumed: bool,
}

impl Results {
    /// The report, without gates, grouped by the first `by` of the expressions. `logs` is their name in messages.
    pub fn report(&self, logs: Vec<String>, options: &Options, by: usize) -> Report {
        let judges = self.groups.iter().map(|group| self.judge(group, options, by)).collect();
        let mut warnings = Vec::new();
        if self.other_lines > 0 {
            let lines = counted(self.other_lines, "line");
            warnings.push(Warning { code: WarningCode::NotRecords, message: format!("{lines} not a feedback record") });
        }
        Report {
            schema_version: SCHEMA_VERSION,
            logs,
            judges,
            gates: Vec::new(),
            comparisons: Vec::new(),
            anchors: Vec::new(),
            warnings,
        }
    }

    /// Which verdicts of a group are good: what the user says, or else what records of this name say, or else what the built-in judge of this
    /// name says, else `true`.
    pub(super) fn good(&self, group: &Group, given: &BTreeMap<String, Good>) -> KnownGood {
        let of_records = || {
            let same_name = self.groups.iter().filter(|other| other.name == group.name);
            group.good.clone().or_else(|| same_name.rev().find_map(|other| other.good.clone()))
        };
        let known = given.get(&group.name).cloned().or_else(of_records).or_else(|| built_in_good(&group.name));
        let has_booleans = || group.observations.iter().any(|of| matches!(of.verdict, Verdict::Boolean(_)));
        match known {
            Some(good) => KnownGood { good: Some(good), is_assumed: false },
            None if has_booleans() => KnownGood { good: Some(Good::Boolean(true)), is_assumed: true },
            None => KnownGood { good: None, is_assumed: false },
        }
    }

    /// What a cascade spared the deciding model.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn cascade(&self, group: &Group, scored: u64, options: &Options) -> Option<Cascade> {
        if !group.is_aggregate() || !group.source_id.ends_with(":cascade") {
            return None;
        }
        let n_escalated = group.decided_by.values().sum();
        let n_spared = scored.saturating_sub(n_escalated);
        let decided_by = group.decided_by.iter().max_by_key(|(_, n)| **n).map(|(model, _)| model.clone());
        let saved = |model: &String| {
            let decides = self.groups.iter().find(|other| other.name == group.name && other.source_id == *model)?;
            let each = cost(decides, options.prices.get(model)?) / decides.observations.len() as f64;
            Some(each * n_spared as f64)
        };
        Some(Cascade { n_escalated, n_spared, saved_usd: decided_by.as_ref().and_then(saved), decided_by })
    }

    fn judge(&self, group: &Group, options: &Options, by: usize) -> JudgeReport {
        let known = self.good(group, &options.good);
        let measure = Measure { group, good: known.good.as_ref(), level: options.level };
        let figures = measure.figures(group.observations.iter());
        let key = (group.name.clone(), group.source_id.clone());
        let price = options.prices.get(&group.source_id);
        let slices = self.slices.iter().zip(&group.parts).take(by).flat_map(|(slices, parts)| {
            let by_part = by_part(parts, slices.values.len());
            let mut slices: Vec<_> = by_part
                .into_iter()
                .zip(&slices.values)
                .filter(|(of, _)| !of.is_empty())
                .map(|(of, value)| {
                    let figures = measure.figures(of.iter().map(|index| &group.observations[*index as usize]));
                    Slice { by: slices.by.clone(), value: value.clone(), figures }
                })
                .collect();
            slices.sort_by(|a, b| size(&b.figures).cmp(&size(&a.figures)).then_with(|| a.value.cmp(&b.value)));
            slices
        });
        JudgeReport {
            name: group.name.clone(),
            source_type: group.source_type,
            source_id: group.source_id.clone(),
            good: known.good.as_ref().map(ToString::to_string),
            n_skipped: options.skipped.get(&key).copied().unwrap_or(0),
            corrected: None,
            usage: Usage { cost_usd: price.map(|prices| cost(group, prices)), ..group.usage.clone() },
            latency_ms: latency(group.latencies_ms.clone()),
            readings: group.readings.clone(),
            evidence: group.evidence,
            cascade: self.cascade(group, figures.n_scored, options),
            pairwise: pairwise(group, options.level),
            slices: slices.collect(),
            warnings: warnings(group, &known, &figures, by, options.given_good(&group.name)),
            figures,
        }
    }
}

impl Options {
    fn given_good(&self, name: &str) -> bool {
        self.good.contains_key(name)
    }
}

/// What the built-in judge of this name declares.
fn built_in_good(name: &str) -> Option<Good> {
    let (_, text) = library::BUILT_IN.iter().find(|(known, _)| *known == name)?;
    Judge::compile(name, text, name).ok()?.good
}

fn cost(group: &Group, prices: &Prices) -> f64 {
    let Usage { input_tokens, output_tokens, cached_tokens, reasoning_tokens, .. } = group.usage;
    let cache_written_tokens = group.cache_written_tokens;
    prices.cost(&answer::Usage { input_tokens, output_tokens, cached_tokens, cache_written_tokens, reasoning_tokens })
}

/// The indices of the observations in each group.
fn by_part(parts: &[u32], count: usize) -> Vec<Vec<u32>> {
    let mut by_part = vec![Vec::new(); count];
    for (index, part) in parts.iter().enumerate() {
        if let (Some(of), Ok(index)) = (by_part.get_mut(*part as usize), u32::try_from(index)) {
            of.push(index);
        }
    }
    by_part
}

fn size(figures: &Figures) -> u64 {
    figures.n_scored + figures.n_failed + figures.n_abstained + figures.n_invalid
}

fn warnings(group: &Group, known: &KnownGood, figures: &Figures, by: usize, is_given: bool) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code, message: String| warnings.push(Warning { code, message });
    if known.is_assumed {
        let message = "the log does not say which verdicts are good: `true` is assumed".to_owned();
        warn(WarningCode::GoodAssumed, message);
    }
    if group.good_changed && !is_given {
        let good = known.good.as_ref().map(ToString::to_string).unwrap_or_default();
        warn(
            WarningCode::GoodChanged,
            format!("records disagree about which verdicts are good; using {good}, the last"),
        );
    }
    if group.versions().len() > 1 && group.is_judge() {
        let n = group.versions().len();
        warn(WarningCode::JudgeChanged, format!("the verdicts are from {n} versions of the judge"));
    }
    if kinds(&group.observations) > 1 {
        let message = "the verdicts have several types; each figure covers those it applies to".to_owned();
        warn(WarningCode::MixedTypes, message);
    }
    if let Some(clusters) = figures.clusters.filter(|clusters| clusters.n < FEW_CLUSTERS as u64) {
        let message = format!("only {}: the interval may be too narrow", counted(clusters.n, "cluster"));
        warn(WarningCode::FewClusters, message);
    }
    if let Some(message) = could_decide(figures) {
        warn(WarningCode::FailuresCouldDecide, message);
    }
    let without_part = group.parts.iter().take(by).flatten().filter(|part| **part == u32::MAX).count() as u64;
    if without_part > 0 {
        let message =
            format!("{} in no slice: the value that groups them is unknown", counted(without_part, "opinion"));
        warn(WarningCode::NotSliced, message);
    }
    warnings
}

/// Whether the figure could be outside its interval if what failed had been judged.
fn could_decide(figures: &Figures) -> Option<String> {
    let failed = figures.n_failed;
    let bounds = figures.bounds.filter(|_| failed > 0)?;
    let Estimate { low, high, n, .. } = *figures.pass.as_ref().or(figures.mean.as_ref())?;
    if bounds.low >= low && bounds.high <= high {
        return None;
    }
    let of = n + failed;
    let range = match figures.pass {
        Some(_) => format!("the share could be {:.1}% to {:.1}%", 100.0 * bounds.low, 100.0 * bounds.high),
        None => format!("the mean could be {:.3} to {:.3}", bounds.low, bounds.high),
    };
    Some(format!("{failed} of {of} failed: if they had been judged, {range}"))
}

fn kinds(observations: &[Observation]) -> u32 {
    let kind = |of: &Observation| match of.verdict {
        Verdict::Boolean(_) => 1u32,
        Verdict::Number(_) => 2,
        Verdict::Label(_) => 4,
        Verdict::Other => 8,
        Verdict::Abstained | Verdict::Rejected | Verdict::Failed(_) => 0,
    };
    observations.iter().map(kind).fold(0, |kinds, kind| kinds | kind).count_ones()
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::by::{self, TraceFacts};
    use super::*;
    use crate::feedback::SourceType;
    use crate::feedback::log::StandingRecords;
    use crate::trace::Trace;

    fn record(trace: &str, name: &str, says: &Value, metadata: &Value) -> String {
        let mut record = json!({
            "assessment_id": format!("a-{:032x}", super::super::hash::hash(&[trace, name])), "name": name,
            "source": {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "trace_id": trace, "create_time_ms": 1,
            "metadata": {"run_id": "r", "judge_prompt": "p"},
        });
        let of = |value: &Value| value.as_object().unwrap().clone();
        record["metadata"].as_object_mut().unwrap().extend(of(metadata));
        record.as_object_mut().unwrap().extend(of(says));
        record.to_string() + "\n"
    }

    fn report_by(log: &str, by: &[&str], traces: &[Trace], options: &Options) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, log).unwrap();
        let mut records = StandingRecords::of(&[path]).unwrap();
        let by = by::compile(&by.iter().map(|by| (*by).to_owned()).collect::<Vec<_>>()).unwrap();
        let mut facts = TraceFacts::default();
        traces.iter().for_each(|trace| facts.add(&by, trace));
        Results::read(&mut records, &by, &facts).unwrap().report(vec!["f".into()], options, by.len())
    }

    fn report(log: &str) -> Report {
        report_by(log, &[], &[], &Options::default())
    }

    fn codes(warnings: &[Warning]) -> Vec<WarningCode> {
        warnings.iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn a_share_has_wilsons_interval_and_failures_bound_it() {
        let mut log = String::new();
        for n in 0..100 {
            log += &record(&format!("t{n}"), "j", &json!({"value": n >= 85}), &json!({"good": "false"}));
        }
        for n in 100..104 {
            log += &record(&format!("t{n}"), "j", &json!({"error": {"error_code": "TIMEOUT"}}), &json!({}));
        }
        let report = report(&log);
        let judge = &report.judges[0];
        assert_eq!((judge.figures.n_scored, judge.figures.n_failed, judge.good.as_deref()), (100, 4, Some("false")));
        assert_eq!(judge.figures.failed, BTreeMap::from([("TIMEOUT".to_owned(), 4)]));
        // 85 of 100, as in R's binom::binom.wilson and statsmodels' proportion_confint(method="wilson").
        let pass = judge.figures.pass.as_ref().unwrap();
        assert_eq!(pass.estimate, 0.85);
        assert!((pass.low - 0.767_164_3).abs() < 1e-6 && (pass.high - 0.906_940_3).abs() < 1e-6, "{pass:?}");
        let bounds = judge.figures.bounds.unwrap();
        assert!((bounds.low - 85.0 / 104.0).abs() < 1e-12 && (bounds.high - 89.0 / 104.0).abs() < 1e-12);
        assert_eq!(codes(&judge.warnings), [], "four failures leave it within its interval");
        assert_eq!(judge.figures.categories[0].label, "false");
        assert_eq!(judge.readings, BTreeMap::from([("strict".to_owned(), 100)]));
        assert!(judge.figures.mean.is_none() && judge.figures.clusters.is_none());
    }

    #[test]
    fn quotations_are_added_up() {
        let evidence = ["3/4", "2/2", "0/0", "5/4", "x"].map(|evidence| json!({"good": "true", "evidence": evidence}));
        let log: String = evidence
            .iter()
            .enumerate()
            .map(|(n, metadata)| record(&format!("t{n}"), "j", &json!({"value": true}), metadata))
            .collect();
        let judge = report(&log).judges.remove(0);
        assert_eq!(judge.evidence, Some(super::super::report::Evidence { quotes: 6, found: 5 }));
        assert_eq!(report(&record("t", "j", &json!({"value": true}), &json!({}))).judges[0].evidence, None);
    }

    #[test]
    fn many_failures_are_warned_of() {
        let mut log = String::new();
        for n in 0..20 {
            log += &record(&format!("t{n}"), "j", &json!({"value": 5}), &json!({"good": ">= 4", "scale": "1..5"}));
        }
        for n in 20..40 {
            log += &record(&format!("t{n}"), "j", &json!({"error": {"error_code": "TIMEOUT"}}), &json!({}));
        }
        let judge = report(&log).judges.remove(0);
        assert_eq!(codes(&judge.warnings), [WarningCode::FailuresCouldDecide]);
        assert_eq!(judge.figures.bounds.map(|bounds| (bounds.low, bounds.high)), Some((0.5, 1.0)));
        assert_eq!((judge.figures.pass.unwrap().estimate, judge.figures.mean.unwrap().estimate), (1.0, 5.0));
        let bins: Vec<_> = judge.figures.histogram.iter().map(|bin| (bin.low, bin.n)).collect();
        assert_eq!(bins, [(0.5, 0), (1.5, 0), (2.5, 0), (3.5, 0), (4.5, 20)]);
    }

    #[test]
    fn verdicts_of_a_session_are_one_cluster() {
        // Clusters of 4, 3, 5, 2, 3 and 1: statsmodels' OLS on an intercept with cov_type="cluster" has se 0.143125 (CR1).
        let scores = [1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1];
        let sessions =
            ["a"; 4].into_iter().chain(["b"; 3]).chain(["c"; 5]).chain(["d"; 2]).chain(["e"; 3]).chain(["f"]);
        let log: String = scores
            .iter()
            .zip(sessions)
            .enumerate()
            .map(|(n, (score, session))| {
                record(&format!("t{n}"), "j", &json!({"value": score}), &json!({"session_id": session}))
            })
            .collect();
        let judge = report_by(&log, &["session"], &[], &Options::default()).judges.remove(0);
        let mean = judge.figures.mean.unwrap();
        assert_eq!(mean.method, super::super::report::Method::ClusterT);
        assert!((mean.low - 0.187_642).abs() < 1e-6 && (mean.high - 0.923_469).abs() < 1e-6, "{mean:?}");
        let clusters = judge.figures.clusters.unwrap();
        assert!(clusters.n == 6 && (clusters.design_effect - 1.24444).abs() < 1e-5);
        assert_eq!(codes(&judge.warnings), [WarningCode::FewClusters]);
        let slices: Vec<_> = judge.slices.iter().map(|slice| (slice.value.as_str(), slice.figures.n_scored)).collect();
        assert_eq!(slices, [("c", 5), ("a", 4), ("b", 3), ("e", 3), ("d", 2), ("f", 1)]);
    }

    #[test]
    fn an_expression_over_the_trace_divides_opinions() {
        let trace = |id: &str, env: &str| Trace {
            trace_id: id.into(),
            tags: [("env".to_owned(), env.to_owned())].into(),
            ..Trace::default()
        };
        let log: String =
            ["a", "b", "c", "d"].map(|id| record(id, "j", &json!({"value": id == "a"}), &json!({}))).concat();
        let traces = [trace("a", "prod"), trace("b", "prod"), trace("c", "test")];
        let judge = report_by(&log, &["trace.tags.env"], &traces, &Options::default()).judges.remove(0);
        let slices: Vec<_> = judge.slices.iter().map(|slice| (slice.value.as_str(), slice.figures.n_scored)).collect();
        assert_eq!(slices, [("prod", 2), ("test", 1)]);
        assert_eq!(codes(&judge.warnings), [WarningCode::GoodAssumed, WarningCode::NotSliced]);
    }

    #[test]
    fn what_is_good_is_known_from_the_user_the_log_the_judge_or_assumed() {
        let good = |name: &str, value: &Value, metadata: &Value, given: Option<&str>| {
            let given = given.map(|good| (name.to_owned(), good.parse().unwrap()));
            let options = Options { good: given.into_iter().collect(), ..Options::default() };
            let judge = report_by(&record("t", name, &json!({"value": value}), metadata), &[], &[], &options);
            let judge = &judge.judges[0];
            (judge.good.clone(), judge.figures.pass.as_ref().map(|pass| pass.estimate))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            good("hallucination", &json!(true), &json!({"good": "true"}), Some("false")),
            (some("false"), Some(0.0))
        );
        assert_eq!(good("hallucination", &json!(true), &json!({"good": "true"}), None), (some("true"), Some(1.0)));
        assert_eq!(good("hallucination", &json!(true), &json!({}), None), (some("false"), Some(0.0)));
        assert_eq!(good("mine", &json!(true), &json!({}), None), (some("true"), Some(1.0)));
        assert_eq!(good("mine", &json!("ok"), &json!({}), Some(r#"["ok"]"#)), (some(r#"["ok"]"#), Some(1.0)));
        assert_eq!(good("mine", &json!("ok"), &json!({}), None), (None, None));
        assert_eq!(good("mine", &json!(0.5), &json!({"good": "higher"}), None), (some("higher"), None));
    }

    #[test]
    fn people_have_rows_of_their_own_and_the_names_meaning() {
        let human = r#"{"name":"j","value":false,"trace_id":"t","source":{"source_type":"HUMAN","source_id":"kim"}}"#;
        let log = record("t", "j", &json!({"value": true}), &json!({"good": "false", "input_tokens": "5"})) + human;
        let report = report(&log);
        let rows = report
            .judges
            .iter()
            .map(|judge| (judge.source_type, judge.source_id.as_str(), judge.figures.pass.as_ref().unwrap().estimate));
        assert_eq!(rows.collect::<Vec<_>>(), [(SourceType::LlmJudge, "e:/m", 0.0), (SourceType::Human, "kim", 1.0)]);
        assert_eq!(report.judges[0].usage.input_tokens, 5);
    }

    #[test]
    fn the_json_form_has_the_documented_members() {
        let log = record("t", "j", &json!({"value": true}), &json!({"good": "true", "latency_ms": "7"}));
        let report = serde_json::to_value(report(&log)).unwrap();
        let judge = &report["judges"][0];
        for member in ["name", "source_id", "n_scored", "n_failed", "failed", "n_skipped", "n_abstained", "n_invalid"] {
            assert!(!judge[member].is_null(), "{member}");
        }
        for member in ["estimate", "low", "high", "level", "method", "n"] {
            assert!(!judge["pass"][member].is_null(), "{member}");
        }
        assert!(judge.get("mean").is_none() && judge.get("slices").is_none() && judge.get("warnings").is_none());
        let again: Report = serde_json::from_value(report.clone()).unwrap();
        assert_eq!(serde_json::to_value(again).unwrap(), report);
    }
}
