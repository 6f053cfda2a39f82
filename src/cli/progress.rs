//! Progress on standard error: a bar on a terminal, a line every few seconds elsewhere, or JSON lines; and failures as they happen.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use judge_run::endpoint::pacing::shared::QuotaNews;
use judge_run::run::{Event, StopReason};

use super::flags::ProgressForm;
use super::print::{self, counted, one_line, short, time};
use super::rejects::Rejects;
use super::running::Running;
use super::waiting::SILENCE;
use super::{notices, progress_json};

/// Without a terminal, the first line comes after this long.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// The interval between lines doubles, up to this: a nightly run should not fill a log.
const MAX_LINE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// A run that is over sooner needs no bar: it would only flicker.
const BAR_AFTER: Duration = Duration::from_millis(500);

/// The first JSON line comes after a second, the others at this interval.
const JSON_INTERVAL: Duration = Duration::from_secs(5);
/// The pass rate is shown for at most this many judges.
const RATES_SHOWN: usize = 3;

pub(crate) struct Progress {
    form: ProgressForm,
    on_terminal: bool,
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: u8,
    last_line: Option<Instant>,
    last_drawn: Instant,
    line_interval: Duration,
    running: Running,
    rejects: Rejects,
}

impl Progress {
    /// Of a run with these figures.
    pub(crate) fn new(form: ProgressForm, quiet: bool, verbose: u8, running: Running) -> Self {
        Self {
            form,
            // Requests and answers would be printed into the bar.
            on_terminal: form == ProgressForm::Text && !quiet && verbose < 2 && draws_bars(),
            bar: None,
            quiet,
            verbose,
            last_line: None,
            last_drawn: Instant::now(),
            line_interval: LINE_INTERVAL,
            running,
            rejects: Rejects::default(),
        }
    }

    pub(crate) fn show(&mut self, event: &Event<'_>) {
        // No one sees the figures of a quiet run.
        if !self.quiet {
            self.running.add(event, Instant::now());
        }
        match event {
            Event::Noticed(noticed) => {
                for note in notices::notes(noticed) {
                    self.line(format_args!("note: {note}"));
                }
            }
            Event::Sent { subject, attempt, .. } if self.verbose > 1 => {
                self.line(format_args!("sent {} (attempt {attempt})", subject.trace_id));
            }
            Event::Returned { subject, usage, latency, failure, .. } if self.verbose > 1 => {
                let (trace, latency) = (&subject.trace_id, latency.as_secs_f64());
                let tokens = usage.map_or(String::new(), |usage| {
                    format!(", {} tokens in, {} out", usage.input_tokens, usage.output_tokens)
                });
                let failure = failure.map_or(String::new(), |failure| format!(", {}", failure.code));
                self.line(format_args!("answer for {trace} after {latency:.2} s{tokens}{failure}"));
            }
            Event::Recorded { feedback, .. } if self.verbose > 0 => {
                if let Some(error) = feedback.error.as_ref().filter(|_| feedback.is_error()) {
                    let message = error.error_message.as_deref().unwrap_or_default();
                    let trace = feedback.trace_id.as_deref().unwrap_or_default();
                    self.line(format_args!("{trace} {}: {}: {message}", feedback.name, error.error_code.as_str()));
                }
            }
            Event::Retrying { failure, delay } if self.verbose > 0 => {
                self.line(format_args!("retrying in {:.1} s: {failure}", delay.as_secs_f64()));
            }
            Event::Rejected(reject) => {
                if let Some(line) = self.rejects.add(reject) {
                    self.line(format_args!("warning: {line}"));
                }
            }
            Event::MemberGivenUp { lane, member, reason } => {
                let source_id = self.running.name(*lane);
                self.line(format_args!("{source_id}: giving up on {member}: {reason}"));
            }
            Event::LaneStopped { lane, reason } => {
                let source_id = self.running.name(*lane);
                self.line(format_args!("{source_id}: giving up: {reason}"));
            }
            Event::QuotaServer { lane, news } => {
                let source_id = self.running.name(*lane);
                match news {
                    QuotaNews::Away { server, reason, share } => self.line(format_args!(
                        "warning: {source_id}: the quota server {server} is unreachable ({}); until it is back, this process keeps to {:.1} % of the quota",
                        one_line(reason),
                        share * 100.0
                    )),
                    QuotaNews::Back { server } => {
                        self.line(format_args!("{source_id}: the quota server {server} is back"));
                    }
                }
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
            StopReason::Interrupted => "; press Ctrl-C again to stop without them",
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
        if self.form == ProgressForm::Json && !self.quiet {
            print::message(progress_json::line(&self.running, true, Instant::now()));
        }
    }

    fn update_bar(&mut self) {
        if !self.on_terminal {
            return;
        }
        let now = Instant::now();
        let since = if self.bar.is_some() { now - self.last_drawn } else { self.running.elapsed(now) };
        let wait = if self.bar.is_some() { FRAME } else { BAR_AFTER };
        if since < wait {
            return;
        }
        self.last_drawn = now;
        let state = self.state(now);
        let expected = self.running.expected().map(|expected| expected.judgments);
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
        if bar.position() != self.running.done {
            bar.set_position(self.running.done);
        }
        bar.set_message(state);
        if is_new {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(20));
            bar.tick();
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let since = self.last_line.map_or_else(|| self.running.elapsed(now), |last| now - last);
        if self.on_terminal || self.quiet {
            return;
        }
        if self.form == ProgressForm::Json {
            if self.last_line.is_none() || since >= JSON_INTERVAL {
                self.last_line = Some(now);
                print::message(progress_json::line(&self.running, false, now));
            }
        } else if since >= self.line_interval {
            self.last_line = Some(now);
            self.line_interval = (self.line_interval * 2).min(MAX_LINE_INTERVAL);
            print::message(self.state(now));
        }
    }

    /// `12 of about 25 judgments, 1 failed (TIMEOUT 1), 4 s left, 3.4/s, 58/60 rpm, 1.2k tokens, cost 0.41 of 10, safety 92% good (65 to 99%)`; a
    /// narrow terminal cuts the end.
    fn state(&self, now: Instant) -> String {
        let running = &self.running;
        let mut state = match running.expected() {
            Some(expected) if expected.is_exact => {
                format!("{} of {}", running.done, counted(expected.judgments, "judgment"))
            }
            Some(expected) => format!("{} of about {}", running.done, counted(expected.judgments, "judgment")),
            None => counted(running.done, "judgment"),
        };
        state.push_str(&format!(", {} failed", running.failed.values().sum::<u64>()));
        if !running.failed.is_empty() {
            state.push_str(&format!(" ({})", by_number(running)));
        }
        let mut add = |part: String| state.extend([", ", &part]);
        let slowest = running.slowest(now).filter(|(_, time)| *time >= 2 * SILENCE);
        if let Some(silence) = running.lanes.longest(now) {
            add(silence);
        } else if let Some((subject, in_flight)) = slowest {
            add(format!("no answer for {} ({})", time(in_flight), one_line(&subject.trace_id)));
        } else if let Some(paused) = &running.paused {
            add(paused.clone());
        } else if let Some(left) = running.left(now) {
            add(format!("{} left", time(left)));
        }
        add(format!("{:.1}/s", running.rate(now)));
        running.lanes.quota(now).into_iter().for_each(&mut add);
        match running.budget.tokens {
            None => add(format!("{} tokens", short(running.tokens))),
            Some(max) => add(format!("{} of {} tokens", short(running.tokens), short(max))),
        }
        match (running.cost, running.budget.cost) {
            (Some(cost), None) => add(format!("cost {cost:.4}")),
            (Some(cost), Some(max)) => add(format!("cost {cost:.4} of {max}")),
            (None, _) => {}
        }
        for passes in running.passes.iter().take(RATES_SHOWN) {
            if let Some((rate, low, high)) = passes.rate() {
                let [rate, low, high] = [rate, low, high].map(|share| (100.0 * share).round());
                add(format!("{} {rate}% good ({low} to {high}%)", one_line(&passes.info.judge)));
            }
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

/// The failures by code, the most frequent first.
fn by_number(running: &Running) -> String {
    let mut codes: Vec<_> = running.failed.iter().collect();
    codes.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    codes.iter().map(|(code, n)| format!("{code} {n}")).collect::<Vec<_>>().join(", ")
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
    use judge_run::endpoint::Failure;
    use judge_run::feedback::{ErrorCode, Feedback, FeedbackError};

    use super::super::running::tests::{QUESTION, record, returned, running, sent, subject, verdict};
    use super::*;

    fn progress() -> Progress {
        Progress::new(ProgressForm::Text, false, 0, running())
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
        progress.running.done = 1;
        let shown = state(&progress);
        assert!(shown.starts_with("1 of 3 judgments, 0 failed, ") && shown.contains(" left, "), "{shown}");
        let failure = Failure::new(ErrorCode::RateLimitExceeded, "slow down");
        progress.show(&Event::Retrying { failure: &failure, delay: Duration::ZERO });
        let shown = state(&progress);
        assert!(shown.contains("0 failed, waiting: RATE_LIMIT_EXCEEDED, ") && !shown.contains("left"), "{shown}");
    }

    #[test]
    fn what_an_answer_used_and_cost_is_added_up_and_compared_with_the_budget() {
        let mut progress = progress();
        for (trace, cost) in [("a", None), ("b", Some(0.25)), ("c", Some(0.5))] {
            progress.show(&sent(&subject(trace)));
            progress.show(&returned(&subject(trace), cost));
        }
        let state = progress.state(Instant::now());
        assert!(state.ends_with(", 360 tokens, cost 0.7500"), "{state}");
        (progress.running.budget.tokens, progress.running.budget.cost) = (Some(50_000), Some(2.5));
        let state = progress.state(Instant::now());
        assert!(state.ends_with(", 360 of 50.0k tokens, cost 0.7500 of 2.5"), "{state}");
    }

    #[test]
    fn failures_are_shown_by_code_and_verdicts_by_how_many_are_good() {
        let mut progress = progress();
        let failed = |code: ErrorCode| {
            let error = FeedbackError { error_code: code.into(), error_message: None, stack_trace: None };
            Feedback { error: Some(error), ..Feedback::default() }
        };
        for code in [ErrorCode::Refused, ErrorCode::Timeout, ErrorCode::Timeout] {
            record(&mut progress.running, &failed(code));
        }
        (0..10).for_each(|i| record(&mut progress.running, &verdict(i > 0)));
        let state = progress.state(Instant::now());
        assert!(state.contains("3 failed (TIMEOUT 2, REFUSED 1), "), "{state}");
        // Wilson's interval of 9 of 10 (statsmodels: proportion_confint(9, 10, method="wilson")): 0.5958 to 0.9821.
        assert!(state.ends_with(", safety 90% good (60 to 98%)"), "{state}");
    }

    #[test]
    fn a_silent_endpoint_shows_how_many_requests_wait_and_for_how_long() {
        let mut progress = progress();
        for trace in ["a", "b", "c"] {
            progress.show(&sent(&subject(trace)));
        }
        let later = Instant::now() + Duration::from_secs(125);
        let state = progress.state(later);
        assert!(state.contains("0 failed, 3 requests without an answer for 2 min 5 s, "), "{state}");
        // The others are answered: the slow one is named.
        progress.running.add(&returned(&subject("b"), None), later);
        progress.running.add(&returned(&subject("c"), None), later);
        let state = progress.state(later);
        assert!(state.contains("0 failed, no answer for 2 min 5 s (a), "), "{state}");
    }
}
