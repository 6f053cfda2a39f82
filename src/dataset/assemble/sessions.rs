//! Traces by their session, wherever in a dataset they are.

use std::borrow::Cow;
use std::io;

use serde_json::Value;

use crate::dataset::assemble::gather::Gather;
use crate::dataset::depth::{MAX_DEPTH, is_deeper};
use crate::dataset::dialects::trace_fields;
use crate::dataset::source::DatasetError;
use crate::trace::{Session, Trace};

/// The traces that have a session, in a temporary file; in memory 24 bytes each.
#[derive(Debug)]
pub(crate) struct Sessions(Gather);

impl Sessions {
    /// None yet.
    ///
    /// # Errors
    /// When a temporary file cannot be made.
    pub(crate) fn new() -> Result<Self, DatasetError> {
        Gather::new().map(Self).map_err(failed)
    }

    /// Adds a trace, if it has a session.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn add(&mut self, trace: &Trace) -> Result<(), DatasetError> {
        let Some(session_id) = trace.session() else { return Ok(()) };
        let order = trace.request_time_ms.unwrap_or(i64::MAX);
        let bytes = serde_json::to_vec(&*shallow(trace)).map_err(|error| failed(error.into()))?;
        self.0.push(session_id, order, &bytes).map_err(failed)
    }

    /// The sessions, in the order of their first traces in the dataset. Within one, traces are in the order of `request_time_ms`; those
    /// without come last, in the dataset's order, which also orders equal times.
    ///
    /// # Errors
    /// When the temporary file cannot be written or read.
    pub(crate) fn into_sessions(
        self,
    ) -> Result<impl Iterator<Item = Result<Session, DatasetError>> + Send, DatasetError> {
        let groups = self.0.into_groups().map_err(failed)?;
        let session = |group: io::Result<Vec<Vec<u8>>>| {
            let traces = group.and_then(|traces| traces.iter().map(|bytes| read(bytes)).collect());
            traces.map(Session::new).map_err(failed).transpose()
        };
        Ok(groups.filter_map(session))
    }
}

pub(super) fn failed(source: io::Error) -> DatasetError {
    DatasetError::Gather { source }
}

pub(super) fn read(bytes: &[u8]) -> io::Result<Trace> {
    trace_fields::read_back(serde_json::from_slice(bytes)?).map_err(io::Error::other)
}

/// The trace, with values that are nested too deeply to be read back as their JSON. A prompt shows both in the same way.
pub(super) fn shallow(trace: &Trace) -> Cow<'_, Trace> {
    let of_spans =
        trace.spans.iter().flat_map(|span| span.inputs.iter().chain(&span.outputs).chain(span.attributes.values()));
    let mut values = trace.inputs.iter().chain(&trace.outputs).chain(trace.expectations.values()).chain(of_spans);
    if !values.any(|value| is_deeper(value, MAX_DEPTH)) {
        return Cow::Borrowed(trace);
    }
    let mut trace = trace.clone();
    let of_spans = trace
        .spans
        .iter_mut()
        .flat_map(|span| span.inputs.iter_mut().chain(&mut span.outputs).chain(span.attributes.values_mut()));
    let values = trace.inputs.iter_mut().chain(&mut trace.outputs).chain(trace.expectations.values_mut());
    for value in values.chain(of_spans).filter(|value| is_deeper(value, MAX_DEPTH)) {
        *value = Value::String(value.to_string());
    }
    Cow::Owned(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(id: &str, session: &str, time: Option<i64>) -> Trace {
        let session_id = Some(session.to_owned());
        Trace { trace_id: id.into(), session_id, request_time_ms: time, ..Trace::default() }
    }

    fn sessions(traces: &[Trace]) -> Vec<Session> {
        let mut sessions = Sessions::new().unwrap();
        traces.iter().for_each(|trace| sessions.add(trace).unwrap());
        sessions.into_sessions().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn traces_are_in_the_order_of_time_and_those_without_one_come_last() {
        let traces = [
            trace("b3", "b", Some(3)),
            trace("a?", "a", None),
            trace("none", "", Some(1)),
            trace("b?", "b", None),
            trace("b-1", "b", Some(-1)),
            trace("b??", "b", None),
            trace("a1", "a", Some(1)),
        ];
        let found = sessions(&traces);
        let ids: Vec<Vec<_>> =
            found.iter().map(|session| session.traces().map(|trace| trace.trace_id.as_str()).collect()).collect();
        assert_eq!(ids, [vec!["b-1", "b3", "b?", "b??"], vec!["a1", "a?"]]);
        assert_eq!((found[0].session_id(), found[0].last().trace_id.as_str()), ("b", "b??"));
        assert!(sessions(&[Trace::default()]).is_empty());
    }

    #[test]
    fn a_value_of_any_depth_comes_back_in_its_own_words() {
        let deep = (0..300).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let flat = Trace { inputs: Some(serde_json::json!({"q": [1.5]})), ..trace("flat", "s", Some(1)) };
        let session = &sessions(&[flat.clone(), Trace { inputs: Some(deep), ..trace("deep", "s", Some(2)) }])[0];
        assert_eq!(session.traces().next(), Some(&flat));
        let text = "[".repeat(300) + "null" + &"]".repeat(300);
        assert_eq!(session.last().inputs, Some(Value::String(text)));
    }
}
