//! Rows of MLflow's evaluation datasets. One that was made from a trace has the trace's id, so that feedback can go back to it.
//!
//! ```json
//! {"dataset_record_id": "dr-1", "inputs": {}, "outputs": "...", "expectations": {}, "source_type": "TRACE", "source_id": "tr-..."}
//! ```
//! Source: `mlflow.entities.DatasetRecord`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::{json_text, member, text};
use crate::dataset::dialects::plain;
use crate::dataset::json;
use crate::dataset::notice::Notices;

pub(crate) const DIALECT: Dialect =
    Dialect { name: "mlflow-rows", title: "rows of MLflow's evaluation datasets", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    let has = |key: &str| member(object, key).is_some();
    (has("dataset_record_id") || has("source_id") && has("source_type")) && has("inputs")
}

fn read(mut fields: Map<String, Value>, notices: &mut Notices) -> Result<Found, String> {
    let mut take = |key: &str| fields.shift_remove(key).unwrap_or_default();
    let (source_type, source_id) = (take("source_type"), take("source_id"));
    let source = json::from_text(take("source"));
    let of_trace = source.pointer("/source_data/trace_id").or_else(|| source.pointer("/trace/trace_id")).cloned();
    let is_trace = source_type.as_str().or_else(|| source.get("source_type")?.as_str()) == Some("TRACE");
    let trace_id = text("source_id", if is_trace { source_id } else { Value::Null })?;
    let trace_id = trace_id.map_or_else(|| text("source", of_trace.unwrap_or_default()), |id| Ok(Some(id)))?;
    let record_id = take("dataset_record_id");
    for key in ["dataset_id", "created_time", "last_update_time", "created_by", "last_updated_by", "create_time"] {
        take(key);
    }
    if let Some(id) = trace_id {
        fields.entry("trace_id").or_insert(id.into());
    }
    let Found::Trace(mut trace) = (plain::DIALECT.read)(fields, notices)? else { return Ok(Found::Parts(Vec::new())) };
    if !record_id.is_null() {
        trace.metadata.insert("dataset_record_id".to_owned(), json_text(record_id));
    }
    Ok(Found::Trace(trace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_that_was_made_of_a_trace_has_its_id() {
        for (source, id) in [
            (json!({"source_type": "TRACE", "source_id": "tr-15"}), "tr-15"),
            (json!({"source_type": "HUMAN", "source_id": "ann"}), ""),
            (json!({"source": {"source_type": "TRACE", "source_data": {"trace_id": "tr-15"}}}), "tr-15"),
            (json!({"source": "{\"source_type\": \"TRACE\", \"source_data\": {\"trace_id\": \"tr-15\"}}"}), "tr-15"),
            (json!({"source_type": "TRACE", "source_id": "tr-15", "trace_id": "own"}), "own"),
        ] {
            let mut row = json!({"dataset_record_id": "dr-1", "inputs": {"question": "q"}, "outputs": "a", "tags": {}, "created_time": 1});
            row.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
            let fields = row.as_object().unwrap().clone();
            assert!(fits(&fields));
            let mut notices = Notices::default();
            let Ok(Found::Trace(trace)) = read(fields, &mut notices) else { panic!("{row}") };
            assert!(notices.is_empty(), "{notices:?}");
            assert_eq!((trace.trace_id.as_str(), trace.metadata["dataset_record_id"].as_str()), (id, "dr-1"));
            assert_eq!((trace.inputs, trace.outputs), (Some(json!({"question": "q"})), Some(json!("a"))));
        }
    }
}
