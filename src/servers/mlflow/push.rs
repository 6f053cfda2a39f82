//! Feedback to the server: each record of a log as an assessment under its own id, once.
//!
//! The server refuses an id that it has with status 500, so whatever is sent twice is stored once. Existing assessments are read first, many
//! traces at a time, and not sent again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::echo::{Difference, differences};
use super::evaluation::{Described, Evaluation, RUN_METADATA};
use super::rejection;
use super::{Server, there::There};
use crate::feedback::log::{OpenError, Place, StandingRecords, Stands};
use crate::feedback::wire::{Assessment, Wire};
use crate::feedback::{Feedback, IdHasher};
use crate::judge::redact::Redact;
use crate::servers::ServerError;

/// Traces looked up together.
const TOGETHER: usize = 50;
/// The number of traces whose records are sent at a time. More make a server (one process, SQLite) slower, not faster.
const WRITERS: usize = 4;
/// Responses with status 500 that are not about a duplicate.
const MAX_FAULTS: u32 = 3;
/// The number of differences that are kept verbatim.
const MAX_EXAMPLES: usize = 10;

/// What became of a log's records.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Records in force.
    pub records: u64,
    /// Sent now.
    pub sent: u64,
    /// There already, and equal.
    pub present: u64,
    /// Sent now, replacing an earlier state under the same id.
    pub replaced: u64,
    /// Verdicts that a person rejected, marked as not valid on the server.
    pub rejected: u64,
    /// Valid in the log, but overridden by someone on the server.
    pub overruled: u64,
    /// On the server with different content, by field.
    pub differing: BTreeMap<&'static str, u64>,
    /// The records that these fields belong to.
    pub n_differing: u64,
    /// Some of the differences.
    pub examples: Vec<Difference>,
    /// Not on the server, by its code.
    pub failed: BTreeMap<String, u64>,
    /// The evaluation run of what was sent: its id and its experiment's.
    pub run: Option<(String, String)>,
    /// Why it ended early.
    pub stopped: Option<ServerError>,
}

impl Pushed {
    /// Records that could not be sent.
    pub fn n_failed(&self) -> u64 {
        self.failed.values().sum()
    }

    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Sent => self.sent += 1,
            Fate::Present => self.present += 1,
            Fate::Replaced => self.replaced += 1,
            Fate::Overruled => self.overruled += 1,
            Fate::Failed(code) => *self.failed.entry(code).or_default() += 1,
            Fate::Differs(differences) => {
                self.n_differing += 1;
                for difference in differences {
                    *self.differing.entry(difference.field).or_default() += 1;
                    if self.examples.len() < MAX_EXAMPLES {
                        self.examples.push(difference);
                    }
                }
            }
        }
    }
}

/// Why nothing could be pushed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PushError {
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// What became of one record.
#[derive(Debug)]
enum Fate {
    Sent,
    Present,
    Replaced,
    Overruled,
    Differs(Vec<Difference>),
    Failed(String),
}

/// A record in force, and what has to be sent before it.
#[derive(Debug)]
struct Item {
    record: Feedback,
    is_rejected: bool,
    /// Earlier records of the same opinion, by id.
    earlier: Vec<Feedback>,
}

/// Sends the present state of a log, redacted. With `evaluation` it belongs to a run on the server, created when there is something to send.
///
/// # Errors
/// When the log cannot be read. The server's part is in the result.
pub async fn push(
    server: &Arc<Server>,
    records: &mut StandingRecords,
    evaluation: Option<&Described>,
    redact: Option<&Redact>,
    on_progress: &mut dyn FnMut(&Pushed),
) -> Result<Pushed, PushError> {
    let places = by_trace(records)?;
    let mut pushed = Pushed { records: places.len() as u64, ..Pushed::default() };
    let mut evaluation = evaluation.map(|described| Evaluation::new(Arc::clone(server), described));
    let mut of_traces = places.chunk_by(|a, b| a.trace == b.trace).peekable();
    while of_traces.peek().is_some() {
        let mut traces = HashMap::<String, Vec<Item>>::new();
        for place in of_traces.by_ref().take(TOGETHER).flatten() {
            let item = item(records, place, redact)?;
            match item.record.trace_id.clone() {
                Some(trace) => traces.entry(trace).or_default().push(item),
                None => pushed.add(Fate::Failed("NO_TRACE".to_owned())),
            }
        }
        if let Err(error) = push_traces(server, traces, evaluation.as_mut(), &mut pushed).await {
            pushed.stopped = Some(error);
            break;
        }
        on_progress(&pushed);
    }
    if let Some(evaluation) = evaluation {
        match evaluation.end(pushed.stopped.is_none()).await {
            Ok(run) => pushed.run = run,
            Err(error) => _ = pushed.stopped.get_or_insert(error),
        }
    }
    Ok(pushed)
}

/// The place of a record, and its trace.
#[derive(Debug, Clone, Copy)]
struct OfTrace {
    trace: u64,
    place: Place,
    stands: Stands,
}

/// The records in the order of their traces, in 32 bytes each.
fn by_trace(records: &mut StandingRecords) -> Result<Vec<OfTrace>, OpenError> {
    #[derive(Deserialize)]
    struct About<'a> {
        #[serde(borrow)]
        trace_id: Option<&'a RawValue>,
    }
    let mut places = Vec::new();
    records.for_each(|place, stands, line| {
        let about = serde_json::from_slice::<About<'_>>(line).ok().and_then(|about| about.trace_id);
        let trace = IdHasher::new("trace").part(about.map_or("", RawValue::get).as_bytes()).finish_u64();
        places.push(OfTrace { trace, place, stands });
    })?;
    places.sort_unstable_by_key(|record| (record.trace, record.place));
    Ok(places)
}

fn item(records: &mut StandingRecords, place: &OfTrace, redact: Option<&Redact>) -> Result<Item, OpenError> {
    let mut record = records.record(place.place)?;
    let mut earlier = if record.overrides.is_some() { records.earlier(place.place)? } else { Vec::new() };
    if record.assessment_id.is_none() {
        record.assessment_id = Some(own_id(&record));
    }
    record.valid = None;
    for record in earlier.iter_mut().chain([&mut record]) {
        redact.iter().for_each(|redact| redact.feedback(record));
    }
    Ok(Item { record, is_rejected: place.stands == Stands::Rejected, earlier })
}

/// For another program's record without an id: one derived from its content.
fn own_id(record: &Feedback) -> String {
    let text = serde_json::to_vec(record).unwrap_or_default();
    IdHasher::new("judge-run record without an id 1").part(&text).finish().to_string()
}

/// Sends the records of some traces. An error is one that every further request would cause.
async fn push_traces(
    server: &Arc<Server>,
    traces: HashMap<String, Vec<Item>>,
    mut evaluation: Option<&mut Evaluation>,
    pushed: &mut Pushed,
) -> Result<(), ServerError> {
    let ids: Vec<_> = traces.keys().map(String::as_str).collect();
    let mut there = There::of(server, &ids).await?;
    let mut running = JoinSet::new();
    let mut waiting = Vec::new();
    for (trace, mut items) in traces {
        // A person's opinion may come before what it overrides.
        items.sort_by_key(|item| item.record.overrides.is_some());
        let Some(assessments) = there.take(&trace) else {
            for _ in items {
                pushed.add(Fate::Failed("RESOURCE_DOES_NOT_EXIST".to_owned()));
            }
            continue;
        };
        let lacks = |item: &Item| !item.record.assessment_id.as_ref().is_some_and(|id| assessments.contains_key(id));
        let run_id = match evaluation.as_deref_mut() {
            Some(evaluation) => evaluation.run_of(&trace, &assessments, items.iter().any(lacks), &there).await?,
            None => None,
        };
        let of_trace = OneTrace { server: Arc::clone(server), trace, assessments, run_id };
        waiting.push(of_trace.settle_all(items));
    }
    let mut waiting = waiting.into_iter();
    loop {
        while running.len() < WRITERS
            && let Some(next) = waiting.next()
        {
            running.spawn(next);
        }
        let Some(done) = running.join_next().await else { return Ok(()) };
        let stopped = |error: tokio::task::JoinError| ServerError::Unexpected {
            request: "a push".into(),
            reason: error.to_string(),
        };
        let (fates, n_rejected, error) = done.map_err(stopped)?;
        fates.into_iter().for_each(|fate| pushed.add(fate));
        pushed.rejected += n_rejected;
        if let Some(error) = error {
            return Err(error);
        }
    }
}

/// The records of one trace, one after another: what is overridden has to be there first.
struct OneTrace {
    server: Arc<Server>,
    trace: String,
    assessments: BTreeMap<String, Assessment>,
    run_id: Option<String>,
}

impl OneTrace {
    /// The outcomes, the number of rejections that were marked, and the error that ended it.
    async fn settle_all(mut self, items: Vec<Item>) -> (Vec<Fate>, u64, Option<ServerError>) {
        let (mut fates, mut n_rejected) = (Vec::new(), 0);
        // What another record of the log overrides must not be valid on the server.
        let overridden: BTreeSet<_> = items.iter().filter_map(|item| item.record.overrides.clone()).collect();
        for item in &items {
            match self.settle_item(item).await {
                Ok(Fate::Overruled) if item.record.assessment_id.as_ref().is_some_and(|id| overridden.contains(id)) => {
                    fates.push(Fate::Present);
                }
                Ok(fate) => {
                    n_rejected += u64::from(item.is_rejected && fate.is_there());
                    fates.push(fate);
                }
                Err(error) if error.is_final() => return (fates, n_rejected, Some(error)),
                Err(error) => fates.push(Fate::of_error(&error)),
            }
        }
        (fates, n_rejected, None)
    }

    /// A record, and the mark on it if it is rejected.
    async fn settle_item(&mut self, item: &Item) -> Result<Fate, ServerError> {
        if !item.is_rejected {
            self.take_back_rejection(item.record.assessment_id.as_deref().unwrap_or_default()).await?;
        }
        let fate = self.settle_chain(&item.record, &item.earlier).await?;
        if !item.is_rejected || !fate.is_there() {
            return Ok(fate);
        }
        let mark = self.settle(rejection::of(&item.record)).await?;
        Ok(match fate {
            _ if !mark.is_there() => mark,
            // As it should be.
            Fate::Overruled => Fate::Present,
            fate => fate,
        })
    }

    /// A record, preceded by what it overrides and the server lacks, as far as the log still has it.
    async fn settle_chain(&mut self, record: &Feedback, earlier: &[Feedback]) -> Result<Fate, ServerError> {
        let mut chain = Vec::new();
        let mut next = record;
        while let Some(target) = next.overrides.as_ref().filter(|target| !self.assessments.contains_key(*target)) {
            let mut verdicts = earlier.iter().rev().filter(|record| !record.is_error());
            let before = verdicts.find(|record| record.assessment_id.as_ref() == Some(target));
            let Some(before) = before.filter(|_| chain.len() <= earlier.len()) else { break };
            chain.push(Feedback { valid: None, ..before.clone() });
            next = before;
        }
        for before in chain.into_iter().rev() {
            self.settle(before).await?;
        }
        self.settle(record.clone()).await
    }

    /// Makes the server have one record.
    async fn settle(&mut self, mut wanted: Feedback) -> Result<Fate, ServerError> {
        let mut lacking = None;
        if let Some(target) = wanted.overrides.clone().filter(|target| !self.assessments.contains_key(target)) {
            // The server refuses a record that overrides something missing; the opinion itself is worth more.
            wanted.overrides = None;
            lacking = Some(Difference::new(&wanted, "overrides", &target, "nothing"));
        }
        let id = wanted.assessment_id.clone().unwrap_or_default();
        let fate = match self.assessments.get(&id) {
            None => self.create(wanted, Fate::Sent).await?,
            Some(Assessment::Feedback(theirs)) => {
                let theirs = theirs.clone();
                self.keep_or_replace(wanted, theirs).await?
            }
            Some(Assessment::Expectation(_)) => {
                Fate::Differs(vec![Difference::new(&wanted, "kind", "feedback", "an expectation")])
            }
        };
        Ok(match lacking {
            Some(lacking) if fate.is_there() => Fate::Differs(vec![lacking]),
            _ => fate,
        })
    }

    /// The server has this id: the same, an earlier state of it, or something else.
    async fn keep_or_replace(&mut self, ours: Feedback, theirs: Feedback) -> Result<Fate, ServerError> {
        let differences = differences(&ours, &theirs);
        let is_overruled = theirs.valid == Some(false);
        if differences.is_empty() {
            return Ok(if is_overruled { Fate::Overruled } else { Fate::Present });
        }
        // Someone's decision about it would be lost with it.
        let is_ours = theirs.source == ours.source && theirs.name == ours.name;
        if is_overruled || !is_ours || theirs.last_update_time_ms >= ours.last_update_time_ms {
            return Ok(Fate::Differs(differences));
        }
        // An update in place would keep members of the old metadata, and set its own times.
        let id = ours.assessment_id.clone().unwrap_or_default();
        self.delete(&id).await?;
        self.create(ours, Fate::Replaced).await
    }

    /// Sends a record, and compares what the server stored.
    async fn create(&mut self, record: Feedback, done: Fate) -> Result<Fate, ServerError> {
        let mut sent = record.clone();
        if let Some(run_id) = &self.run_id {
            sent.metadata.insert(RUN_METADATA.to_owned(), run_id.clone());
        }
        let id = record.assessment_id.clone().unwrap_or_default();
        let path = ["api/3.0/mlflow/traces", self.trace.as_str(), "assessments"];
        let mut faults = 0;
        let theirs = loop {
            let reply = self.server.http.send_json(Method::POST, &path, &json!({ "assessment": Wire(&sent) })).await?;
            if reply.status != 500 {
                break reply.json::<Reply>()?.assessment;
            }
            // Already there, from an attempt whose answer was lost or from another process; or an error of the server.
            match self.get(&id).await? {
                Some(theirs) => break theirs,
                None if faults < MAX_FAULTS => faults += 1,
                None => return Err(reply.error()),
            }
        };
        let fate = match &theirs {
            Assessment::Feedback(theirs) => match differences(&record, theirs) {
                differences if differences.is_empty() => done,
                differences => Fate::Differs(differences),
            },
            Assessment::Expectation(_) => {
                Fate::Differs(vec![Difference::new(&record, "kind", "feedback", "an expectation")])
            }
        };
        if let Some(Assessment::Feedback(overridden)) =
            record.overrides.as_ref().and_then(|target| self.assessments.get_mut(target))
        {
            overridden.valid = Some(false);
        }
        self.assessments.insert(id, theirs);
        Ok(fate)
    }

    async fn get(&self, id: &str) -> Result<Option<Assessment>, ServerError> {
        let path = ["api/3.0/mlflow/traces", self.trace.as_str(), "assessments", id];
        let reply = self.server.http.send(Method::GET, &path, &[], None).await?;
        if reply.status == 404 { Ok(None) } else { reply.json::<Reply>().map(|reply| Some(reply.assessment)) }
    }

    /// Deleting an overriding assessment makes what it overrode valid again.
    async fn delete(&mut self, id: &str) -> Result<(), ServerError> {
        let path = ["api/3.0/mlflow/traces", self.trace.as_str(), "assessments", id];
        let reply = self.server.http.send(Method::DELETE, &path, &[], None).await?;
        if !reply.is_success() {
            return Err(reply.error());
        }
        if let Some(Assessment::Feedback(Feedback { overrides: Some(target), .. })) = self.assessments.remove(id)
            && let Some(Assessment::Feedback(overridden)) = self.assessments.get_mut(&target)
        {
            overridden.valid = Some(true);
        }
        Ok(())
    }

    /// A verdict that is no longer rejected is valid again.
    async fn take_back_rejection(&mut self, id: &str) -> Result<(), ServerError> {
        let mark = rejection::id_of(id);
        if self.assessments.contains_key(&mark) { self.delete(&mark).await } else { Ok(()) }
    }
}

impl Fate {
    /// Whether the server has the record unchanged.
    fn is_there(&self) -> bool {
        matches!(self, Self::Sent | Self::Present | Self::Replaced | Self::Overruled)
    }

    fn of_error(error: &ServerError) -> Self {
        Self::Failed(match error {
            ServerError::Status { code: Some(code), .. } => code.clone(),
            ServerError::Status { status, .. } => format!("HTTP_{status}"),
            _ => "UNEXPECTED_ANSWER".to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct Reply {
    assessment: Assessment,
}
