//! Traces of an experiment, to a file.
//!
//! The server's page tokens are offsets, which skip and repeat traces while others arrive. So each page is bounded by time: it begins where the
//! page before ended, and known traces are left out. Tokens are only used for traces of the same millisecond.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::attachments::{WithImages, with_images};
use super::page::Page;
use super::trace_file::Info;
use super::{Server, TraceFile, second};
use crate::servers::ServerError;

/// Infos per page. The server's limit is 500, but an info has all assessments of its trace.
const PAGE: usize = 100;
/// The same with images, which are held until the page is written.
const PAGE_WITH_IMAGES: usize = 10;
/// Traces whose spans are asked for together.
const TOGETHER: usize = 10;
/// Requests for spans at a time.
const IN_FLIGHT: usize = 4;
/// Traces appear when they end, and are sorted by when they began: those that began this long before the latest one are looked for again.
const LATE_MS: i64 = 60 * 60 * 1000;
/// A trace whose spans are not all there this long after it began will not get the others: its client sent them elsewhere, or nowhere.
const EXPORTED_AFTER_MS: i64 = 10 * 60 * 1000;

/// Which traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The experiment's id.
    pub experiment_id: String,
    /// A condition in MLflow's filter syntax, such as `status = 'OK' AND tag.env = 'prod'`.
    pub filter: Option<String>,
    /// Only traces that began at this time or later, in Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Whether to fetch images that traces refer to.
    pub images: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Traces that the file did not have.
    pub new: u64,
    /// Of these, those whose spans are in a file on the server's artifact store.
    pub from_artifacts: u64,
    /// Of these, those for which the server has only some of the spans, and will not get the rest.
    pub incomplete: u64,
    /// Of these, those without spans.
    pub without_spans: u64,
    /// Images that were fetched.
    pub images: u64,
    /// Images that traces refer to but that were not available.
    pub missing_images: u64,
    /// Traces that have not ended, or whose spans are still on their way, which are left for the next time.
    pub in_progress: u64,
    /// Traces that were deleted in the meantime.
    pub gone: u64,
}

#[derive(Serialize)]
struct Search<'a> {
    locations: [serde_json::Value; 1],
    filter: String,
    max_results: usize,
    order_by: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    page_token: Option<&'a str>,
}

/// Appends the traces that a file lacks. Without `since_ms` it continues a little before the end of the file: traces can arrive late. Whatever
/// stops it, the same call continues.
///
/// # Errors
/// When the server stops answering, refuses access or the query, or the file cannot be written, or belongs to another experiment.
pub async fn pull(
    server: &Arc<Server>,
    query: &Query,
    file: &mut TraceFile,
    on_page: &mut dyn FnMut(&Pulled),
) -> Result<Pulled, ServerError> {
    let other = file.experiment_id().filter(|id| *id != query.experiment_id);
    if let Some(found) = other {
        let (path, found) = (file.path().to_owned(), found.to_owned());
        return Err(ServerError::OtherExperiment { path, found, wanted: query.experiment_id.clone() });
    }
    let of_page = if query.images { PAGE_WITH_IMAGES } else { PAGE };
    let mut pulled = Pulled::default();
    let mut left_out = HashSet::new();
    let mut from_ms = query.since_ms.or_else(|| file.latest_ms().map(|ms| ms.saturating_sub(LATE_MS)));
    let mut token = None;
    loop {
        let Page { traces, next_page_token } = page(server, query, of_page, from_ms, token.as_deref()).await?;
        let is_full = traces.len() >= of_page;
        let mut new = Vec::new();
        let mut last_ms = None;
        for raw in traces {
            let info: Info = serde_json::from_str(raw.get()).map_err(|error| unexpected(&error))?;
            last_ms = last_ms.max(info.time_ms());
            if info.state == "IN_PROGRESS" {
                pulled.in_progress += u64::from(left_out.insert(info.trace_id));
            } else if !file.knows(&info.trace_id) {
                new.push((info, raw));
            }
        }
        fetch(server, query.images, new, file, &mut left_out, &mut pulled).await?;
        file.sync()?;
        on_page(&pulled);
        // What a full page leaves out is on the next, which begins at the page's last time. If that is also its first, only the token helps.
        match (last_ms, next_page_token) {
            (Some(last), _) if is_full && from_ms.is_none_or(|from| last > from) => {
                (from_ms, token) = (Some(last), None)
            }
            (_, next @ Some(_)) => token = next,
            _ => return Ok(pulled),
        }
    }
}

async fn page(
    server: &Server,
    query: &Query,
    max_results: usize,
    from_ms: Option<i64>,
    page_token: Option<&str>,
) -> Result<Page, ServerError> {
    let bound = from_ms.map(|from| format!("timestamp_ms >= {from}"));
    let experiment = json!({
        "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": { "experiment_id": query.experiment_id },
    });
    let search = Search {
        locations: [experiment],
        filter: query.filter.iter().chain(&bound).map(String::as_str).collect::<Vec<_>>().join(" AND "),
        max_results,
        order_by: ["timestamp_ms ASC"],
        page_token,
    };
    match server.http.post(&["api/3.0/mlflow/traces/search"], &search).await {
        Ok(page) => Ok(page),
        Err(error) => match server.without_route(error).await {
            ServerError::TooOld { .. } => {
                second::page(server, &query.experiment_id, &search.filter, max_results, page_token).await
            }
            error => Err(error),
        },
    }
}

/// The spans of traces, by trace id.
#[derive(Default)]
struct Spans {
    found: HashMap<String, Box<RawValue>>,
    from_artifacts: u64,
    incomplete: u64,
    images: u64,
    missing_images: u64,
    /// Traces whose spans are still on their way.
    on_their_way: HashSet<String>,
    /// Traces that are no longer there.
    gone: HashSet<String>,
}

/// A trace whose spans are wanted.
struct Wanted {
    id: String,
    is_on_server: bool,
    is_recent: bool,
}

/// Gets the spans of traces and appends the traces, in their order.
async fn fetch(
    server: &Arc<Server>,
    images: bool,
    new: Vec<(Info, Box<RawValue>)>,
    file: &mut TraceFile,
    left_out: &mut HashSet<String>,
    pulled: &mut Pulled,
) -> Result<(), ServerError> {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut waiting = new.chunks(TOGETHER);
    let mut running = JoinSet::new();
    let mut all = Spans::default();
    loop {
        while running.len() < IN_FLIGHT
            && let Some(traces) = waiting.next()
        {
            let wanted = traces.iter().map(|(info, _)| Wanted {
                id: info.trace_id.clone(),
                is_on_server: info.has_spans_on_server(),
                is_recent: info.time_ms().is_none_or(|began| now - began < EXPORTED_AFTER_MS),
            });
            running.spawn(spans(Arc::clone(server), wanted.collect(), images));
        }
        let Some(done) = running.join_next().await else { break };
        let done = done.map_err(|error| unexpected(&error))??;
        all.found.extend(done.found);
        all.gone.extend(done.gone);
        all.on_their_way.extend(done.on_their_way);
        all.from_artifacts += done.from_artifacts;
        all.incomplete += done.incomplete;
        pulled.images += done.images;
        pulled.missing_images += done.missing_images;
    }
    let is_left = |id: &String| all.gone.contains(id) || all.on_their_way.contains(id);
    let there: Vec<_> = new.iter().filter(|(info, _)| !is_left(&info.trace_id)).collect();
    pulled.gone += all.gone.len() as u64;
    pulled.in_progress += all.on_their_way.iter().filter(|id| left_out.insert((*id).clone())).count() as u64;
    pulled.incomplete += all.incomplete;
    pulled.from_artifacts += all.from_artifacts;
    pulled.new += there.len() as u64;
    pulled.without_spans += there.iter().filter(|(info, _)| !all.found.contains_key(&info.trace_id)).count() as u64;
    file.append(there.into_iter().map(|(info, raw)| (info, &**raw, all.found.get(&info.trace_id).map(|s| &**s))))
}

/// The spans of some traces: from the server in one request if it has them, otherwise one by one from its artifacts.
async fn spans(server: Arc<Server>, wanted: Vec<Wanted>, images: bool) -> Result<Spans, ServerError> {
    let mut spans = Spans::default();
    let on_server: Vec<_> = wanted.iter().filter(|one| one.is_on_server).map(|one| one.id.as_str()).collect();
    let mut was_asked = false;
    if !on_server.is_empty() {
        match batch(&server, &on_server).await {
            Ok(found) => (spans.found, was_asked) = (found, true),
            // One trace whose spans are elsewhere fails all of them; servers up to 3.5 have no such route.
            Err(error) if matches!(error.status(), Some(404 | 405 | 500)) => {}
            Err(error) => return Err(error),
        }
    }
    for Wanted { id, is_on_server, is_recent } in wanted {
        if spans.found.contains_key(&id) {
            continue;
        }
        // What a batch leaves out was deleted, or is incomplete.
        let is_missing = is_on_server && was_asked;
        match artifact(&server, &id).await? {
            Some(_) if is_missing && is_recent => _ = spans.on_their_way.insert(id),
            Some(found) => {
                spans.incomplete += u64::from(is_missing);
                spans.from_artifacts += u64::from(!is_missing);
                spans.found.insert(id, found);
            }
            None if is_missing => _ = spans.gone.insert(id),
            None => {}
        }
    }
    for (id, found) in std::mem::take(&mut spans.found) {
        let found = match images {
            false => found,
            true => {
                let WithImages { spans: found, fetched, missing } = with_images(&server, found).await?;
                spans.images += fetched;
                spans.missing_images += missing;
                found
            }
        };
        spans.found.insert(id, found);
    }
    Ok(spans)
}

async fn batch(server: &Server, ids: &[&str]) -> Result<HashMap<String, Box<RawValue>>, ServerError> {
    #[derive(Deserialize)]
    struct Batch {
        #[serde(default)]
        traces: Vec<Whole>,
    }
    #[derive(Deserialize)]
    struct Whole {
        trace_info: Info,
        spans: Option<Box<RawValue>>,
    }
    let query: Vec<_> = ids.iter().map(|id| ("trace_ids", *id)).collect();
    let batch: Batch = server.http.get(&["api/3.0/mlflow/traces/batchGet"], &query).await?;
    let empty = || serde_json::from_str("[]").map_err(|error| unexpected(&error));
    let whole = |Whole { trace_info, spans }: Whole| Ok((trace_info.trace_id, spans.map_or_else(empty, Ok)?));
    batch.traces.into_iter().map(whole).collect()
}

/// `None` for a trace that has none.
async fn artifact(server: &Server, id: &str) -> Result<Option<Box<RawValue>>, ServerError> {
    #[derive(Deserialize)]
    struct Artifact {
        spans: Box<RawValue>,
    }
    let got = server.http.get::<Artifact>(&["ajax-api/2.0/mlflow/get-trace-artifact"], &[("request_id", id)]).await;
    match got {
        Ok(Artifact { spans }) => Ok(Some(spans)),
        Err(error) if matches!(error.status(), Some(400 | 404 | 500)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn unexpected(error: &dyn std::fmt::Display) -> ServerError {
    ServerError::Unexpected { request: "the search for traces".to_owned(), reason: error.to_string() }
}
