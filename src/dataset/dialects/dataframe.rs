//! Tables as pandas writes them into one JSON object: `DataFrame.to_json()` in any of its orientations but `values`.
//!
//! ```json
//! {"columns": ["inputs", "outputs"], "index": [0], "data": [["...", "..."]]}
//! {"0": {"inputs": "...", "outputs": "..."}}
//! {"inputs": {"0": "..."}, "outputs": {"0": "..."}}
//! ```
//! Each row has its own dialect. Source: pandas' documentation of `to_json`, `orient`.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::notice::Notices;

pub(crate) const DIALECT: Dialect = Dialect { name: "dataframe", title: "pandas' tables in JSON", fits, read };

fn fits(object: &Map<String, Value>) -> bool {
    // Nearly all objects are not tables; few have this few keys.
    object.len() <= 3 && (is_split(object) || is_table(object)) || by_index(object) || by_column(object)
}

fn is_split(object: &Map<String, Value>) -> bool {
    let is_rows = |rows: &Value| rows.as_array().is_some_and(|rows| rows.iter().all(Value::is_array));
    object.get("columns").is_some_and(Value::is_array) && object.get("data").is_some_and(is_rows)
}

/// Rows by their number.
fn by_index(object: &Map<String, Value>) -> bool {
    let mut rows = object.iter().zip(0_u64..);
    !object.is_empty() && rows.all(|((key, row), number)| *key == number.to_string() && row.is_object())
}

/// Columns, each with its cells by row number.
fn by_column(object: &Map<String, Value>) -> bool {
    let mut columns = object.values();
    let is_column = |column: &Value| {
        let cells = column.as_object();
        cells.is_some_and(|cells| {
            !cells.is_empty() && cells.keys().zip(0_u64..).all(|(key, number)| *key == number.to_string())
        })
    };
    object.len() > 1 && columns.all(is_column)
}

fn is_table(object: &Map<String, Value>) -> bool {
    let has_fields = object.get("schema").is_some_and(|schema| schema.get("fields").is_some());
    has_fields && object.get("data").is_some_and(Value::is_array)
}

fn read(mut fields: Map<String, Value>, _: &mut Notices) -> Result<Found, String> {
    let take_list = |fields: &mut Map<String, Value>, key: &str| match fields.remove(key) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let rows: Vec<Value> = if is_split(&fields) {
        let names = take_list(&mut fields, "columns");
        let names: Vec<String> = names.into_iter().map(super::fields::json_text).collect();
        let row = |cells| match cells {
            Value::Array(cells) => names.iter().cloned().zip(cells).filter(|(_, cell)| !cell.is_null()).collect(),
            _ => Map::new(),
        };
        take_list(&mut fields, "data").into_iter().map(row).map(Value::Object).collect()
    } else if is_table(&fields) {
        let mut rows = take_list(&mut fields, "data");
        rows.iter_mut().filter_map(Value::as_object_mut).for_each(|row| drop(row.shift_remove("index")));
        rows
    } else if by_index(&fields) {
        fields.into_iter().map(|(_, row)| row).collect()
    } else {
        let mut rows: Vec<Map<String, Value>> = Vec::new();
        for (name, column) in fields {
            let Value::Object(cells) = column else { continue };
            for (number, (_, cell)) in cells.into_iter().enumerate() {
                if rows.len() <= number {
                    rows.push(Map::new());
                }
                if let Some(row) = rows.get_mut(number).filter(|_| !cell.is_null()) {
                    row.insert(name.clone(), cell);
                }
            }
        }
        rows.into_iter().map(Value::Object).collect()
    };
    Ok(Found::Objects("rows", rows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_orientation_holds_the_same_rows() {
        let rows = vec![json!({"inputs": "q1", "outputs": "a1"}), json!({"inputs": "q2"})];
        for line in [
            json!({"columns": ["inputs", "outputs"], "index": [0, 1], "data": [["q1", "a1"], ["q2", null]]}),
            json!({"0": {"inputs": "q1", "outputs": "a1"}, "1": {"inputs": "q2"}}),
            json!({"inputs": {"0": "q1", "1": "q2"}, "outputs": {"0": "a1", "1": null}}),
            json!({"schema": {"fields": []}, "data": [{"index": 0, "inputs": "q1", "outputs": "a1"}, {"index": 1, "inputs": "q2"}]}),
        ] {
            let fields = line.as_object().unwrap().clone();
            assert!(fits(&fields), "{line}");
            assert_eq!(read(fields, &mut Notices::default()), Ok(Found::Objects("rows", rows.clone())), "{line}");
        }
    }

    #[test]
    fn what_is_one_trace_is_no_table() {
        for line in [
            json!({"inputs": {"0": "q"}}),
            json!({"inputs": {"0": "q"}, "outputs": "a"}),
            json!({"inputs": {"question": "q"}, "outputs": {"answer": "a"}}),
            json!({"inputs": {}, "outputs": {}}),
            json!({"columns": ["a"], "data": [1]}),
            json!({"1": {}}),
            json!({}),
        ] {
            assert!(!fits(line.as_object().unwrap()), "{line}");
        }
    }
}
