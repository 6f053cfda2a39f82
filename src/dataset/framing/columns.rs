//! The columns of a table: what its header says, and the object that a row is under it.

use serde_json::{Map, Value};

use crate::dataset::framing::cells::cells;
use crate::dataset::framing::syntax;
use crate::dataset::json;
use crate::dataset::mapping::{self, Mapping};
use crate::dataset::names;
use crate::dataset::notice::{Notice, Notices};
use crate::dataset::python;
use crate::dataset::reject::Problem;

/// Fields whose text is parsed if it is an object or a list. Anything else is text: `007` is not a number, nor `true`
/// a boolean.
const STRUCTURED: [&str; 10] =
    ["inputs", "outputs", "expectations", "documents", "spans", "tags", "metadata", "token_usage", "info", "data"];

/// The columns of a table, each with the fields that it is for.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    delimiter: u8,
    names: Vec<String>,
    targets: Vec<Vec<String>>,
}

impl Columns {
    /// No columns: the table is empty.
    pub(crate) fn none(delimiter: u8) -> Self {
        Self { delimiter, ..Self::default() }
    }

    /// The columns that a header names.
    ///
    /// # Errors
    /// Why it cannot be a header.
    pub(crate) fn read(header: &[u8], delimiter: u8, byte_offset: u64, mappings: &[Mapping]) -> Result<Self, String> {
        let header = syntax::text(header, "header", byte_offset).map_err(|problem| problem.reason)?;
        let mut names: Vec<String> = Vec::new();
        for (i, cell) in cells(header.as_bytes(), delimiter).iter().enumerate() {
            let name = String::from_utf8_lossy(cell).trim().to_owned();
            // pandas writes its index under no name.
            let name = if name.is_empty() { format!("column {}", i + 1) } else { name };
            if names.contains(&name) {
                return Err(format!("the column `{name}` appears twice"));
            }
            names.push(name);
        }
        let is_there = |mapping: &&Mapping| names.contains(&mapping.source);
        // Several names for one field are for several files.
        let is_filled = |target: &str| mappings.iter().filter(|mapping| mapping.target == target).any(|m| is_there(&m));
        if let Some(mapping) = mappings.iter().find(|mapping| !is_filled(&mapping.target)) {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            return Err(format!("`{}` is mapped, but the columns are {}", mapping.source, names.join(", ")));
        }
        // If several are present, they are not one field of one trace.
        let is_one = |mapping: &&Mapping| {
            mappings.iter().filter(|other| other.target == mapping.target).filter(is_there).count() == 1
        };
        let targets = names.iter().map(|name| {
            let mapped = mappings.iter().filter(|mapping| mapping.source == *name).filter(is_one);
            let mapped: Vec<_> = mapped.map(|mapping| mapping.target.clone()).collect();
            if mapped.is_empty() { vec![name.clone()] } else { mapped }
        });
        let targets = targets.collect();
        Ok(Self { delimiter, names, targets })
    }

    pub(crate) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Whether there is a column of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// The object that a row describes. An empty cell is skipped.
    pub(crate) fn object(
        &self,
        row: &[u8],
        byte_offset: u64,
        notices: &mut Notices,
    ) -> Result<Map<String, Value>, Problem> {
        syntax::text(row, "row", byte_offset)?;
        let cells = cells(row, self.delimiter);
        if cells.len() != self.targets.len() {
            let (found, wanted) = (counted(cells.len(), "cell"), counted(self.targets.len(), "column"));
            let reason = format!(
                "the row has {found} but the header {wanted}; a cell with a delimiter, a quote or a line end needs quotes"
            );
            return Err(reason.into());
        }
        let mut object = Map::new();
        for (targets, cell) in self.targets.iter().zip(&cells).filter(|(_, cell)| !cell.is_empty()) {
            let text = String::from_utf8_lossy(cell);
            for target in targets {
                mapping::put(&mut object, target, value(target, &text, notices))?;
            }
        }
        Ok(object)
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn value(target: &str, text: &str, notices: &mut Notices) -> Value {
    let field = target.split('.').next().unwrap_or_default();
    let trimmed = text.trim();
    let is_structured = STRUCTURED.contains(&field) || names::is_structured(target);
    if !is_structured || !trimmed.starts_with(['{', '[']) {
        return Value::String(text.to_owned());
    }
    let value = json::from_str(text).ok().or_else(|| python::literal(text).ok());
    value.unwrap_or_else(|| {
        if trimmed.ends_with(['}', ']']) {
            notices.add(Notice::UnreadableCell(target.to_owned()));
        }
        Value::String(text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_hold_json_or_pythons_values_where_a_field_may_nest() {
        let mut notices = Notices::default();
        for (target, text, expected) in [
            ("inputs", "{\"q\": NaN}", json!({"q": "NaN"})),
            (
                "inputs",
                "{'question': \"Where's it?\", 'floor': None}",
                json!({"question": "Where's it?", "floor": null}),
            ),
            ("retrieved_contexts", "['a', 'b']", json!(["a", "b"])),
            ("outputs", "[see above", json!("[see above")),
            ("outputs", "007", json!("007")),
            ("note", "{'a': 1}", json!("{'a': 1}")),
        ] {
            assert_eq!(value(target, text, &mut notices), expected, "{text}");
        }
        assert!(notices.is_empty());
        assert_eq!(value("inputs", "{'a': <object>}", &mut notices), json!("{'a': <object>}"));
        assert_eq!(notices, [(Notice::UnreadableCell("inputs".into()), 1)].into_iter().collect());
    }

    #[test]
    fn every_mapped_field_has_a_column() {
        let read = |mappings: &[&str]| {
            let mappings: Vec<Mapping> = mappings.iter().map(|mapping| mapping.parse().unwrap()).collect();
            Columns::read(b"a,b", b',', 0, &mappings).map(|columns| columns.targets)
        };
        assert_eq!(read(&["inputs=a", "inputs=other"]), Ok(vec![vec!["inputs".to_owned()], vec!["b".to_owned()]]));
        assert_eq!(read(&["inputs=a", "outputs=c"]).unwrap_err(), "`c` is mapped, but the columns are `a`, `b`");
    }
}
