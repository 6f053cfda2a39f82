//! What a trace itself records about its time, tokens and cost.

use serde_json::Value;

use crate::judge::Subject;
use crate::trace::{Span, Trace};

/// Milliseconds that it took: the span, the trace, or all traces of the session.
pub(super) fn latency_ms(subject: Subject<'_>) -> Result<f64, String> {
    let found = match subject {
        Subject::Trace(_) | Subject::Pair(_) => of_trace(subject.trace()),
        Subject::Span { span, .. } | Subject::Document { span, .. } => of_span(span),
        Subject::Session(session) => session.traces().map(of_trace).sum(),
    };
    found.ok_or_else(|| format!("the {} has no execution duration", subject.noun()))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^53")]
fn of_trace(trace: &Trace) -> Option<f64> {
    let recorded = trace.execution_duration_ms.map(|ms| ms as f64);
    recorded.or_else(|| trace.root_span().and_then(of_span))
}

#[expect(clippy::cast_precision_loss, reason = "to fractions of a microsecond")]
fn of_span(span: &Span) -> Option<f64> {
    let nanos = span.end_time_unix_nano?.checked_sub(span.start_time_unix_nano?)?;
    Some(nanos as f64 / 1e6)
}

/// Tokens that the application used.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
pub(super) fn tokens(subject: Subject<'_>) -> Result<f64, String> {
    let of_trace = |trace: &Trace| trace.token_usage.map(|usage| usage.total_tokens as f64);
    let found = match subject {
        Subject::Trace(_) | Subject::Pair(_) => of_trace(subject.trace()),
        Subject::Span { .. } | Subject::Document { .. } => {
            return Err("tokens are known of traces, not of spans".to_owned());
        }
        Subject::Session(session) => session.traces().map(of_trace).sum(),
    };
    found.ok_or_else(|| format!("the {} has no token usage", subject.noun()))
}

/// What the application cost, as MLflow records it: `total_cost` of `mlflow.trace.cost` in the metadata, or of `mlflow.llm.cost` of the spans.
pub(super) fn cost(subject: Subject<'_>) -> Result<f64, String> {
    let of_span = |span: &Span| total_cost(span.attributes.get("mlflow.llm.cost")?);
    let of_trace = |trace: &Trace| {
        let recorded = trace.metadata.get("mlflow.trace.cost");
        let recorded = recorded.and_then(|text| total_cost(&serde_json::from_str(text).ok()?));
        recorded.or_else(|| {
            let costs: Vec<f64> = trace.spans.iter().filter_map(of_span).collect();
            (!costs.is_empty()).then(|| costs.iter().sum())
        })
    };
    let found = match subject {
        Subject::Trace(_) | Subject::Pair(_) => of_trace(subject.trace()),
        Subject::Span { span, .. } | Subject::Document { span, .. } => of_span(span),
        Subject::Session(session) => session.traces().map(of_trace).sum(),
    };
    found.ok_or_else(|| format!("the {} has no cost, such as MLflow's `mlflow.trace.cost`", subject.noun()))
}

fn total_cost(recorded: &Value) -> Option<f64> {
    match recorded {
        Value::String(text) => total_cost(&serde_json::from_str(text).ok().filter(Value::is_object)?),
        other => other.get("total_cost")?.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TokenUsage;
    use serde_json::json;

    #[test]
    fn a_trace_says_what_it_took() {
        let span = |start, end| Span {
            start_time_unix_nano: Some(start),
            end_time_unix_nano: Some(end),
            attributes: [("mlflow.llm.cost".to_owned(), json!("{\"total_cost\": 0.25}"))].into_iter().collect(),
            ..Span::default()
        };
        let mut trace = Trace { spans: vec![span(0, 1_500_000), span(0, 1)], ..Trace::default() };
        assert_eq!((latency_ms((&trace).into()), cost((&trace).into())), (Ok(1.5), Ok(0.5)));
        trace.execution_duration_ms = Some(7);
        trace.metadata.insert("mlflow.trace.cost".into(), "{\"total_cost\": 2}".into());
        trace.token_usage = Some(TokenUsage { input_tokens: 1, output_tokens: 2, total_tokens: 3 });
        let subject = Subject::from(&trace);
        assert_eq!((latency_ms(subject), cost(subject), tokens(subject)), (Ok(7.0), Ok(2.0), Ok(3.0)));
        let bare = Trace::default();
        for measure in [latency_ms, cost, tokens] {
            assert!(measure((&bare).into()).is_err());
        }
    }
}
