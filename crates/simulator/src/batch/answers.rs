//! The two files of a batch that has ended: what was answered, and what was not.

use serde_json::json;
use serde_json::value::RawValue;

use super::super::chat::Shared;
use super::super::completion::Completion;
use super::super::fault::Fault;
use super::super::lot::Lot;
use super::super::request::ChatRequest;
use super::job::{Job, Line, lines};

/// The answers, and the errors; `None` where there are none.
pub(super) fn of(job: &Job, shared: &Shared) -> [Option<Vec<u8>>; 2] {
    let faults = &shared.config.batch_faults;
    let mut files: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    for line in lines(&job.input) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { continue };
        // Its own number: the body's decides the faults of its answer.
        let fate = Lot::draw(line.custom_id.as_bytes()).fault;
        let is_in = |share: u32| (u128::from(fate) * 1_000_000) >> 64 < u128::from(share);
        if is_in(faults.missing) {
            continue;
        }
        let undone = match job.is_cancelled() {
            true => Some(("batch_cancelled", "This request was cancelled.")),
            false => is_in(faults.missing + faults.expired).then_some((
                "batch_expired",
                "This request could not be executed before the completion window expired.",
            )),
        };
        match undone {
            Some((code, message)) => {
                let error = json!({"code": code, "message": message});
                files[1].push(
                    json!({"id": id(&line), "custom_id": line.custom_id, "response": null, "error": error}).to_string(),
                );
            }
            None => {
                let (status, body) = answered(line.body, shared);
                let response = json!({"status_code": status, "request_id": "req_simulated", "body": body});
                let whole = json!({"id": id(&line), "custom_id": line.custom_id, "response": response, "error": null});
                files[usize::from(status != 200)].push(whole.to_string());
            }
        }
    }
    files.map(|mut lines| {
        if faults.disorder {
            lines.reverse();
        }
        (!lines.is_empty()).then(|| (lines.join("\n") + "\n").into_bytes())
    })
}

fn id(line: &Line<'_>) -> String {
    format!("batch_req_{}", line.custom_id)
}

/// The answer that the same request would have got by itself, without what only connections can do.
fn answered(body: &RawValue, shared: &Shared) -> (u16, serde_json::Value) {
    let bytes = body.get().as_bytes();
    let lot = Lot::draw(bytes);
    let mut in_flight = shared.counters.enter(lot.key);
    let request = match ChatRequest::parse(bytes) {
        Ok(request) => request,
        Err(error) => {
            in_flight.outcome.status = Some(error.status.as_u16());
            return (error.status.as_u16(), json!({"error": error}));
        }
    };
    let fault = shared.config.faults.draw(lot.fault);
    in_flight.outcome.fault = fault;
    if let Some(Fault::Status(status)) = fault {
        in_flight.outcome.status = Some(status);
        let error =
            json!({"message": "Simulated: something went wrong.", "type": "server_error", "param": null, "code": null});
        return (status, json!({"error": error}));
    }
    let completion = Completion::new(&request, &lot, fault);
    in_flight.outcome.usage(&completion.usage);
    in_flight.outcome.status = Some(200);
    (200, json!(completion))
}
