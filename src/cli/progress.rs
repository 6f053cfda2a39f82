//! Progress on standard error: a bar on a terminal, a line every few seconds elsewhere, and what goes wrong as it does.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use judge_run::feedback::Pause;
use judge_run::run::{Event, StopReason};

use super::notices;
use super::print::{self, counted, one_line, short, time};
use super::rejects::Rejects;
use super::waiting::Waiting;

/// Without a terminal, the first line comes after this long.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// From one line to the next the interval doubles, up to this: a night's run should not fill a log.
const MAX_LINE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// A run that is over sooner needs no bar: it would only flicker.
const BAR_AFTER: Duration = Duration::from_millis(500);

pub(crate) struct Progress {
    on_terminal: bool,
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: u8,
    started: Instant,
    last_line: Instant,
    last_drawn: Instant,
    line_interval: Duration,
    /// Judgments to be recorded, as far as is known.
    planned: u64,
    done: u64,
    failed: u64,
    tokens: u64,
    /// Where prices are known.
    cost: Option<f64>,
    rejects: Rejects,
    /// The part of the dataset that was read, 0 to 1; `None` when its length is unknown.
    read: Option<f64>,
    paused: Option<String>,
    waiting: Waiting,
    /// The most judgments that there can be.
    max: Option<u64>,
}

impl Progress {
    /// `max` is how many judgments there can be at most, if the user set a limit; `lanes` are the model URIs.
    pub(crate) fn new(quiet: bool, verbose: u8, max: Option<u64>, lanes: Vec<String>) -> Self {
        let now = Instant::now();
        Self {
            // Requests and answers would be printed into the bar.
            on_terminal: !quiet && verbose < 2 && draws_bars(),
            bar: None,
            quiet,
            verbose,
            started: now,
            last_line: now,
            last_drawn: now,
            line_interval: LINE_INTERVAL,
            planned: 0,
            done: 0,
            failed: 0,
            tokens: 0,
            cost: None,
            rejects: Rejects::default(),
            read: None,
            paused: None,
            waiting: Waiting::new(lanes),
            max,
        }
    }

    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. } => self.planned += 1,
            Event::TraceRead { bytes_read, total_bytes } | Event::LeftOut { bytes_read, total_bytes, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
                let share = total_bytes.filter(|total| *total > 0).map(|total| *bytes_read as f64 / total as f64);
                self.read = share;
            }
            Event::DatasetRead => self.read = Some(1.0),
            Event::Noticed(noticed) => {
                for note in notices::notes(noticed) {
                    self.line(format_args!("note: {note}"));
                }
            }
            Event::Sent { lane, subject, attempt, .. } => {
                self.waiting.sent(*lane, Instant::now());
                if self.verbose > 1 {
                    self.line(format_args!("sent {} (attempt {attempt})", subject.trace_id));
                }
            }
            Event::Returned { lane, subject, usage, cost, latency, failure, .. } => {
                self.waiting.returned(*lane, Instant::now());
                if let Some(usage) = usage {
                    self.tokens += usage.input_tokens + usage.output_tokens;
                    self.paused = None;
                }
                self.cost = cost.map(|cost| self.cost.unwrap_or(0.0) + cost).or(self.cost);
                if self.verbose > 1 {
                    let (trace, latency) = (&subject.trace_id, latency.as_secs_f64());
                    let tokens = usage.map_or(String::new(), |usage| {
                        format!(", {} tokens in, {} out", usage.input_tokens, usage.output_tokens)
                    });
                    let failure = failure.map_or(String::new(), |failure| format!(", {}", failure.code));
                    self.line(format_args!("answer for {trace} after {latency:.2} s{tokens}{failure}"));
                }
            }
            Event::Recorded { feedback, .. } => {
                self.done += 1;
                if let Some(error) = &feedback.error {
                    self.failed += 1;
                    if self.verbose > 0 {
                        let message = error.error_message.as_deref().unwrap_or_default();
                        let trace = feedback.trace_id.as_deref().unwrap_or_default();
                        self.line(format_args!("{trace} {}: {}: {message}", feedback.name, error.error_code.as_str()));
                    }
                }
            }
            Event::Retrying { failure, delay } => {
                let what = if failure.pause_scope() == Pause::Endpoint { "waiting" } else { "retrying" };
                self.paused = Some(format!("{what}: {}", failure.code));
                if self.verbose > 0 {
                    self.line(format_args!("retrying in {:.1} s: {failure}", delay.as_secs_f64()));
                }
            }
            Event::Rejected(reject) => {
                if let Some(line) = self.rejects.add(reject) {
                    self.line(format_args!("warning: {line}"));
                }
            }
            Event::MemberGivenUp { lane, member, reason } => {
                let source_id = self.waiting.name(*lane);
                self.line(format_args!("{source_id}: giving up on {member}: {reason}"));
            }
            Event::LaneStopped { lane, reason } => {
                let source_id = self.waiting.name(*lane);
                self.line(format_args!("{source_id}: giving up: {reason}"));
            }
            Event::Stopping { reason, in_flight } => self.stopping(reason, *in_flight),
            Event::Abandoned { in_flight } => {
                self.line(format_args!("ending without {}", in_flight_answers(*in_flight)))
            }
            Event::Tick => self.tick(),
            _ => {}
        }
        self.update_bar();
    }

    fn stopping(&self, reason: &StopReason, in_flight: usize) {
        let again = match reason {
            StopReason::Interrupted => "; press Ctrl-C again to end without them",
            _ => "",
        };
        let why = reason.with_causes();
        match in_flight {
            0 => self.line(format_args!("stopping: {why}")),
            n => self.line(format_args!("stopping: {why}; waiting for {}{again}", in_flight_answers(n))),
        }
    }

    /// What is not an event of the run.
    pub(crate) fn warn(&self, warning: &str) {
        self.line(format_args!("warning: {warning}"));
    }

    /// What to do about rejected records, to be shown last.
    pub(crate) fn hints(&self) -> Vec<String> {
        if self.quiet { Vec::new() } else { self.rejects.hints() }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(line) = self.rejects.not_shown() {
            self.line(format_args!("warning: {line}"));
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// All judgments that there will be, estimated from those of the part that was read.
    fn expected(&self) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
        let expected = |read: f64| {
            ((self.planned as f64 / read).round() as u64).min(self.max.unwrap_or(u64::MAX)).max(self.planned)
        };
        self.read.filter(|read| *read > 0.0).map(expected)
    }

    fn update_bar(&mut self) {
        let since = if self.bar.is_some() { self.last_drawn.elapsed() } else { self.started.elapsed() };
        let wait = if self.bar.is_some() { FRAME } else { BAR_AFTER };
        if !self.on_terminal || since < wait {
            return;
        }
        self.last_drawn = Instant::now();
        let state = self.state(self.last_drawn);
        let expected = self.expected();
        let is_new = self.bar.is_none();
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.set_style(style(WITHOUT_LENGTH));
            bar
        });
        // Each of these draws.
        if let Some(expected) = expected.filter(|expected| bar.length() != Some(*expected)) {
            if bar.length().is_none() {
                bar.set_style(style(WITH_LENGTH));
            }
            bar.set_length(expected);
        }
        if bar.position() != self.done {
            bar.set_position(self.done);
        }
        bar.set_message(state);
        if is_new {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(20));
            bar.tick();
        }
    }

    fn tick(&mut self) {
        if self.on_terminal || self.quiet || self.last_line.elapsed() < self.line_interval {
            return;
        }
        self.last_line = Instant::now();
        self.line_interval = (self.line_interval * 2).min(MAX_LINE_INTERVAL);
        print::message(self.state(self.last_line));
    }

    /// `12 of about 25 judgments, 0 failed, 4 s left, 3.4/s, 1.2k tokens`; a narrow terminal cuts the end.
    fn state(&self, now: Instant) -> String {
        let expected = self.expected();
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let mut state = match expected {
            // The estimate is exact once everything was read.
            Some(expected) if self.read == Some(1.0) => format!("{} of {}", self.done, counted(expected, "judgment")),
            Some(expected) => format!("{} of about {}", self.done, counted(expected, "judgment")),
            None => counted(self.done, "judgment"),
        };
        state.push_str(&format!(", {} failed", self.failed));
        if let Some(waiting) = self.waiting.longest(now) {
            state.push_str(&format!(", {waiting}"));
        } else if let Some(paused) = &self.paused {
            state.push_str(&format!(", {paused}"));
        } else if let Some(expected) = expected.filter(|expected| self.done > 0 && *expected > self.done) {
            #[expect(clippy::cast_precision_loss, reason = "for the eye")]
            let left = Duration::from_secs_f64((expected - self.done) as f64 / rate);
            state.push_str(&format!(", {} left", time(left)));
        }
        state.push_str(&format!(", {rate:.1}/s, {} tokens", short(self.tokens)));
        if let Some(cost) = self.cost {
            state.push_str(&format!(", cost {cost:.4}"));
        }
        state
    }

    /// A line above the bar.
    fn line(&self, text: std::fmt::Arguments<'_>) {
        if self.quiet {
            return;
        }
        let text = one_line(&text.to_string());
        match &self.bar {
            Some(bar) => bar.suspend(|| print::message(text)),
            None => print::message(text),
        }
    }
}

fn in_flight_answers(n: usize) -> String {
    format!("{} in flight", counted(n as u64, "answer"))
}

const WITH_LENGTH: &str = "{bar:12} {wide_msg}";
const WITHOUT_LENGTH: &str = "{wide_msg}";

fn style(template: &str) -> ProgressStyle {
    // The templates are constants, tested below.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━━╌")
}

/// Whether a bar can be drawn: a terminal that moves its cursor.
fn draws_bars() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use judge_run::endpoint::wire::answer::Usage;
    use judge_run::judge::SubjectIds;
    use judge_run::run::{LaneIndex, QuestionIndex};

    use super::*;

    const QUESTION: QuestionIndex = QuestionIndex::new(0);

    fn progress() -> Progress {
        Progress::new(true, 0, None, vec!["e:/m".to_owned()])
    }

    #[test]
    fn the_bars_templates_are_valid() {
        for template in [WITH_LENGTH, WITHOUT_LENGTH] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn the_state_shows_what_is_known_and_estimates_the_rest_from_the_part_that_was_read() {
        let mut progress = progress();
        let state = |progress: &Progress| progress.state(Instant::now());
        assert!(state(&progress).starts_with("0 judgments, 0 failed, 0.0/s, 0 tokens"), "{}", state(&progress));
        (0..3).for_each(|_| progress.show(&Event::Planned { question: QUESTION, changed: false }));
        progress.show(&Event::TraceRead { bytes_read: 10, total_bytes: Some(40) });
        assert!(state(&progress).starts_with("0 of about 12 judgments"), "{}", state(&progress));
        assert!(!state(&progress).contains("left"));
        progress.show(&Event::DatasetRead);
        progress.done = 1;
        let shown = state(&progress);
        assert!(shown.starts_with("1 of 3 judgments, 0 failed, ") && shown.contains(" left, "), "{shown}");
        progress.paused = Some("waiting: RATE_LIMIT_EXCEEDED".to_owned());
        let shown = state(&progress);
        assert!(shown.contains("0 failed, waiting: RATE_LIMIT_EXCEEDED, ") && !shown.contains("left"), "{shown}");
    }

    #[test]
    fn what_an_answer_used_and_cost_is_added_up() {
        let mut progress = progress();
        let usage = Some(Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() });
        let (lane, question, subject) = (LaneIndex::new(0), QUESTION, &SubjectIds::default());
        for cost in [None, Some(0.25), Some(0.5)] {
            progress.show(&Event::Sent { lane, question, subject, attempt: 1 });
            let latency = Duration::ZERO;
            progress.show(&Event::Returned { lane, question, subject, usage, cost, latency, failure: None });
        }
        let state = progress.state(Instant::now());
        assert!(state.ends_with(", 360 tokens, cost 0.7500"), "{state}");
    }

    #[test]
    fn a_silent_endpoint_shows_how_many_requests_wait_and_for_how_long() {
        let mut progress = progress();
        let ids = SubjectIds::default();
        for _ in 0..3 {
            progress.show(&Event::Sent { lane: LaneIndex::new(0), question: QUESTION, subject: &ids, attempt: 1 });
        }
        let state = progress.state(Instant::now() + Duration::from_secs(125));
        assert!(state.contains("0 failed, 3 requests without an answer for 2 min 5 s, "), "{state}");
    }
}
