//! Progress on standard error: a bar on a terminal, a line every few seconds elsewhere, and what goes wrong as it does.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use judge_run::feedback::Pause;
use judge_run::run::Event;

use super::print::{self, counted, one_line, short};

/// Where there is no terminal, a line this often.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// A file full of rejects should not fill a screen: the rest is in the rejects file.
const REJECTS_SHOWN: u64 = 20;

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: u8,
    started: Instant,
    last_line: Instant,
    /// Judgments that are to be asked, as far as is known.
    planned: u64,
    done: u64,
    failed: u64,
    tokens: u64,
    rejects: u64,
    /// The part of the dataset that was read, 0 to 1; `None` when its length is not known.
    read: Option<f64>,
    paused: Option<String>,
}

impl Progress {
    pub(crate) fn new(quiet: bool, verbose: u8) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style());
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            quiet,
            verbose,
            started: now,
            last_line: now,
            planned: 0,
            done: 0,
            failed: 0,
            tokens: 0,
            rejects: 0,
            read: None,
            paused: None,
        }
    }

    pub(crate) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { .. } => self.planned += 1,
            Event::TraceRead { bytes_read, total_bytes } => {
                #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
                let share = total_bytes.filter(|total| *total > 0).map(|total| *bytes_read as f64 / total as f64);
                self.read = share;
            }
            Event::DatasetRead => self.read = Some(1.0),
            Event::Recorded { feedback, .. } => {
                self.done += 1;
                if let Some(error) = &feedback.error {
                    self.failed += 1;
                    if self.verbose > 0 {
                        let message = one_line(error.error_message.as_deref().unwrap_or_default());
                        let trace = one_line(feedback.trace_id.as_deref().unwrap_or_default());
                        self.line(format_args!("{trace} {}: {}: {message}", feedback.name, error.error_code.as_str()));
                    }
                }
            }
            Event::Returned { usage: Some(usage), .. } => {
                self.tokens += usage.input_tokens + usage.output_tokens;
                self.paused = None;
            }
            Event::Retrying { failure, delay } => {
                if failure.pause_scope() == Pause::Endpoint {
                    self.paused = Some(format!("waiting: {}", failure.code));
                }
                if self.verbose > 0 {
                    let message = one_line(&failure.to_string());
                    self.line(format_args!("asking again in {:.1} s: {message}", delay.as_secs_f64()));
                }
            }
            Event::Rejected(reject) => {
                self.rejects += 1;
                if self.rejects <= REJECTS_SHOWN {
                    self.line(format_args!("warning: {}", one_line(&reject.to_string())));
                } else if self.rejects == REJECTS_SHOWN + 1 {
                    self.line(format_args!("warning: further rejected lines are only counted"));
                }
            }
            Event::Stopping(reason) => {
                let reason = one_line(&reason.to_string());
                self.line(format_args!("stopping: {reason}; answers in flight are still saved"));
            }
            Event::Tick => self.tick(),
            _ => {}
        }
        self.update_bar();
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// All judgments that there will be, from those of the part that was read.
    fn expected(&self) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and small")]
        let expected = |read: f64| ((self.planned as f64 / read).round() as u64).max(self.planned);
        self.read.filter(|read| *read > 0.0).map(expected)
    }

    fn update_bar(&self) {
        let Some(bar) = &self.bar else { return };
        if let Some(expected) = self.expected() {
            bar.set_length(expected);
        }
        bar.set_position(self.done);
        if bar.is_hidden() {
            return;
        }
        bar.set_message(format!(
            "{} failed · {} tokens{}",
            self.failed,
            short(self.tokens),
            self.paused.as_ref().map(|paused| format!(" · {paused}")).unwrap_or_default()
        ));
    }

    fn tick(&mut self) {
        if self.bar.is_some() || self.quiet || self.last_line.elapsed() < LINE_INTERVAL {
            return;
        }
        self.last_line = Instant::now();
        let elapsed = self.started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        let rate = self.done as f64 / elapsed.max(0.001);
        let of = self.expected().map(|expected| format!(" of about {expected}")).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "for the eye")]
        let left = self
            .expected()
            .filter(|_| self.done > 0)
            .map(|expected| format!(", about {:.0} s left", expected.saturating_sub(self.done) as f64 / rate))
            .unwrap_or_default();
        let paused = self.paused.as_ref().map(|paused| format!(", {paused}")).unwrap_or_default();
        print::message(format_args!(
            "{}{of}, {} failed, {rate:.1}/s, {} tokens{left}{paused}",
            counted(self.done, "judgment"),
            self.failed,
            short(self.tokens)
        ));
    }

    /// A line above the bar.
    fn line(&self, text: std::fmt::Arguments<'_>) {
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| print::message(text)),
            None => print::message(text),
        }
    }
}

fn style() -> ProgressStyle {
    // The template is a constant, tested below.
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

const TEMPLATE: &str = "{wide_bar} {pos}/{len} · {msg} · {per_sec} · {eta} left";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bars_template_is_right() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
