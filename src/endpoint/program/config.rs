//! How a program is run.

use std::time::Duration;

/// How a program is run.
#[derive(Debug, Clone)]
pub struct ProgramConfig {
    /// What its feedback is filed under.
    pub source_id: String,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// All that it sees of the environment.
    pub env: Vec<(String, String)>,
    /// How many of it run at once.
    pub processes: usize,
    /// For one answer.
    pub timeout: Duration,
}
