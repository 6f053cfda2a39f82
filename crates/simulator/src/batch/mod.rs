//! Files and batches, as in OpenAI's API: requests are uploaded in a file, and their answers fetched in two.
//!
//! A batch is done after a number of polls, not of seconds: so nothing depends on a clock.

mod answers;
pub(super) mod faults;
mod job;
mod multipart;
pub(super) mod store;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

pub use faults::{BatchFaults, InvalidBatchFaults};
use job::{Job, Wanted};
use store::File;

use super::chat::Shared;
use super::error::{ApiError, answer, json as json_answer};

/// The largest accepted file: 200 MB, as at OpenAI.
const MAX_FILE: usize = 200 << 20;
/// The most batches on a page of the list.
const MAX_PAGE: usize = 100;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/files", post(upload).layer(DefaultBodyLimit::max(MAX_FILE)))
        .route("/files/{id}", get(file).delete(delete))
        .route("/files/{id}/content", get(content))
        .route("/batches", post(create).get(list))
        .route("/batches/{id}", get(poll))
        .route("/batches/{id}/cancel", post(cancel))
}

fn missing(what: &str, id: &str) -> Response<Body> {
    ApiError::invalid(format!("No such {what}: {id}")).status(StatusCode::NOT_FOUND).response()
}

/// `POST /v1/files`.
async fn upload(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parts = multipart::parts(content_type, &body);
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let (Some(file), Some(purpose)) = (part("file"), part("purpose")) else {
        return ApiError::invalid("The form needs `file` and `purpose`.").response();
    };
    let file = File {
        name: file.file_name.clone().unwrap_or_default(),
        purpose: String::from_utf8_lossy(&purpose.content).into_owned(),
        content: file.content.clone(),
    };
    let mut store = shared.batches.lock();
    let id = store.add(file.clone());
    json_answer(StatusCode::OK, &described(&id, &file))
}

fn described(id: &str, file: &File) -> Value {
    json!({
        "id": id, "object": "file", "bytes": file.content.len(), "created_at": 0, "filename": file.name,
        "purpose": file.purpose, "status": "processed",
    })
}

/// `GET /v1/files/{id}`.
async fn file(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    match shared.batches.lock().file(&id) {
        Some(Some(file)) => json_answer(StatusCode::OK, &described(&id, file)),
        _ => missing("File object", &id),
    }
}

/// `DELETE /v1/files/{id}`.
async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    match shared.batches.lock().file(&id) {
        Some(file) => {
            *file = None;
            json_answer(StatusCode::OK, &json!({"id": id, "object": "file", "deleted": true}))
        }
        None => missing("File object", &id),
    }
}

/// `GET /v1/files/{id}/content`.
async fn content(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    match shared.batches.lock().content(&id) {
        Some(content) => answer(StatusCode::OK, "application/octet-stream", content),
        None => missing("File object", &id),
    }
}

/// `POST /v1/batches`.
async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> Response<Body> {
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return ApiError::invalid(error.to_string()).response(),
    };
    let mut store = shared.batches.lock();
    let Some(input) = store.content(&wanted.input_file_id) else {
        return missing("File object", &wanted.input_file_id);
    };
    let faults = &shared.config.batch_faults;
    let number = store.jobs.len();
    let is_full = faults.queue && store.jobs.iter().any(Job::is_open);
    let job = Job::new(number, wanted, input, faults, is_full);
    let answer = json_answer(StatusCode::OK, &job.described(faults));
    store.jobs.push(job);
    answer
}

/// `GET /v1/batches`: the newest first.
async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    let query = query.unwrap_or_default();
    let parameter = |name| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let after = parameter("after").map(|(_, id)| id);
    let limit = parameter("limit").and_then(|(_, n)| n.parse().ok()).unwrap_or(20).clamp(1, MAX_PAGE);
    let faults = &shared.config.batch_faults;
    let store = shared.batches.lock();
    let newest = store.jobs.iter().rev().skip_while(|job| after.is_some_and(|after| job.id() != after));
    let mut rest = newest.skip(usize::from(after.is_some()));
    let data: Vec<_> = rest.by_ref().take(limit).map(|job| job.described(faults)).collect();
    let has_more = rest.next().is_some();
    json_answer(StatusCode::OK, &json!({"object": "list", "data": data, "has_more": has_more}))
}

/// `GET /v1/batches/{id}`: each poll advances a batch by one step.
async fn poll(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    let mut store = shared.batches.lock();
    let Some(number) = store.jobs.iter().position(|job| job.id() == id) else { return missing("batch", &id) };
    let faults = &shared.config.batch_faults;
    if store.jobs[number].step(faults) {
        let [output, errors] = answers::of(&store.jobs[number], &shared);
        for (which, content) in [("output", output), ("error", errors)] {
            let Some(content) = content else { continue };
            let name = format!("{id}_{which}.jsonl");
            let file = store.add(File { name, purpose: "batch_output".to_owned(), content: content.into() });
            store.jobs[number].set_file(which, file);
        }
    }
    json_answer(StatusCode::OK, &store.jobs[number].described(faults))
}

/// `POST /v1/batches/{id}/cancel`.
async fn cancel(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response<Body> {
    let mut store = shared.batches.lock();
    match store.jobs.iter_mut().find(|job| job.id() == id) {
        Some(job) => {
            job.cancel();
            json_answer(StatusCode::OK, &job.described(&shared.config.batch_faults))
        }
        None => missing("batch", &id),
    }
}

#[cfg(test)]
mod tests;
