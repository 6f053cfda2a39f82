//! Stopping when the outcome is certain: traces are asked in random order, wave by wave, until the pass rates of the whole dataset are known well enough.
//!
//! The order is that of a hash of seed and id, so that what was asked is a random sample of the dataset at the end of each wave, whatever the
//! order of the file, and a run that resumes continues the same sample. After each wave the bounds of an exact confidence sequence for
//! sampling without replacement are looked at (see [`FiniteShare`]).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError};

use judge_run_statistics::sequential::{Answers, FiniteShare, Settled};

use crate::dataset::{DatasetError, DatasetOptions, DatasetReader, Entry};
use crate::feedback::IdHasher;
use crate::feedback::log::Standing;
use crate::judge::{Better, Good};
use crate::run::outcome::event::Event;
use crate::run::planning::item::Settled as SettledJudgment;
use crate::run::setup::questions::QuestionIndex;
use crate::run::setup::selection::Selection;
use crate::trace::Trace;

/// The probability that any of the decisions is wrong.
const ALPHA: f64 = 0.05;
/// The first wave: fewer decide nothing.
const FIRST_WAVE: usize = 50;
/// Each wave adds this fraction of what was asked before, by which a decision may come too late.
const GROWTH: usize = 8;

/// When to stop.
#[derive(Debug)]
pub struct Until {
    /// All of them must be settled.
    pub conditions: Vec<UntilCondition>,
    /// The order of the traces.
    pub waves: Waves,
}

/// A pass rate with a threshold that it should reach.
#[derive(Debug, Clone, PartialEq)]
pub struct UntilCondition {
    /// How messages call it.
    pub text: String,
    /// The judge of the verdicts; of traces, not of spans or sessions.
    pub question: QuestionIndex,
    /// Which of them are good.
    pub good: Good,
    /// In `0..=1`.
    pub threshold: f64,
}

/// The traces of a selection in random order, cut into waves.
#[derive(Debug, Clone)]
pub struct Waves {
    /// The highest hash of each wave.
    last: Arc<[u64]>,
    /// How many traces there are.
    population: u64,
    seed: u64,
    dataset: DatasetOptions,
}

impl Waves {
    /// Reads the dataset once, for the hashes of the traces that are selected: eight bytes each.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub fn of(dataset: DatasetOptions, selection: &Selection, seed: u64) -> Result<Self, DatasetError> {
        let mut hashes = Vec::new();
        for entry in DatasetReader::open(dataset.clone())? {
            if let Entry::Trace(trace) = entry?
                && selection.not_selected(&trace.value).is_none()
            {
                hashes.push(hash(seed, &trace.value));
            }
        }
        hashes.sort_unstable();
        let (mut last, mut end) = (Vec::new(), 0);
        while end < hashes.len() {
            end = hashes.len().min((end + end / GROWTH).max(end + FIRST_WAVE));
            last.push(hashes[end - 1]);
        }
        Ok(Self { last: last.into(), population: hashes.len() as u64, seed, dataset })
    }

    /// How many traces there are.
    pub fn population(&self) -> u64 {
        self.population
    }
}

fn hash(seed: u64, trace: &Trace) -> u64 {
    IdHasher::new("judge-run order 1").part(&seed.to_le_bytes()).part(trace.trace_id.as_bytes()).finish_u64()
}

/// One reader's way through the waves.
pub(super) struct WaveWalk {
    waves: Waves,
    wave: usize,
    /// Says when the next one begins; closed when none does.
    proceed: Receiver<()>,
}

impl WaveWalk {
    pub(super) fn new(waves: Waves, proceed: Receiver<()>) -> Self {
        Self { waves, wave: 0, proceed }
    }

    pub(super) fn is_first(&self) -> bool {
        self.wave == 0
    }

    /// Whether a trace is asked in this wave.
    pub(super) fn holds(&self, trace: &Trace) -> bool {
        let Waves { last, seed, .. } = &self.waves;
        let hash = hash(*seed, trace);
        let is_later = last.get(self.wave).is_none_or(|last| hash > *last);
        let is_earlier = self.wave.checked_sub(1).and_then(|wave| last.get(wave)).is_some_and(|last| hash <= *last);
        !is_later && !is_earlier
    }

    /// Waits for the next wave, and opens the dataset again; `None` after the last one.
    pub(super) fn next(&mut self) -> Option<Result<DatasetReader, DatasetError>> {
        match self.proceed.recv() {
            Ok(()) => {
                self.wave += 1;
                Some(DatasetReader::open(self.waves.dataset.clone()))
            }
            Err(RecvError) => None,
        }
    }
}

/// How far a condition is settled.
#[derive(Debug, Clone, PartialEq)]
pub struct UntilSummary {
    /// As it was given.
    pub text: String,
    /// What is decided about the whole dataset.
    pub settled: Settled,
    /// The bounds of the share that passes, with 95 % confidence.
    pub bounds: (f64, f64),
    /// Traces that were asked, those of earlier runs included.
    pub asked: u64,
    /// Traces of the dataset.
    pub population: u64,
}

/// What is known so far.
pub(super) struct Progress {
    conditions: Vec<(UntilCondition, FiniteShare, Answers)>,
    waves: usize,
    ended: usize,
    population: u64,
}

impl Progress {
    pub(super) fn new(until: Until) -> Self {
        let Until { conditions, waves } = until;
        #[expect(clippy::cast_precision_loss, reason = "a few conditions")]
        let level = 1.0 - ALPHA / conditions.len().max(1) as f64;
        let share = |condition| {
            let share = FiniteShare::new(waves.population, level).ok()?;
            Some((condition, share, Answers::default()))
        };
        let conditions = conditions.into_iter().filter_map(share).collect();
        Self { conditions, waves: waves.last.len(), ended: 0, population: waves.population }
    }

    /// Counts what became of a judgment.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        let (question, standing) = match event {
            Event::Recorded { question, feedback, .. } => (question, Standing::of(feedback)),
            Event::Settled {
                question,
                settled: SettledJudgment::Kept(standing) | SettledJudgment::Reused(standing),
            } => (question, *standing),
            _ => return,
        };
        for (condition, _, answers) in
            self.conditions.iter_mut().filter(|(condition, ..)| condition.question == *question)
        {
            match is_good(&condition.good, standing) {
                Some(true) => answers.passed += 1,
                Some(false) => answers.not_passed += 1,
                None => answers.unknown += 1,
            }
        }
    }

    /// Checks the bounds after a wave. Returns whether another one is needed.
    pub(super) fn goes_on(&mut self) -> bool {
        self.ended += 1;
        let mut is_open = false;
        for (condition, share, answers) in &mut self.conditions {
            // More answers than traces cannot be; the bounds then stay as they are.
            let _ = share.look(*answers);
            is_open |= share.settled(condition.threshold) == Ok(Settled::Open);
        }
        is_open && self.ended < self.waves
    }

    pub(super) fn summaries(&self) -> Vec<UntilSummary> {
        let summary = |(condition, share, answers): &(UntilCondition, FiniteShare, Answers)| UntilSummary {
            text: condition.text.clone(),
            settled: share.settled(condition.threshold).unwrap_or(Settled::Open),
            bounds: (share.interval().lower, share.interval().upper),
            asked: answers.passed + answers.not_passed + answers.unknown,
            population: self.population,
        };
        self.conditions.iter().map(summary).collect()
    }
}

/// Whether an opinion with this standing is good; `None` if it is not a verdict, or neither good nor bad.
fn is_good(good: &Good, standing: Standing) -> Option<bool> {
    match (good, standing) {
        (Good::Boolean(good), Standing::Number(value)) => Some((value == 1.0) == *good),
        (Good::Scale { better, threshold: Some(threshold) }, Standing::Number(value)) => Some(match better {
            Better::Higher => value >= *threshold,
            Better::Lower => value <= *threshold,
        }),
        (Good::Labels(good), Standing::Label(label)) => {
            Some(good.iter().any(|good| Standing::label_hash(good) == label))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(n: usize) -> (Waves, Vec<Trace>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        let line = |n| format!("{{\"trace_id\": \"t{n}\", \"inputs\": {{\"q\": {n}}}}}\n");
        std::fs::write(&path, (0..n).map(line).collect::<String>()).unwrap();
        let traces = (0..n).map(|n| Trace { trace_id: format!("t{n}"), ..Trace::default() }).collect();
        (Waves::of(DatasetOptions::new([&path]), &Selection::default(), 0).unwrap(), traces, folder)
    }

    #[test]
    fn each_trace_is_in_one_wave_and_waves_grow() {
        let (waves, traces, _folder) = waves(1000);
        assert_eq!(waves.population(), 1000);
        let (proceed, receiver) = std::sync::mpsc::channel();
        let mut walk = WaveWalk::new(waves.clone(), receiver);
        let mut sizes = Vec::new();
        for wave in 0..waves.last.len() {
            sizes.push(traces.iter().filter(|trace| walk.holds(trace)).count());
            if wave + 1 < waves.last.len() {
                proceed.send(()).unwrap();
                assert!(walk.next().is_some_and(|dataset| dataset.is_ok()));
            }
        }
        assert_eq!((sizes.iter().sum::<usize>(), sizes[0]), (1000, 50));
        assert!(sizes[..sizes.len() - 1].windows(2).all(|pair| pair[0] <= pair[1]), "{sizes:?}");
        drop(proceed);
        assert!(walk.next().is_none());
    }

    #[test]
    fn what_is_no_verdict_is_unknown() {
        let failed = Standing::Failed { code: None, create_time_ms: 0 };
        assert_eq!(is_good(&Good::Boolean(false), Standing::Number(0.0)), Some(true));
        assert_eq!(is_good(&">= 4".parse().unwrap(), Standing::Number(3.0)), Some(false));
        let labels = "[\"ok\"]".parse().unwrap();
        assert_eq!(is_good(&labels, Standing::Label(Standing::label_hash("ok"))), Some(true));
        assert_eq!(is_good(&labels, Standing::Label(Standing::label_hash("bad"))), Some(false));
        for standing in [failed, Standing::Rejected { create_time_ms: 0 }, Standing::Other] {
            assert_eq!(is_good(&Good::Boolean(true), standing), None);
        }
    }
}
