//! The figures of a run while it lasts: a fold over its events; progress shows as much as fits.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use judge_run::feedback::Pause;
use judge_run::judge::{SubjectIds, Unit};
use judge_run::run::{Budget, Event, LaneIndex, QuestionIndex, QuestionInfo, RunSettings};
use judge_run_statistics::proportion::wilson;

use super::waiting::Waiting;

/// The level of the intervals.
pub(crate) const LEVEL: f64 = 0.95;

/// The figures of a run.
pub(crate) struct Running {
    started: Instant,
    /// Judgments to be recorded, as far as is known.
    planned: u64,
    pub done: u64,
    /// Failures by code.
    pub failed: BTreeMap<String, u64>,
    pub tokens: u64,
    /// Where prices are known.
    pub cost: Option<f64>,
    pub budget: Budget,
    /// The part of the dataset that was read, 0 to 1; `None` when its length is unknown.
    read: Option<f64>,
    /// Why a lane or a judgment waits.
    pub paused: Option<String>,
    pub lanes: Waiting,
    pub passes: Vec<Passes>,
    in_flight: HashMap<(QuestionIndex, SubjectIds), Instant>,
    /// The most judgments that there can be.
    max: Option<u64>,
}

/// The new verdicts of a question, where its records say which are good.
pub(crate) struct Passes {
    pub info: QuestionInfo,
    pub good: u64,
    pub n: u64,
}

impl Passes {
    /// The pass rate and the ends of its interval; `None` without verdicts.
    pub(crate) fn rate(&self) -> Option<(f64, f64, f64)> {
        let interval = wilson(self.good, self.n, LEVEL).ok().filter(|_| self.n > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let rate = self.good as f64 / self.n as f64;
        Some((rate, interval.lower, interval.upper))
    }
}

/// How many judgments there will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub judgments: u64,
    /// Whether the dataset was read to its end; before, it is an estimate.
    pub is_exact: bool,
}

impl Running {
    /// Of the run that these settings describe.
    pub(crate) fn of(settings: &RunSettings) -> Self {
        // How many spans and documents a trace has is not known before it is read.
        let is_of_parts = |unit| matches!(unit, Unit::Span | Unit::Document);
        let of_parts = settings.questions.iter().any(|(question, _)| is_of_parts(question.judge.select.unit()));
        let max = settings.selection.most_traces().filter(|_| !of_parts);
        let passes = settings.questions.iter().map(|(question, _)| QuestionInfo::of(question));
        Self {
            max: max.map(|max| max.saturating_mul(settings.questions.len() as u64)),
            budget: settings.budget,
            passes: passes.map(|info| Passes { info, good: 0, n: 0 }).collect(),
            ..Self::new(Waiting::of(&settings.lanes))
        }
    }

    /// Of lanes alone.
    pub(crate) fn new(lanes: Waiting) -> Self {
        Self {
            started: Instant::now(),
            planned: 0,
            done: 0,
            failed: BTreeMap::new(),
            tokens: 0,
            cost: None,
            budget: Budget::default(),
            read: None,
            paused: None,
            lanes,
            passes: Vec::new(),
            in_flight: HashMap::new(),
            max: None,
        }
    }

    pub(crate) fn add(&mut self, event: &Event<'_>, now: Instant) {
        match event {
            Event::Planned { .. } => self.planned += 1,
            Event::TraceRead { bytes_read, total_bytes } | Event::NotSelected { bytes_read, total_bytes, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
                let share = total_bytes.filter(|total| *total > 0).map(|total| *bytes_read as f64 / total as f64);
                self.read = share;
            }
            Event::DatasetRead => self.read = Some(1.0),
            Event::Sent { lane, question, subject, .. } => {
                self.lanes.sent(*lane, now);
                self.in_flight.insert((*question, (*subject).clone()), now);
            }
            Event::Returned { lane, question, subject, usage, cost, .. } => {
                let tokens = usage.map_or(0, |usage| usage.input_tokens + usage.output_tokens);
                self.lanes.returned(*lane, tokens, now);
                self.in_flight.remove(&(*question, (*subject).clone()));
                self.tokens += tokens;
                if usage.is_some() {
                    self.paused = None;
                }
                self.cost = cost.map(|cost| self.cost.unwrap_or(0.0) + cost).or(self.cost);
            }
            Event::Recorded { question, feedback, .. } => {
                self.done += 1;
                if let Some(error) = feedback.error.as_ref().filter(|_| feedback.is_error()) {
                    *self.failed.entry(error.error_code.as_str().to_owned()).or_default() += 1;
                }
                if let (Some(is_good), Some(passes)) = (feedback.is_good(), self.passes.get_mut(question.place())) {
                    passes.n += 1;
                    passes.good += u64::from(is_good);
                }
            }
            Event::LimitsReported { lane, requests, tokens } => self.lanes.limited(*lane, *requests, *tokens),
            Event::Retrying { failure, .. } => {
                let what = if failure.pause_scope() == Pause::Endpoint { "waiting" } else { "retrying" };
                self.paused = Some(format!("{what}: {}", failure.code));
            }
            _ => {}
        }
    }

    /// The name of a lane.
    pub(crate) fn name(&self, lane: LaneIndex) -> &str {
        self.lanes.name(lane)
    }

    pub(crate) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// All judgments that there will be, estimated from those of the part that was read.
    pub(crate) fn expected(&self) -> Option<Expected> {
        let read = self.read.filter(|read| *read > 0.0)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
        let judgments =
            ((self.planned as f64 / read).round() as u64).min(self.max.unwrap_or(u64::MAX)).max(self.planned);
        Some(Expected { judgments, is_exact: self.read == Some(1.0) })
    }

    /// Judgments a second since the start.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        let done = self.done as f64;
        done / self.elapsed(now).as_secs_f64().max(0.001)
    }

    /// How long the rest will take at this rate; `None` before the first record, and when nothing is left.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.expected()?.judgments.checked_sub(self.done).filter(|left| *left > 0 && self.done > 0)?;
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        Some(Duration::from_secs_f64(left as f64 / self.rate(now)))
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.len() as u64
    }

    /// The request that has been in flight longest: what it is about, and for how long.
    pub(crate) fn slowest(&self, now: Instant) -> Option<(&SubjectIds, Duration)> {
        let ((_, subject), sent) = self.in_flight.iter().min_by_key(|(_, sent)| **sent)?;
        Some((subject, now.saturating_duration_since(*sent)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use judge_run::endpoint::wire::answer::Usage;
    use judge_run::feedback::{Feedback, FeedbackError, GOOD_METADATA};

    use super::*;

    pub(crate) const QUESTION: QuestionIndex = QuestionIndex::new(0);
    pub(crate) const LANE: LaneIndex = LaneIndex::new(0);

    /// Of one judge on one lane without limits.
    pub(crate) fn running() -> Running {
        let mut running = Running::new(Waiting::new([("e:/m".to_owned(), None, None)]));
        let info = QuestionInfo { judge: "safety".into(), source_id: "e:/m".into(), ..QuestionInfo::default() };
        running.passes.push(Passes { info, good: 0, n: 0 });
        running
    }

    pub(crate) fn subject(trace_id: &str) -> SubjectIds {
        SubjectIds { trace_id: trace_id.into(), ..SubjectIds::default() }
    }

    pub(crate) fn sent<'a>(subject: &'a SubjectIds) -> Event<'a> {
        Event::Sent { lane: LANE, question: QUESTION, subject, attempt: 1 }
    }

    pub(crate) fn returned<'a>(subject: &'a SubjectIds, cost: Option<f64>) -> Event<'a> {
        let usage = Some(Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() });
        Event::Returned { lane: LANE, question: QUESTION, subject, usage, cost, latency: Duration::ZERO, failure: None }
    }

    pub(crate) fn verdict(value: bool) -> Feedback {
        let metadata = [(GOOD_METADATA.to_owned(), "true".to_owned())].into();
        Feedback { value: Some(value.into()), metadata, ..Feedback::default() }
    }

    pub(crate) fn record(running: &mut Running, feedback: &Feedback) {
        let now = Instant::now();
        running.add(&Event::Planned { question: QUESTION, changed: false }, now);
        running.add(&Event::Recorded { question: QUESTION, feedback, answer: None, method: None }, now);
    }

    #[test]
    fn failures_are_counted_by_code_and_verdicts_by_what_is_good() {
        let mut running = running();
        assert_eq!(running.passes[0].rate(), None);
        (0..85).for_each(|_| record(&mut running, &verdict(true)));
        (0..15).for_each(|_| record(&mut running, &verdict(false)));
        let error = FeedbackError { error_code: "TIMEOUT".into(), error_message: None, stack_trace: None };
        record(&mut running, &Feedback { error: Some(error), ..verdict(true) });
        record(&mut running, &Feedback { value: Some(true.into()), ..Feedback::default() });
        assert_eq!((running.done, running.failed.clone()), (102, [("TIMEOUT".to_owned(), 1)].into()));
        // Wilson's interval of 85 of 100 (statsmodels: proportion_confint(85, 100, method="wilson")).
        let (rate, low, high) = running.passes[0].rate().unwrap();
        assert_eq!(format!("{rate:.2} {low:.4} {high:.4}"), "0.85 0.7672 0.9069");
    }

    #[test]
    fn the_request_that_is_in_flight_longest_is_known_until_it_is_back() {
        let mut running = running();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (a, b) = (subject("a"), subject("b"));
        assert!(running.slowest(start).is_none());
        running.add(&sent(&a), at(0));
        running.add(&sent(&b), at(30));
        assert_eq!(running.slowest(at(45)), Some((&a, Duration::from_secs(45))));
        running.add(&returned(&a, None), at(50));
        assert_eq!((running.slowest(at(75)), running.in_flight()), (Some((&b, Duration::from_secs(45))), 1));
        running.add(&sent(&a), at(80));
        running.add(&returned(&b, None), at(80));
        assert_eq!(running.slowest(at(81)), Some((&a, Duration::from_secs(1))), "each attempt anew");
    }

    #[test]
    fn what_is_left_is_estimated_from_the_part_that_was_read() {
        let mut running = running();
        let now = Instant::now();
        assert_eq!(running.expected(), None);
        for _ in 0..3 {
            running.add(&Event::Planned { question: QUESTION, changed: false }, now);
        }
        running.add(&Event::TraceRead { bytes_read: 10, total_bytes: Some(40) }, now);
        assert_eq!(running.expected(), Some(Expected { judgments: 12, is_exact: false }));
        running.max = Some(5);
        assert_eq!(running.expected(), Some(Expected { judgments: 5, is_exact: false }));
        running.add(&Event::DatasetRead, now);
        assert_eq!((running.expected(), running.left(now)), (Some(Expected { judgments: 3, is_exact: true }), None));
        running.done = 2;
        assert_eq!(running.left(running.started + Duration::from_secs(10)), Some(Duration::from_secs(5)));
        running.done = 3;
        assert_eq!(running.left(now), None);
    }
}
