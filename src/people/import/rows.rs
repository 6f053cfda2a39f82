//! Labels in a table or in JSON, and records as judge-run and MLflow write them.

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::fields::{Field, Mapping, Options, text, time_ms};
use super::imported::{ImportError, Imported, Reject};
use crate::feedback::{DOCUMENT_METADATA, Feedback, Source, SourceType};
use crate::people::edit::typed_value;

/// Whether an object is a record: in judge-run's form or in MLflow's.
pub(super) fn is_record(object: &Map<String, Value>) -> bool {
    let has_source = object.get("source").is_some_and(|source| source.get("source_type").is_some());
    let is_flat = object.contains_key("name") && (object.contains_key("value") || object.contains_key("error"));
    object.get("assessment").is_some_and(Value::is_object)
        || (object.contains_key("assessment_name")
            && (object.contains_key("feedback") || object.contains_key("expectation")))
        || (is_flat && has_source)
}

/// A record as it is. Failures say nothing about a trace.
pub(super) fn read_record(object: &Map<String, Value>, _: &Options) -> Result<Vec<Feedback>, String> {
    let text = serde_json::to_string(object).map_err(|error| error.to_string())?;
    let record = Feedback::from_json(&text).map_err(|error| error.to_string())?;
    if record.trace_id.as_deref().is_none_or(str::is_empty) {
        return Err("no `trace_id`".to_owned());
    }
    Ok(if record.is_error() { Vec::new() } else { vec![record] })
}

/// Whether an object is a row of labels.
pub(super) fn fits(object: &Map<String, Value>) -> bool {
    of(object, Field::TraceId).is_some() && (of(object, Field::Value).is_some() || object.contains_key("rationale"))
}

/// What an object of no known form lacks.
pub(super) fn missing(object: &Map<String, Value>) -> String {
    let lacks = [Field::TraceId, Field::Value].into_iter().find(|field| of(object, *field).is_none());
    let keys: Vec<&str> = object.keys().map(String::as_str).take(12).collect();
    format!("no `{}`; fields: {}", lacks.unwrap_or(Field::Value).as_str(), keys.join(", "))
}

fn of(object: &Map<String, Value>, field: Field) -> Option<&Value> {
    field.of(|name| object.get(name))
}

pub(super) fn read(object: &Map<String, Value>, options: &Options) -> Result<Vec<Feedback>, String> {
    let text_of = |field| of(object, field).and_then(text);
    let value = match of(object, Field::Value) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
        Some(Value::String(text)) => typed_value(text),
        Some(value) => value.clone(),
    };
    let trace_id = text_of(Field::TraceId).ok_or("`trace_id` is empty")?;
    let name = text_of(Field::Name).or_else(|| options.name.clone()).ok_or("no `name`, which says what is judged")?;
    let author = text_of(Field::SourceId)
        .or_else(|| options.author.clone())
        .ok_or("no `source_id`, which says who labelled it")?;
    let source_type = match text_of(Field::SourceType) {
        None => SourceType::Human,
        Some(kind) => match SourceType::from_name(&kind) {
            SourceType::Unspecified if kind.eq_ignore_ascii_case("LLM") => SourceType::LlmJudge,
            SourceType::Unspecified => {
                return Err(format!("`source_type`: expected HUMAN, CODE or LLM_JUDGE, not `{kind}`"));
            }
            known => known,
        },
    };
    let time = match of(object, Field::CreateTime) {
        None | Some(Value::Null) => options.now_ms,
        Some(Value::String(text)) if text.trim().is_empty() => options.now_ms,
        Some(value) => time_ms(value).ok_or_else(|| format!("`create_time`: not a time: {value}"))?,
    };
    let document = text_of(Field::DocumentIndex).map(|text| match text.trim().parse::<u32>() {
        Ok(index) => Ok((DOCUMENT_METADATA.to_owned(), index.to_string())),
        Err(_) => Err(format!("`document_index`: expected 0, 1, ..., not `{text}`")),
    });
    Ok(vec![Feedback {
        name,
        value: Some(value),
        rationale: text_of(Field::Rationale),
        metadata: document.transpose()?.into_iter().collect(),
        source: Source { source_type, source_id: Some(author) },
        create_time_ms: time,
        last_update_time_ms: time,
        trace_id: Some(trace_id),
        span_id: text_of(Field::SpanId),
        ..Feedback::default()
    }])
}

/// Reads a table, whose cells are separated by commas, semicolons or tabs.
pub(super) fn table(bytes: &[u8], options: &Options) -> Result<Imported, ImportError> {
    let header_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header_line.iter().filter(|byte| **byte == separator).count();
    let separator =
        [b',', b';', b'\t'].into_iter().max_by_key(|separator| (count(*separator), *separator == b',')).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(bytes);
    let header = reader.headers().map_err(ImportError::Table)?.clone();
    let columns: Vec<String> = header.iter().map(|title| title.trim().to_owned()).collect();
    for Mapping { column, field } in &options.map {
        if !columns.contains(column) {
            return Err(ImportError::Unmapped { column: column.clone(), field: field.as_str(), columns });
        }
    }
    let has = |field: Field| {
        let is_mapped = options.map.iter().any(|mapping| mapping.field == field);
        is_mapped || field.of(|name| columns.iter().find(|column| *column == name)).is_some()
    };
    for field in [Field::TraceId, Field::Value] {
        if !has(field) {
            return Err(ImportError::NoColumn { field: field.as_str(), columns });
        }
    }
    let form = if separator == b'\t' { "tsv" } else { "csv" };
    let mut imported = Imported { forms: vec![form], ..Imported::default() };
    let mut row = StringRecord::new();
    loop {
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(imported),
            Ok(true) => {}
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                let line = error.position().map_or(0, csv::Position::line);
                imported.rejects.push(Reject { line, reason: "not UTF-8".to_owned() });
                continue;
            }
            Err(error) => return Err(ImportError::Table(error)),
        }
        let line = row.position().map_or(0, csv::Position::line);
        if row.len() != columns.len() {
            let reason = format!("{} cells in a table of {} columns", row.len(), columns.len());
            imported.rejects.push(Reject { line, reason });
            continue;
        }
        let cells = columns.iter().zip(&row).filter(|(_, cell)| !cell.trim().is_empty());
        let object: Map<String, Value> = cells.map(|(column, cell)| (column.clone(), plain(cell).into())).collect();
        match read(&super::fields::renamed(&object, &options.map), options) {
            Ok(records) => {
                imported.unlabelled += u64::from(records.is_empty());
                imported.extend(form, records);
            }
            Err(reason) => imported.rejects.push(Reject { line, reason }),
        }
    }
}

/// A cell without the `'` that keeps spreadsheets from treating it as a formula.
fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => cell,
    }
}
