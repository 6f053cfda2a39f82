//! What a run needs, resolved: no flags, no files to look for.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batching::Batching;
use super::budget::Budget;
use super::millis;
use super::questions::LaneIndex;
use super::selection::Selection;
use super::sides::Sides;
use crate::dataset::DatasetReader;
use crate::endpoint::ModelUri;
use crate::endpoint::config::Pool;
use crate::endpoint::prices::Prices;
use crate::endpoint::program::ProgramConfig;
use crate::feedback::ErrorCode;
use crate::feedback::log::{OpenLog, OpinionKey, ReuseLog, Standing};
use crate::judge::Question;
use crate::judge::redact::Redact;
use crate::run::panel::Panel;
use crate::run::rubrics::AggregatedRubric;
use crate::run::until::Until;

/// One run.
#[derive(Debug)]
pub struct RunSettings {
    /// The traces: the dataset opened once for each lane, so that lanes don't wait for each other; or once, if it can be read
    /// only once.
    pub datasets: Vec<DatasetReader>,
    /// The questions about each of them, and their lanes.
    pub questions: Vec<(Question, LaneIndex)>,
    /// The judges that have several votes, and how they are combined. Only with a log, from which the aggregates are made.
    pub panels: Vec<Panel>,
    /// The rubrics whose verdicts come to one. Only with a log, from which that is made.
    pub rubrics: Vec<AggregatedRubric>,
    /// Which of the judgments.
    pub scope: Scope,
    /// The endpoints and models.
    pub lanes: Vec<LaneSettings>,
    /// Where the feedback goes.
    pub output: Output,
    /// Other runs' logs, whose verdicts are reused.
    pub reuse: Vec<ReuseLog>,
    /// Where lines that are not traces go; made when the first is found.
    pub rejects: PathBuf,
    /// Only these traces.
    pub selection: Selection,
    /// What judges do not see of them.
    pub redact: Option<Arc<Redact>>,
    /// Which of them are compared with which, where a judge compares outputs.
    pub sides: Option<Arc<Sides>>,
    /// When it is decided, and the order in which traces are asked.
    pub until: Option<Until>,
    /// Stop at the first line that is not a trace.
    pub strict: bool,
    /// What is retried, and how the run begins.
    pub policy: Policy,
    /// How long an interrupted run waits for answers in flight.
    pub grace: Duration,
    /// What the run may spend.
    pub budget: Budget,
    /// Where requests go instead of to the endpoints, and the results of earlier ones.
    pub batching: Option<Batching>,
    /// In the records' metadata.
    pub run_id: String,
}

impl RunSettings {
    /// An interrupted run ends soon, and still keeps most of what is paid for.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
}

/// Which judgments a run is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everything that the log lacks, and the failures that another attempt may cure.
    #[default]
    All,
    /// Only what stands as a failure in the log; a trace without one is not even rendered.
    Failures(FailureScope),
}

/// Which failures of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureScope {
    /// Those with one of these codes; `None` means those that another attempt may cure.
    pub only: Option<BTreeSet<ErrorCode>>,
    /// By question, the source whose failures are meant; empty means the question's own. If it is another one, its failures are
    /// asked again, and recorded as the question's own.
    pub of: Vec<String>,
    /// Rejected verdicts too.
    pub invalid: bool,
    /// Not these: they failed again a moment ago.
    pub except: HashSet<OpinionKey>,
}

impl Scope {
    /// Whether an opinion with this standing is asked again.
    pub fn asks_again(&self, standing: Standing) -> bool {
        match standing {
            Standing::Failed { code, .. } => self.selects(code),
            Standing::Rejected { .. } => matches!(self, Self::Failures(FailureScope { invalid: true, .. })),
            Standing::Number(_) | Standing::Label(_) | Standing::Other | Standing::Abstained => false,
        }
    }

    /// Whether a failure with this code is asked again; `None` is another tool's.
    pub fn selects(&self, code: Option<ErrorCode>) -> bool {
        match self {
            Self::Failures(FailureScope { only: Some(only), .. }) => code.is_some_and(|code| only.contains(&code)),
            Self::All | Self::Failures(_) => code.is_none_or(|code| code.traits().is_resumable),
        }
    }

    /// Whether an opinion has no part in it.
    pub(in crate::run) fn excepts(&self, opinion: OpinionKey) -> bool {
        matches!(self, Self::Failures(FailureScope { except, .. }) if except.contains(&opinion))
    }
}

/// What is retried, and how the run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Further attempts after the first, of one judgment.
    pub max_retries: u32,
    /// Of these, where the model answered without a usable verdict; `None` means a number that depends on what was wrong with the answer.
    pub re_asks: Option<u8>,
    /// An endpoint that asks for a longer pause is given up for this run.
    #[serde(rename = "max_retry_after_ms", with = "millis")]
    pub max_pause: Duration,
    /// Whether one request of each judge is answered before the others are sent, so that these find their prompt in the provider's cache.
    pub warm_up: bool,
    /// Whether records keep what the judge wrote.
    pub keep_answers: bool,
}

impl Default for Policy {
    /// Enough to outlast a minute of trouble, and longer than the wait of any quota per minute.
    fn default() -> Self {
        Self { max_retries: 6, re_asks: None, max_pause: Duration::from_secs(300), warm_up: false, keep_answers: false }
    }
}

/// Who answers the questions of a lane.
#[derive(Debug, Clone)]
pub enum LaneSettings {
    /// A model.
    Endpoint(Box<EndpointLane>),
    /// A judge's program.
    Program(ProgramConfig),
    /// No endpoint is asked: verdicts are computed as the dataset is read.
    Code,
}

/// One endpoint and one model on it, which share a quota.
#[derive(Debug, Clone)]
pub struct EndpointLane {
    /// The endpoint: all its deployments and keys.
    pub pool: Pool,
    /// The model's name on it.
    pub model: String,
    /// What its tokens cost.
    pub prices: Option<Prices>,
    /// How many requests a day allows.
    pub requests_per_day: Option<u64>,
    /// How many were sent today by earlier runs.
    pub requests_today: u64,
}

impl LaneSettings {
    /// The model URI, or its substitute.
    pub fn source_id(&self) -> String {
        match self {
            Self::Endpoint(lane) => lane.source_id(),
            Self::Program(program) => program.source_id.clone(),
            Self::Code => "code".to_owned(),
        }
    }

    /// The endpoint, if it is one.
    pub fn endpoint(&self) -> Option<&EndpointLane> {
        match self {
            Self::Endpoint(lane) => Some(lane),
            Self::Program(_) | Self::Code => None,
        }
    }

    /// The same, to be changed.
    pub fn endpoint_mut(&mut self) -> Option<&mut EndpointLane> {
        match self {
            Self::Endpoint(lane) => Some(lane),
            Self::Program(_) | Self::Code => None,
        }
    }
}

impl From<EndpointLane> for LaneSettings {
    fn from(lane: EndpointLane) -> Self {
        Self::Endpoint(Box::new(lane))
    }
}

impl EndpointLane {
    /// The model URI.
    pub fn source_id(&self) -> String {
        ModelUri { endpoint: self.pool.name().to_owned(), model: self.model.clone() }.to_string()
    }
}

/// Where the feedback goes.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a run")]
pub enum Output {
    /// To a log, which has what was judged before.
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
