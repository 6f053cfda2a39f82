//! Starts a run: from settings to lanes, readers, log and dispatcher; and its end: from the dispatcher to the report.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::dataset::DatasetReader;
use crate::endpoint::client::{Client, ClientError};
use crate::feedback::log::{Index, LogWriter, WriteError};
use crate::judge::{Judge, Question};
use crate::run::dispatch::dispatcher::{Dispatcher, Parts};
use crate::run::dispatch::in_batches::InBatches;
use crate::run::dispatch::patience::Patience;
use crate::run::dispatch::stop::StopReason;
use crate::run::lanes::lane::Lane;
use crate::run::outcome::event::Event;
use crate::run::outcome::exit::RunReport;
use crate::run::outcome::summary::Summary;
use crate::run::panel::aggregate;
use crate::run::planning::plan::{Known, Makes};
use crate::run::planning::readers::Readers;
use crate::run::planning::rejects::Rejects;
use crate::run::rankings::{Ranking, rank};
use crate::run::rubrics::conclude;
use crate::run::setup::batching::Batched;
use crate::run::setup::questions::{LaneIndex, Questions};
use crate::run::setup::settings::{LaneSettings, Output, RunSettings, Shutdown};
use crate::run::until::Progress;

/// Why a run cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An endpoint's configuration.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log.
    #[error(transparent)]
    Log(#[from] WriteError),
    /// The file of rejected lines.
    #[error("cannot remove the rejected lines of an earlier run")]
    Rejects(#[source] std::io::Error),
    /// The thread that reads the dataset.
    #[error("cannot start the thread that reads the dataset")]
    Thread(#[source] std::io::Error),
}

/// Runs to the end, or to the first reason to stop.
///
/// `on_event` is called with everything that happens, in order, by this task. A change of `shutdown` takes effect immediately.
///
/// # Errors
/// Only before anything is sent. Later errors are in the report.
pub async fn run(
    settings: RunSettings,
    shutdown: watch::Receiver<Shutdown>,
    on_event: &mut dyn FnMut(&Event<'_>),
) -> Result<RunReport, StartError> {
    let RunSettings {
        datasets,
        questions,
        panels,
        rubrics,
        scope,
        lanes: lane_settings,
        output,
        reuse,
        rejects,
        selection,
        redact,
        sides,
        until,
        strict,
        policy,
        grace,
        budget,
        mut batching,
        run_id,
    } = settings;
    let (log, index) = match output {
        Output::Log(mut log) => {
            let index = std::mem::take(&mut log.index);
            (Some(log), index)
        }
        Output::Stdout => (None, Index::default()),
    };
    let path = log.as_ref().map(|log| log.path().to_owned());
    let questions = Questions::new(
        as_simulated(questions, &lane_settings, &index, batching.as_ref().is_some_and(|batching| batching.proves))
            .await?,
    );
    let lanes = lane_settings.iter().enumerate().map(|(place, lane)| {
        let asked = questions.on(LaneIndex::new(place));
        Lane::new(lane, &policy, asked, index.has_verdict_of(&lane.source_id()))
    });
    let mut lanes = lanes.collect::<Result<Vec<_>, _>>()?;
    if let Some(batching) = &mut batching {
        let ladders = std::mem::take(&mut batching.proofs.ladders);
        lanes.iter_mut().zip(ladders).for_each(|(lane, ladder)| lane.ladder = ladder);
    }
    let wake = Arc::new(Notify::new());
    let mut shares_quota = false;
    for (lane, settings) in lanes.iter_mut().zip(&lane_settings) {
        shares_quota |= settings.endpoint().is_some_and(|settings| lane.share_quotas(settings, &wake));
    }
    let total_bytes = datasets.first().and_then(DatasetReader::total_bytes);
    let rejects = Rejects::new(rejects).map_err(StartError::Rejects)?;
    // Only now that the run is known to be possible may it set an earlier log aside.
    let log = match log {
        Some(log) => log.into_writer()?,
        None => LogWriter::stdout()?,
    };
    let rankings: Vec<_> = judged(&questions).filter_map(|judge| Ranking::of(judge, &panels)).collect();
    let rubrics: Vec<_> = rubrics.into_iter().map(|rubric| (rubric.sources(&questions), rubric)).collect();
    let summary = Summary::new(questions.iter().map(|(_, question)| question), &lane_settings, selection.shard);
    let readers = Readers::start(
        datasets,
        &questions,
        &scope,
        Known { index, reuse, failures: batching.as_ref().and_then(InBatches::failures) },
        selection,
        until.as_ref().map(|until| &until.waves),
        &Makes { redact, sides },
    )
    .map_err(StartError::Thread)?;
    let patience = Patience { shutdown, grace };
    let mut dispatcher = Dispatcher::new(Parts {
        summary,
        questions,
        lanes,
        lane_ids: lane_settings.iter().map(LaneSettings::source_id).collect(),
        shared_quota: shares_quota.then_some(wake),
        log,
        rejects,
        strict,
        keep_answers: policy.keep_answers,
        total_bytes,
        run_id: run_id.clone(),
        budget,
        patience: patience.clone(),
        batching: batching.map(InBatches::new),
        until: until.map(Progress::new),
        on_event,
    });
    dispatcher.run(readers).await;
    let (mut summary, log, mut stop, batching) = dispatcher.end().await;
    if let Some(path) = path.filter(|_| !panels.is_empty() || !rankings.is_empty() || !rubrics.is_empty()) {
        let made = async {
            let of_panels =
                if panels.is_empty() { Vec::new() } else { aggregate(&panels, path.clone(), &log, &run_id).await? };
            // Where several vote, of what they come to.
            let of_documents =
                if rankings.is_empty() { Vec::new() } else { rank(&rankings, path.clone(), &log, &run_id).await? };
            let of_rubrics =
                if rubrics.is_empty() { Vec::new() } else { conclude(&rubrics, path, &log, &run_id).await? };
            Ok((of_panels, of_documents, of_rubrics))
        };
        let made = tokio::select! {
            biased;
            made = made => made,
            () = patience.clone().ends() => Ok(Default::default()),
        };
        match made {
            Ok(made) => (summary.panels, summary.rankings, summary.rubrics) = made,
            Err(error) => stop = stop.or(Some(StopReason::Votes(error))),
        }
    }
    match log.close(patience.ends()).await {
        Ok(restored) => summary.log = restored,
        Err(error) => {
            summary.unsaved = error.unsaved();
            stop = Some(StopReason::Log(error));
        }
    }
    summary.finish();
    let batched = match batching.map(|batching| batching.end(stop.is_none())).transpose() {
        Ok(batched) => batched.unwrap_or_default(),
        Err(error) => {
            stop = stop.or(Some(StopReason::Batch(error)));
            Batched::default()
        }
    };
    Ok(RunReport { summary, stop, batched })
}

/// The judges, each once.
fn judged(questions: &Questions) -> impl Iterator<Item = &Judge> {
    let all: Vec<_> = questions.iter().map(|(_, question)| &*question.judge).collect();
    let is_first = |at: usize| all[..at].iter().all(|judge| judge.name != all[at].name);
    let firsts: Vec<_> = (0..all.len()).filter(|at| is_first(*at)).map(|at| all[at]).collect();
    firsts.into_iter()
}

/// The questions, as those of simulated models where a simulator answers in a model's place: so that a drill resumes as a run does. Only where the
/// log has such records already; before that, the answers themselves say what they are. Of batches they say it too late: the ids are fixed when the
/// requests are handed over.
async fn as_simulated(
    questions: Vec<(Question, LaneIndex)>,
    lanes: &[LaneSettings],
    index: &Index,
    in_batches: bool,
) -> Result<Vec<(Question, LaneIndex)>, ClientError> {
    let mut asked = Vec::new();
    for (question, lane) in questions {
        let settings = lanes.get(lane.place()).and_then(LaneSettings::endpoint);
        let twin = question.of_simulator();
        let twin = twin.filter(|twin| in_batches || index.has_record_of(&twin.source_id)).cloned();
        let is_simulated = match (&twin, settings) {
            (Some(_), Some(lane)) => Client::new(lane.pool.first(), &lane.model)?.is_simulator().await,
            _ => false,
        };
        asked.push((twin.filter(|_| is_simulated).unwrap_or(question), lane));
    }
    Ok(asked)
}
