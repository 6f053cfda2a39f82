//! What a run needs, resolved: no flags, no files to look for.

use std::path::PathBuf;
use std::time::Duration;

use super::budget::Budget;
use crate::dataset::DatasetReader;
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::prices::Prices;
use crate::feedback::log::OpenLog;
use crate::judge::Question;

/// One run.
#[derive(Debug)]
pub struct RunSettings {
    /// The traces: the dataset opened once for each lane, so that lanes don't wait for each other; or once, if it can be read
    /// only once.
    pub datasets: Vec<DatasetReader>,
    /// What is asked about each of them, and on which lane.
    pub questions: Vec<(Question, usize)>,
    /// The endpoints and models.
    pub lanes: Vec<LaneSettings>,
    /// Where the feedback goes.
    pub output: Output,
    /// Where lines that are no trace go; made when there is one.
    pub rejects: PathBuf,
    /// At most so many traces.
    pub limit: Option<u64>,
    /// Stop at the first line that is no trace.
    pub strict: bool,
    /// Further attempts after the first, of one judgment.
    pub max_retries: u32,
    /// An endpoint that asks for a longer pause is done for this run.
    pub max_retry_after: Duration,
    /// After an interruption, answers in flight have so long to come in.
    pub grace: Duration,
    /// What the run may spend.
    pub budget: Budget,
    /// In the records' metadata.
    pub run_id: String,
}

impl RunSettings {
    /// Enough to outlast a minute of trouble.
    pub const DEFAULT_MAX_RETRIES: u32 = 6;
    /// Longer than any quota a minute asks for.
    pub const DEFAULT_MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
    /// An interrupted run ends soon, and still keeps most of what is paid for.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
}

/// One endpoint and one model on it: what shares a quota.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// The endpoint.
    pub endpoint: EndpointConfig,
    /// The model's name on it.
    pub model: String,
    /// What its tokens cost.
    pub prices: Option<Prices>,
}

/// Where the feedback goes.
#[derive(Debug)]
pub enum Output {
    /// To a log, which knows what was judged before.
    Log(OpenLog),
    /// To standard output; everything is judged.
    Stdout,
}

/// The user's wish to end the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// None.
    No,
    /// Send nothing more, and keep what is in flight.
    Drain,
    /// Stop at once.
    Abort,
}
