//! Tests every reader of a log against its definition: random histories, and a slow, simple model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;

use super::facts::SIGNATURE;
use super::{OpinionKey, Standing};
use crate::feedback::forms::{self, Form, Input};
use crate::feedback::log::{self, Index, OpenLog, ReuseLog, Seen};
use crate::feedback::{AssessmentId, ErrorCode, Feedback, FeedbackError, SAMPLE_METADATA, Source, SourceType};

/// The meaning of a log, by the numbers of its lines.
struct Model<'a>(&'a [Feedback]);

/// Whether judge-run wrote a record.
fn is_own(record: &Feedback) -> bool {
    let id = record.assessment_id.as_ref().is_some_and(|id| id.parse::<AssessmentId>().is_ok());
    let signed = SIGNATURE.iter().all(|key| record.metadata.contains_key(*key));
    id && match record.source.source_type {
        SourceType::LlmJudge => signed || record.metadata.is_empty(),
        SourceType::Code => signed,
        SourceType::Human | SourceType::Unspecified => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Verdict,
    Mark,
    Fail,
}

fn does(record: &Feedback) -> Does {
    match (record.is_error(), record.valid) {
        (true, _) => Does::Fail,
        (false, Some(false)) => Does::Mark,
        _ => Does::Verdict,
    }
}

impl Model<'_> {
    fn lines(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }

    fn does(&self, i: usize) -> Does {
        does(&self.0[i])
    }

    /// The subject of a line; if it does not say, its id is part of it.
    fn opinion(&self, i: usize) -> String {
        let Feedback { assessment_id, trace_id, span_id, name, source, .. } = &self.0[i];
        let id = assessment_id.as_ref().filter(|_| trace_id.is_none());
        let place = (self.0[i].sample(), self.0[i].document_index());
        format!("{:?}", (is_own(&self.0[i]), trace_id, span_id, name, source, place, id))
    }

    fn same_opinion(&self, i: usize) -> Vec<usize> {
        self.lines().filter(|j| self.opinion(*j) == self.opinion(i)).collect()
    }

    /// All lines with the id of this one in its opinion.
    fn same_id(&self, i: usize) -> Vec<usize> {
        let id = &self.0[i].assessment_id;
        self.same_opinion(i)
            .into_iter()
            .filter(|j| *j == i || (id.is_some() && self.0[*j].assessment_id == *id))
            .collect()
    }

    /// Whether this line is the verdict of its id.
    fn is_verdict(&self, i: usize) -> bool {
        let lines = self.same_id(i);
        if !is_own(&self.0[i]) {
            return lines.last() == Some(&i) && self.does(i) != Does::Fail;
        }
        match lines.iter().rfind(|j| self.does(**j) == Does::Verdict) {
            Some(last) => *last == i,
            None => lines.iter().find(|j| self.does(**j) == Does::Mark) == Some(&i),
        }
    }

    /// Whether this line is a verdict that is marked.
    fn is_marked(&self, i: usize) -> bool {
        let later_mark = self.same_id(i).into_iter().any(|j| j > i && self.does(j) == Does::Mark);
        self.is_verdict(i) && (self.does(i) == Does::Mark || (is_own(&self.0[i]) && later_mark))
    }

    /// Whether this line is the failure of its id.
    fn is_failure(&self, i: usize) -> bool {
        let lines = self.same_id(i);
        if self.does(i) != Does::Fail || !is_own(&self.0[i]) {
            return self.does(i) == Does::Fail && lines.last() == Some(&i);
        }
        let counts = |i: usize| {
            let (before, after): (Vec<_>, Vec<_>) = lines.iter().filter(|j| **j != i).partition(|j| **j < i);
            let verdict = before.iter().rfind(|j| self.does(**j) == Does::Verdict);
            let is_marked = before.iter().any(|j| verdict < Some(j) && self.does(*j) == Does::Mark);
            let has_verdict = verdict.is_some() || is_marked;
            let is_cured = after.iter().any(|j| match self.does(*j) {
                Does::Verdict => true,
                Does::Mark => !has_verdict,
                Does::Fail => false,
            });
            (verdict.is_none() || is_marked) && !is_cured
        };
        lines.iter().rfind(|j| self.does(**j) == Does::Fail && counts(**j)) == Some(&i)
    }

    fn is_live(&self, i: usize) -> bool {
        self.is_verdict(i) || self.is_failure(i)
    }

    fn overrides(&self, by: usize, i: usize) -> bool {
        let id = &self.0[i].assessment_id;
        self.is_verdict(by) && id.is_some() && self.0[by].overrides == *id
    }

    /// Whether one follows from the other: what `i` overrides, and what that overrides, and so on.
    fn leads_to(&self, i: usize, target: usize) -> bool {
        let mut at = i;
        for _ in self.lines() {
            let next = self.same_opinion(i).into_iter().find(|j| self.overrides(at, *j) && self.is_verdict(*j));
            match next {
                None => return false,
                Some(next) if self.0[next].assessment_id == self.0[target].assessment_id => return true,
                Some(next) => at = next,
            }
        }
        false
    }

    /// Whether a verdict of the same opinion overrides this one by name, and does not follow from it.
    fn is_named(&self, i: usize) -> bool {
        let others = self.same_opinion(i).into_iter().filter(|j| self.0[*j].assessment_id != self.0[i].assessment_id);
        let mut overriding = others.filter(|j| self.overrides(*j, i));
        overriding.any(|j| match is_own(&self.0[i]) || self.is_marked(i) {
            true => !self.leads_to(i, j),
            false => j > i,
        })
    }

    fn is_superseded(&self, i: usize) -> bool {
        let same = self.same_opinion(i);
        if self.is_failure(i) {
            return same.into_iter().any(|j| j > i && self.is_live(j));
        }
        if !is_own(&self.0[i]) {
            return self.is_named(i);
        }
        let verdicts: Vec<_> = same.into_iter().filter(|j| self.is_verdict(*j)).collect();
        let is_before = |j: usize| self.is_marked(j) && !self.is_overruled(j) && self.is_named(j);
        let may_hold = |j: &&usize| !is_before(**j);
        verdicts.iter().rfind(may_hold).or(verdicts.last()) != Some(&i)
    }

    fn is_overruled(&self, i: usize) -> bool {
        let overriding = self.lines().filter(|j| self.opinion(*j) != self.opinion(i) && self.overrides(*j, i));
        // A record of ours that names a verdict of its own opinion does not name another's with the same id.
        let names_own = |by: usize| {
            is_own(&self.0[by])
                && self.same_opinion(by).into_iter().any(|j| self.is_verdict(j) && self.overrides(by, j))
        };
        overriding.filter(|j| !names_own(*j)).any(|j| j > i || self.is_marked(i))
    }

    fn is_rejected(&self, i: usize) -> bool {
        self.is_verdict(i) && self.is_marked(i) && !self.is_superseded(i) && !self.is_overruled(i)
    }

    /// The lines of the present state, and whether they are valid.
    fn present(&self) -> Vec<(usize, bool)> {
        let is_present = |i: &usize| self.is_verdict(*i) || (self.is_failure(*i) && !self.is_superseded(*i));
        let is_valid = |i: usize| {
            let is_bad = self.is_verdict(i) && (self.is_marked(i) || self.is_superseded(i));
            !is_bad && !self.is_overruled(i)
        };
        self.lines().filter(is_present).map(|i| (i, is_valid(i))).collect()
    }

    /// The line that the opinion of this one stands as.
    fn stands_as(&self, i: usize) -> Option<usize> {
        let mut same = self.same_opinion(i).into_iter();
        // A verdict that is not in force despite its place says nothing about which comes last.
        let is_passed = |j: &usize| (is_own(&self.0[*j]) || self.is_failure(*j)) && self.is_superseded(*j);
        same.rfind(|j| self.is_live(*j) && !is_passed(j))
    }

    /// How a line stands. The time of a mark is that of the verdict.
    fn standing(&self, i: usize) -> Standing {
        let record = &self.0[i];
        if self.is_rejected(i) {
            return Standing::Rejected { create_time_ms: record.create_time_ms };
        }
        Standing::of(&Feedback { valid: None, ..record.clone() })
    }

    /// The lines that our own opinions stand as.
    fn standing_lines(&self) -> BTreeSet<usize> {
        self.lines().filter(|i| is_own(&self.0[*i])).filter_map(|i| self.stands_as(i)).collect()
    }

    /// Scored, failed by code, and rejected, by judge and model.
    fn tally(&self) -> Tallies {
        let mut tallies = Tallies::new();
        for record in self.0.iter().filter(|record| is_own(record)) {
            tallies.entry(judge(record)).or_default();
        }
        for i in self.standing_lines() {
            let (scored, failed, rejected) = tallies.entry(judge(&self.0[i])).or_default();
            match self.0[i].error.as_ref().filter(|error| !error.error_code.is_abstention()) {
                Some(error) => *failed.entry(error.error_code.as_str().to_owned()).or_default() += 1,
                None if self.is_rejected(i) => *rejected += 1,
                None => *scored += 1,
            }
        }
        tallies.retain(|_, counts| *counts != Default::default());
        tallies
    }

    /// What an index says about the judgment with this line.
    fn look_up(&self, i: usize) -> Seen {
        let id = |i: usize| self.0[i].assessment_id.clone().unwrap().parse::<AssessmentId>().unwrap();
        let live: Vec<_> = self.same_opinion(i).into_iter().filter(|j| self.is_live(*j)).collect();
        let other = |j: &&usize| self.is_verdict(**j) && id(**j) != id(i);
        let by = live.iter().rfind(|j| other(j) && !(self.is_superseded(**j) && self.is_named(**j)));
        let by = by.or(live.iter().rfind(other)).map(|j| id(*j));
        let of_id = |is: fn(&Self, usize) -> bool| live.iter().rfind(|j| id(**j) == id(i) && is(self, **j)).copied();
        let (verdict, failure) = (of_id(Self::is_verdict), of_id(Self::is_failure));
        let failure = failure.filter(|j| verdict.is_none() || self.stands_as(i) == Some(*j));
        match (failure, verdict, by) {
            (Some(failure), _, overrides) => Seen::Judged { standing: self.standing(failure), overrides },
            (None, Some(j), Some(by)) if self.is_superseded(j) => {
                Seen::Superseded { standing: self.standing(j), offset: 0, by }
            }
            (None, Some(j), by) => {
                let overrides = by.filter(|_| self.is_rejected(j));
                Seen::Judged { standing: self.standing(j), overrides }
            }
            (None, None, Some(overrides)) => Seen::Changed { overrides },
            (None, None, None) => Seen::New,
        }
    }
}

/// Few, since each writes and reads some files; `PROPTEST_CASES` sets another number.
fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config::with_cases(cases.unwrap_or(64))
}

type Tallies = BTreeMap<(String, String), (u64, BTreeMap<String, u64>, u64)>;

fn judge(record: &Feedback) -> (String, String) {
    (record.name.clone(), record.source.source_id.clone().unwrap_or_default())
}

/// A folder with a log.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, records: &[Feedback]) -> PathBuf {
        let path = self.path(name);
        let text: String = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn convert(&self, from: &Path, to: &str, present: bool) -> PathBuf {
        let path = self.path(to);
        let (input, form) =
            (Input::of_file(std::fs::File::open(from).unwrap(), None).unwrap(), Form::of_path(&path).unwrap());
        let mut out = Vec::new();
        forms::convert(input, form, present, &mut forms::TableOptions::default(), &mut out, &mut |line, reason| {
            panic!("{line}: {reason}")
        })
        .unwrap();
        std::fs::write(&path, out).unwrap();
        path
    }
}

fn read(path: &Path) -> Vec<Feedback> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| Feedback::from_json(line).unwrap()).collect()
}

fn tally(path: &Path) -> Tallies {
    let judges = log::tally(path).unwrap().judges.into_iter();
    let tallies = judges.map(|judge| ((judge.name, judge.source_id), (judge.scored, judge.failed, judge.invalid)));
    tallies.filter(|(_, counts)| *counts != Default::default()).collect()
}

fn key(record: &Feedback) -> OpinionKey {
    let Feedback { trace_id, span_id, name, source, .. } = record;
    OpinionKey::new(trace_id.as_deref(), span_id.as_deref(), name, source)
        .sample(record.sample())
        .comparing(record.compared())
        .of_document(record.document_index())
}

fn without_offset(seen: Seen) -> Seen {
    match seen {
        Seen::Superseded { standing, by, .. } => Seen::Superseded { standing, offset: 0, by },
        seen => seen,
    }
}

/// Our own records about a trace that a run would ask about.
fn own(records: &[Feedback]) -> impl Iterator<Item = (usize, &Feedback)> {
    records.iter().enumerate().filter(|(_, record)| is_own(record) && record.trace_id.is_some())
}

/// What an index says about every judgment.
fn seen(index: &Index, records: &[Feedback]) -> Vec<Seen> {
    let look_up =
        |record: &Feedback| index.look_up(key(record), record.assessment_id.as_ref().unwrap().parse().unwrap());
    own(records).map(|(_, record)| without_offset(look_up(record))).collect()
}

/// The same, ignoring failures that something follows.
fn seen_without_superseded_failures(path: &Path, records: &[Feedback]) -> Vec<Seen> {
    let index = OpenLog::read_index(path).unwrap();
    let forget = |(seen, (_, record)): (Seen, (usize, &Feedback))| match seen {
        Seen::Judged { standing: Standing::Failed { .. }, overrides } => match index.standing(key(record)) {
            Some(standing @ Standing::Failed { .. }) if Seen::Judged { standing, overrides } == seen => seen,
            _ => overrides.map_or(Seen::New, |overrides| Seen::Changed { overrides }),
        },
        seen => seen,
    };
    seen(&index, records).into_iter().zip(own(records)).map(forget).collect()
}

/// Every reader of the log agrees with the model.
fn every_reader_agrees(records: &[Feedback]) {
    let case = Case::new();
    let path = case.write("log.jsonl", records);
    let model = Model(records);

    assert_eq!(tally(&path), model.tally(), "status");

    let index = OpenLog::read_index(&path).unwrap();
    let expected: Vec<_> = own(records).map(|(i, _)| model.look_up(i)).collect();
    assert_eq!(seen(&index, records), expected, "resuming");
    for (i, record) in own(records) {
        let stands_as = model.stands_as(i).map(|i| model.standing(i));
        assert_eq!(index.standing(key(record)), stands_as, "the standing of line {i}");
    }
    let standing: Vec<_> = model.standing_lines().into_iter().collect();
    let rejected = standing.iter().filter(|i| model.is_rejected(**i)).count() as u64;
    assert_eq!(index.rejected(), rejected);
    let failed = standing.iter().filter(|i| records[**i].is_error()).count() as u64;
    assert_eq!(index.failures().values().sum::<u64>(), failed);

    let reuse = ReuseLog::open(&path).unwrap();
    for (i, record) in own(records) {
        let id = record.assessment_id.as_ref().unwrap();
        let verdict = model.same_id(i).into_iter().find(|j| model.is_verdict(*j) && !model.is_rejected(*j));
        let found = reuse.verdict(key(record), id.parse().unwrap());
        assert_eq!(found.map(|found| found.value), verdict.map(|j| records[j].value.clone()), "reuse of line {i}");
    }

    let present: Vec<_> = model
        .present()
        .into_iter()
        .map(|(i, is_valid)| Feedback {
            valid: (!is_valid).then_some(false).or(records[i].valid.filter(|v| !v)),
            ..records[i].clone()
        })
        .collect();
    let now = case.convert(&path, "now.jsonl", true);
    assert_eq!(read(&now), present, "convert --present");
    assert_eq!(read(&case.convert(&case.convert(&path, "x.csv", false), "x.jsonl", false)), present, "csv");
}

/// What is made from a log means the same as the log.
fn nothing_changes_the_meaning(records: &[Feedback]) {
    let case = Case::new();
    let path = case.write("log.jsonl", records);
    let (counts, known) = (tally(&path), seen_without_superseded_failures(&path, records));
    let now = read(&case.convert(&path, "now.jsonl", true));
    let same = |made: &Path, what: &str| {
        assert_eq!(tally(made), counts, "status after {what}");
        assert_eq!(seen_without_superseded_failures(made, records), known, "resuming after {what}");
        let after = read(&case.convert(made, "after.jsonl", true));
        assert_eq!(after, now, "the present state after {what}");
    };
    same(&case.path("now.jsonl"), "convert --present");
    let mlflow = case.convert(&path, "now.mlflow.jsonl", true);
    same(&case.convert(&mlflow, "back.jsonl", false), "MLflow's form and back");
    same(&case.convert(&case.convert(&path, "now.csv", false), "back.jsonl", false), "a table and back");
    log::merge(std::slice::from_ref(&path), &case.path("merged.jsonl"), false).unwrap();
    same(&case.path("merged.jsonl"), "merge");
    let counted = |compacted: log::Compacted| (compacted.before, compacted.failures, compacted.verdicts);
    let would = counted(log::would_compact(&path).unwrap());
    assert_eq!(counted(log::compact(&path).unwrap()), would);
    same(&path, "compact");
    assert_eq!(counted(log::compact(&path).unwrap()), (read(&path).len() as u64, 0, 0), "twice is once");
}

fn id(n: usize) -> String {
    format!("a-{n:032x}")
}

/// The opinions of a history, as trace, span, judge and model. The ids of the n-th are 10 n + 1, 10 n + 2, ...
const OPINIONS: [(Option<&str>, Option<&str>, &str, &str); 5] = [
    (Some("t"), None, "j", "e:/m"),
    (Some("t"), Some("s"), "j", "e:/m"),
    (Some("t"), None, "j", "e:/m"), // A second sample of the first, unless its metadata is removed.
    (Some("u"), None, "k", "e:/m"),
    (None, None, "j", "e:/m"),
];

fn record(opinion: usize, nth: usize) -> Feedback {
    let (trace_id, span_id, name, source_id) = OPINIONS[opinion];
    Feedback {
        assessment_id: Some(id(10 * opinion + nth)),
        name: name.into(),
        source: Source::llm_judge(source_id),
        metadata: SIGNATURE.map(|key| (key.to_owned(), "x".to_owned())).into(),
        trace_id: trace_id.map(Into::into),
        span_id: span_id.map(Into::into),
        ..Feedback::default()
    }
}

fn saying(does: Does, value: u64, record: Feedback) -> Feedback {
    let error_code = if value == 0 { ErrorCode::Timeout.into() } else { ErrorCode::ContextLengthExceeded.into() };
    let error = FeedbackError { error_code, error_message: None, stack_trace: None };
    match does {
        Does::Verdict => Feedback { value: Some(value.into()), ..record },
        Does::Mark => Feedback { value: Some(value.into()), valid: Some(false), ..record },
        Does::Fail => Feedback { error: Some(error), ..record },
    }
}

/// Another writer's record, of the same trace or not, with an id that may look like ours or be ours.
fn of_another(record: Feedback, who: usize, with_id: bool) -> Feedback {
    let of = |source_type, source_id: &str| Source { source_type, source_id: Some(source_id.into()) };
    let (source, metadata) = match who {
        0 => (of(SourceType::Human, "kim"), record.metadata.clone()),
        1 => (of(SourceType::Code, "length.py"), BTreeMap::new()),
        _ => (record.source.clone(), [("mlflow.assessment.sourceRunId".to_owned(), "1".to_owned())].into()),
    };
    Feedback { source, metadata, assessment_id: record.assessment_id.filter(|_| with_id), ..record }
}

/// Any records in any order.
fn any_history() -> impl Strategy<Value = Vec<Feedback>> {
    let does = select(vec![Does::Verdict, Does::Verdict, Does::Mark, Does::Fail]);
    let overrides = prop_oneof![3 => Just(None), 4 => (0..1_usize, 1..4_usize).prop_map(Some), 1 => (0..5_usize, 1..4_usize).prop_map(Some)];
    // Few opinions, so that they have a history.
    let opinion = prop_oneof![4 => Just(0_usize), 2 => 0..OPINIONS.len()];
    let who = prop_oneof![6 => Just(None), 1 => (0..3_usize, any::<bool>()).prop_map(Some)];
    let line = (opinion, 1..4_usize, does, 0..2_u64, overrides, who, any::<bool>());
    vec(line, 1..9).prop_map(|lines| {
        let records = lines.into_iter().enumerate().map(|(i, (opinion, nth, does, value, overrides, who, bare))| {
            let mut record = saying(does, value, record(opinion, nth));
            record.overrides = overrides.map(|(other, nth)| id(10 * if other == 0 { opinion } else { other } + nth));
            // Each id has its own time, to tell failures apart.
            (record.create_time_ms, record.last_update_time_ms) = ((10 * opinion + nth) as i64, 100 + i as i64);
            if bare {
                record.metadata.clear();
            } else if opinion == 2 {
                record.metadata.insert(SAMPLE_METADATA.into(), "1".into());
            }
            match who {
                Some((who, with_id)) => of_another(record, who, with_id),
                None => record,
            }
        });
        records.collect()
    })
}

/// What a run, a replay and a person do one after the other: an opinion's question is asked, and answered or not; its verdict is marked.
fn natural_history() -> impl Strategy<Value = Vec<Feedback>> {
    let step = (0..2_usize, 1..4_usize, select(vec![Does::Verdict, Does::Verdict, Does::Mark, Does::Fail]), 0..2_u64);
    let records = vec(step, 1..12).prop_map(|steps| {
        let mut records: Vec<Feedback> = Vec::new();
        for (time, (opinion, nth, does, value)) in (1..).zip(steps) {
            let mut asked = Feedback { create_time_ms: time, last_update_time_ms: time, ..record(opinion, nth) };
            let first = records.iter().find(|record| record.assessment_id == asked.assessment_id);
            asked.create_time_ms = first.map_or(time, |first| first.create_time_ms);
            let probe = [records.clone(), vec![saying(Does::Fail, 0, asked.clone())]].concat();
            // As it stood before it was asked.
            let (model, before) = (Model(&probe[..records.len()]), Model(&probe));
            let about = before.same_opinion(records.len()).first().copied().filter(|i| *i < records.len());
            let same = records.iter().position(|other| other.assessment_id == asked.assessment_id);
            let seen = match (same, about) {
                (Some(i), _) => model.look_up(i),
                (None, Some(_)) => match before.look_up(records.len()) {
                    Seen::Judged { overrides: Some(overrides), .. } => Seen::Changed { overrides },
                    _ => Seen::New,
                },
                (None, None) => Seen::New,
            };
            let overriding = |overrides: Option<AssessmentId>| Feedback {
                overrides: overrides.filter(|_| does == Does::Verdict).map(|id| id.to_string()),
                ..saying(does, value, asked.clone())
            };
            let stands_as = about.and_then(|i| model.stands_as(i)).filter(|i| !records[*i].is_error());
            match (does, seen) {
                (Does::Mark, _) => {
                    records.extend(stands_as.map(|i| Feedback { valid: Some(false), ..records[i].clone() }));
                }
                (_, Seen::Superseded { by, .. }) => {
                    let first = same.and_then(|i| model.same_id(i).into_iter().find(|i| model.is_verdict(*i)));
                    records.extend(first.map(|i| Feedback {
                        overrides: Some(by.to_string()),
                        valid: None,
                        last_update_time_ms: time,
                        ..records[i].clone()
                    }));
                }
                (_, Seen::New) => records.push(overriding(None)),
                (_, Seen::Changed { overrides }) => records.push(overriding(Some(overrides))),
                (_, Seen::Judged { standing: Standing::Failed { .. } | Standing::Rejected { .. }, overrides }) => {
                    records.push(overriding(overrides));
                }
                (_, Seen::Judged { .. }) => {}
            }
        }
        records
    });
    records.prop_filter("nothing happened", |records| !records.is_empty())
}

/// The log that another process would have had: the records of one of the parts.
fn part(records: &[Feedback], parts: &[usize], part: usize) -> Vec<Feedback> {
    let of = records.iter().zip(parts.iter().cycle()).filter(|(_, other)| **other == part);
    of.map(|(record, _)| record.clone()).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn logs_that_are_merged_mean_what_one_log_would(
        records in natural_history(),
        parts in vec(0..3_usize, 12),
        order in select(vec![[0, 1, 2], [2, 0, 1], [1, 0, 2]]),
    ) {
        let case = Case::new();
        let whole = case.write("whole.jsonl", &records);
        let logs = order.map(|n| case.write(&format!("{n}.jsonl"), &part(&records, &parts, n)));
        let merged = case.path("merged.jsonl");
        log::merge(&logs, &merged, false).unwrap();
        prop_assert_eq!(tally(&merged), tally(&whole));
        prop_assert_eq!(
            seen_without_superseded_failures(&merged, &records),
            seen_without_superseded_failures(&whole, &records)
        );
        let [a, b] = [(&merged, "a.jsonl"), (&whole, "b.jsonl")].map(|(path, to)| read(&case.convert(path, to, true)));
        prop_assert_eq!(a, b);
    }

    #[test]
    fn every_reader_says_what_a_log_means(records in any_history()) {
        every_reader_agrees(&records);
    }

    #[test]
    fn what_is_made_of_a_log_means_the_same(records in any_history()) {
        nothing_changes_the_meaning(&records);
    }

    #[test]
    fn a_compacted_log_can_be_continued_like_the_whole_one(records in any_history(), more in any_history()) {
        let case = Case::new();
        let whole = case.write("whole.jsonl", &[records.clone(), more.clone()].concat());
        let path = case.write("log.jsonl", &records);
        log::compact(&path).unwrap();
        let all = [read(&path), more.clone()].concat();
        let continued = case.write("continued.jsonl", &all);
        let all = [records, more].concat();
        prop_assert_eq!(tally(&continued), tally(&whole));
        prop_assert_eq!(
            seen_without_superseded_failures(&continued, &all),
            seen_without_superseded_failures(&whole, &all)
        );
        let [a, b] = [(&continued, "a.jsonl"), (&whole, "b.jsonl")].map(|(path, to)| read(&case.convert(path, to, true)));
        prop_assert_eq!(a, b);
    }
}
