//! A list of what to label, drawn in advance: lines of JSON, or a table with a header.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::survey::Part;
use crate::feedback::DOCUMENT_METADATA;
use crate::feedback::forms::text_of_cell;

/// What is to be labelled, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelPlan {
    /// One after another.
    pub rows: Vec<PlanRow>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRow {
    /// The trace.
    pub trace_id: String,
    /// The span, if it is about one.
    pub span_id: Option<String>,
    /// Which of the documents that the span found, from 0, if it is about one.
    pub document_index: Option<u32>,
    /// The label; all of them if none is named.
    pub name: Option<String>,
    /// How it was drawn: stored in the metadata of the feedback.
    pub drawn: BTreeMap<String, String>,
}

impl PlanRow {
    pub(super) fn part(&self) -> Part {
        Part { span_id: self.span_id.clone(), document_index: self.document_index }
    }
}

/// Why a file is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct InvalidPlan {
    /// From 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The columns that say how a row was drawn. Others, such as the judge's verdict, are dropped: a label should not depend on them.
const DRAWN: [&str; 4] = ["inclusion_probability", "stratum", "weight", "plan"];

impl LabelPlan {
    /// Reads a plan with a column or member `trace_id`, and optionally `span_id`, `document_index`, `name`, `inclusion_probability`, `stratum`.
    ///
    /// # Errors
    /// The first line that names no trace.
    pub fn read(text: &str) -> Result<Self, InvalidPlan> {
        let is_json = text.trim_start().starts_with('{');
        let rows = if is_json { json_rows(text) } else { table_rows(text) };
        let rows = rows?.into_iter().filter_map(|(line, fields)| row(line, &fields).transpose());
        Ok(Self { rows: rows.collect::<Result<_, _>>()? })
    }

    /// The labels that it names, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.rows.iter().filter_map(|row| row.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A row, and its line.
type Row = (u64, Map<String, Value>);

fn json_rows(text: &str) -> Result<Vec<Row>, InvalidPlan> {
    let lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    let read = |(line, text): (u64, &str)| {
        let fields = serde_json::from_str(text).map_err(|error| InvalidPlan { line, reason: error.to_string() })?;
        Ok((line, fields))
    };
    lines.map(read).collect()
}

fn table_rows(text: &str) -> Result<Vec<Row>, InvalidPlan> {
    let mut table =
        csv::ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let invalid = |line, error: csv::Error| InvalidPlan { line, reason: error.to_string() };
    let header = table.headers().map_err(|error| invalid(1, error))?.clone();
    let mut rows = Vec::new();
    for record in table.records() {
        let record = record.map_err(|error| invalid(0, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells = header.iter().zip(record.iter()).filter_map(|(name, cell)| Some((name, text_of_cell(cell)?)));
        rows.push((line, cells.map(|(name, text)| (name.trim().to_owned(), text.into())).collect()));
    }
    Ok(rows)
}

/// `None` for a line that says something about the whole plan.
fn row(line: u64, fields: &Map<String, Value>) -> Result<Option<PlanRow>, InvalidPlan> {
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    if fields.contains_key("plan") && !fields.contains_key("trace_id") {
        return Ok(None);
    }
    let Some(trace_id) = text("trace_id").filter(|id| !id.is_empty()) else {
        return Err(InvalidPlan { line, reason: "no `trace_id`".to_owned() });
    };
    let drawn = DRAWN.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect();
    let document_index = match text(DOCUMENT_METADATA) {
        None => None,
        Some(index) => Some(index.parse().map_err(|_| {
            let reason = format!("`document_index`: expected 0, 1, ..., not `{index}`");
            InvalidPlan { line, reason }
        })?),
    };
    Ok(Some(PlanRow { trace_id, span_id: text("span_id"), document_index, name: text("name"), drawn }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_tables_say_the_same() {
        let json = "{\"trace_id\":\"a\",\"name\":\"safety\",\"inclusion_probability\":0.25,\"verdict\":true}\n\n{\"trace_id\":\"=b\"}\n";
        let table = "trace_id,name,inclusion_probability,verdict\na,safety,0.25,true\n'=b,,,\n";
        let plan = LabelPlan::read(json).unwrap();
        assert_eq!(plan, LabelPlan::read(table).unwrap());
        assert_eq!(plan.rows[0].drawn, BTreeMap::from([("inclusion_probability".into(), "0.25".into())]));
        assert_eq!((plan.rows[1].trace_id.as_str(), &plan.rows[1].name), ("=b", &None));
    }

    #[test]
    fn a_line_without_a_trace_is_named() {
        assert_eq!(LabelPlan::read("{\"trace_id\":\"a\"}\n{\"name\":\"x\"}").unwrap_err().line, 2);
        assert_eq!(LabelPlan::read("id,name\n1,x\n").unwrap_err().line, 2);
        assert_eq!(LabelPlan::read("{\"trace_id\":\"a\"}\nnonsense").unwrap_err().line, 2);
    }
}
