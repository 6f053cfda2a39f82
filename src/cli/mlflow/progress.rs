//! Progress on standard error: a spinner on a terminal, an occasional line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::cli::print;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    const INTERVAL: Duration = Duration::from_secs(10);

    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { bar, last_line: Instant::now() }
    }

    /// Shows the progress; `text` is called only if it is shown.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text());
                bar.tick();
            }
            None if self.last_line.elapsed() >= Self::INTERVAL => {
                self.last_line = Instant::now();
                print::message(text());
            }
            None => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
