//! The dialects that a trace can have in a dataset, and how to tell a record's.

use serde_json::{Map, Value};

use crate::dataset::dialects::dialect::{Dialect, Found};
use crate::dataset::dialects::fields::kind;
use crate::dataset::dialects::{
    anthropic, braintrust, dataframe, gemini, helicone, inspect, langfuse, langsmith, mlflow, mlflow_rows, openai,
    opik, otel, plain, promptfoo, rows, sharegpt, weave,
};
use crate::dataset::framing::columns::Columns;
use crate::dataset::framing::record::{Content, Record};
use crate::dataset::mapping::{self, MESSAGES, Mapping};
use crate::dataset::names::Guess;
use crate::dataset::notice::Notices;
use crate::dataset::reject::{Hint, Problem};

impl Dialect {
    /// Every dialect; the first that matches an object reads it.
    pub const ALL: &'static [Self] = &[
        // Their keys are the plain ones and others.
        langsmith::DIALECT,
        weave::DIALECT,
        mlflow_rows::DIALECT,
        dataframe::DIALECT,
        plain::DIALECT,
        mlflow::DIALECT,
        otel::OTLP,
        otel::OBJECTS,
        opik::DIALECT,
        braintrust::DIALECT,
        langfuse::DIALECT,
        inspect::DIALECT,
        promptfoo::DIALECT,
        anthropic::DIALECT,
        gemini::DIALECT,
        helicone::DIALECT,
        openai::DIALECT,
        rows::DIALECT,
        // Dialogues in other spellings may be called `messages` too.
        sharegpt::DIALECT,
    ];

    /// The dialect of an object, recognised by its keys.
    pub fn of(object: &Map<String, Value>) -> Option<&'static Self> {
        Self::ALL.iter().find(|dialect| (dialect.fits)(object))
    }
}

/// Keys of lists of objects: pages of servers, and wrappers of data sets.
const LISTS: &[&str] =
    &["traces", "runs", "data", "rows", "items", "results", "records", "samples", "examples", "calls"];

/// What a record holds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every record holds one trace")]
pub(crate) enum Read {
    One(Found),
    Several(Vec<Result<Found, Problem>>),
}

/// How records are read: what the user says about them, and which of it was used.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    dialect: Option<&'static Dialect>,
    mappings: Vec<Mapping>,
    used: Vec<bool>,
}

impl Reading {
    pub(crate) fn new(dialect: Option<&'static Dialect>, mappings: Vec<Mapping>) -> Self {
        let used = vec![false; mappings.len()];
        Self { dialect, mappings, used }
    }

    pub(crate) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The mappings that nothing had a field for.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(mapping, _)| mapping)
    }

    /// Reads a record in the dialect that it has, or in the one that the user names. An object that has what the mappings name has the
    /// plain dialect, or a dialogue.
    ///
    /// # Errors
    /// Why it is not a trace, and what to do about it.
    pub(crate) fn read(&mut self, record: &Record<'_>, notices: &mut Notices) -> Result<Read, Problem> {
        let mut object = record.object(notices)?;
        let names = mapping::alternatives(&self.mappings, &object);
        if !names.is_empty() {
            return Ok(Read::Several(self.read_alternatives(record, &object, &names, notices)));
        }
        let is_mapped = match &record.content {
            _ if self.mappings.is_empty() => false,
            // The columns of a table are mapped with its header, unless several are for one field.
            Content::Row(columns) => {
                self.use_columns(columns);
                let repeated = mapping::repeated(&self.mappings);
                mapping::apply(&repeated, &mut vec![false; repeated.len()], &mut object)?;
                false
            }
            _ => mapping::apply(&self.mappings, &mut self.used, &mut object)?,
        };
        self.read_mapped(object, is_mapped, notices)
    }

    fn use_columns(&mut self, columns: &Columns) {
        let used = self.mappings.iter().zip(&mut self.used).filter(|(_, used)| !**used);
        used.for_each(|(mapping, used)| *used = columns.has(&mapping.source));
    }

    /// One trace for each of the names that one field is mapped from; its id shows which.
    fn read_alternatives(
        &mut self,
        record: &Record<'_>,
        object: &Map<String, Value>,
        names: &[usize],
        notices: &mut Notices,
    ) -> Vec<Result<Found, Problem>> {
        let all = self.mappings.clone();
        let is_row = if let Content::Row(columns) = &record.content {
            self.use_columns(columns);
            true
        } else {
            false
        };
        let mut read_one = |name: usize| {
            let others: Vec<_> = names.iter().filter(|other| **other != name).map(|other| &all[*other]).collect();
            let mut one = mapping::without(object.clone(), &others);
            // The other columns of a table are mapped already.
            let wanted = |i: &usize| if is_row { *i == name } else { *i == name || !names.contains(i) };
            let wanted: Vec<_> = (0..all.len()).filter(wanted).collect();
            let mappings: Vec<_> = wanted.iter().map(|i| all[*i].clone()).collect();
            let mut used = vec![false; mappings.len()];
            mapping::apply(&mappings, &mut used, &mut one)?;
            wanted.iter().zip(used).for_each(|(i, used)| self.used[*i] |= used);
            match self.read_mapped(one, !is_row, notices)? {
                Read::One(Found::Trace(mut trace)) => {
                    trace.side = mapping::place_among(&all, name);
                    if !trace.trace_id.is_empty() {
                        trace.trace_id = format!("{}#{}", trace.trace_id, all[name].source);
                    }
                    Ok(Found::Trace(trace))
                }
                Read::One(found) => Ok(found),
                Read::Several(_) => Err(Problem::from(format!("`{}` is several traces in one", all[name].source))),
            }
        };
        names.iter().map(|name| read_one(*name)).collect()
    }

    /// Reads an object whose fields are already mapped.
    fn read_mapped(
        &self,
        mut object: Map<String, Value>,
        is_mapped: bool,
        notices: &mut Notices,
    ) -> Result<Read, Problem> {
        if is_mapped && let Some(answer) = object.get_mut("outputs") {
            rows::take_answer(answer);
        }
        let is_dialogue = || object.contains_key(MESSAGES) && !object.contains_key("inputs");
        let mapped = is_mapped.then(|| if is_dialogue() { &sharegpt::DIALECT } else { &plain::DIALECT });
        match self.dialect.or(mapped) {
            Some(dialect) => (dialect.read)(object, notices).map(Read::One).map_err(Problem::from),
            None => read_object(object, notices),
        }
    }
}

/// Reads an object in the dialect that its keys suggest.
fn read_object(mut object: Map<String, Value>, notices: &mut Notices) -> Result<Read, Problem> {
    if let Some(dialect) = Dialect::of(&object) {
        return match (dialect.read)(object, notices)? {
            Found::Objects(name, items) => Ok(Read::Several(read_items(name, items, notices))),
            found => Ok(Read::One(found)),
        };
    }
    let fits = |value: &Value| value.as_object().is_some_and(|object| Dialect::of(object).is_some());
    let list = LISTS.iter().find(|key| {
        let items = object.get(**key).and_then(Value::as_array);
        items.and_then(|items| items.first()).is_some_and(|first| fits(inner(first)))
    });
    if let Some(key) = list
        && let Some(Value::Array(items)) = object.shift_remove(*key)
    {
        object.keys().for_each(|key| notices.unknown(key));
        return Ok(Read::Several(read_items(key, items, notices)));
    }
    Err(unknown_form(&object))
}

/// The row in an item of Hugging Face's viewer: `{"row_idx": 0, "row": {...}}`.
fn inner(item: &Value) -> &Value {
    item.get("row").filter(|row| row.is_object() && item.get("row_idx").is_some()).unwrap_or(item)
}

fn read_items(name: &str, items: Vec<Value>, notices: &mut Notices) -> Vec<Result<Found, Problem>> {
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let Value::Object(object) = inner(&item).clone() else {
            read.push(Err(format!("`{name}[{index}]` must be a trace's object, found {}", kind(&item)).into()));
            continue;
        };
        match Dialect::of(&object).map(|dialect| (dialect.read)(object.clone(), notices)) {
            None => read.push(Err(unknown_form(&object))),
            Some(Ok(Found::Objects(..))) => {
                read.push(Err(format!("`{name}[{index}]` is a list within a list").into()));
            }
            Some(Ok(found)) => read.push(Ok(found)),
            Some(Err(reason)) => read.push(Err(format!("`{name}[{index}]`: {reason}").into())),
        }
    }
    read
}

/// An id for a trace that has none: the same content gets the same id.
pub(crate) fn derived_trace_id(digest: [u8; 16]) -> String {
    format!("tr-{:032x}", u128::from_be_bytes(digest))
}

fn unknown_form(object: &Map<String, Value>) -> Problem {
    const SHOWN: usize = 6;
    let mut keys: Vec<_> = object.keys().take(SHOWN).map(|key| format!("`{key}`")).collect();
    if object.len() > SHOWN {
        keys.push(format!("{} more", object.len() - SHOWN));
    }
    let keys = if keys.is_empty() { "without keys".to_owned() } else { format!("with the keys {}", keys.join(", ")) };
    let mut mappings = Guess::of(object).mappings();
    if mappings.is_empty() {
        // The question may be nested deeper.
        mappings = Guess::of(&flat(object)).mappings();
    }
    let mappings = mappings.into_iter().map(|(target, source)| Mapping { target, source }).collect();
    Problem { reason: format!("unknown trace format, {keys}"), hint: Some(Hint::Map(mappings)) }
}

/// The members of objects further in, each under its path.
fn flat(object: &Map<String, Value>) -> Map<String, Value> {
    const DEPTH: usize = 4;
    const SIZE: usize = 1000;
    let mut flat = Map::new();
    let mut waiting: Vec<(String, &Value, usize)> = object.iter().map(|(key, value)| (key.clone(), value, 1)).collect();
    waiting.reverse();
    while let Some((path, value, depth)) = waiting.pop() {
        match value {
            Value::Object(inner) if depth < DEPTH && flat.len() < SIZE => {
                let inner = inner.iter().rev().map(|(key, value)| (format!("{path}.{key}"), value, depth + 1));
                waiting.extend(inner);
            }
            value => drop(flat.insert(path, value.clone())),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_with(line: &str, forced: Option<&'static Dialect>, notices: &mut Notices) -> Result<Read, Problem> {
        let bytes = line.as_bytes();
        let record = Record { bytes, length: bytes.len() as u64, line: 1, byte_offset: 0, content: Content::Line };
        let mappings = ["inputs.q=prompt.text", "messages=chat", "tags.none=nowhere"];
        let mut reading = Reading::new(forced, mappings.map(|mapping| mapping.parse().unwrap()).into());
        reading.read(&record, notices)
    }

    fn read(line: &str) -> Result<Read, Problem> {
        read_with(line, None, &mut Notices::default())
    }

    #[test]
    fn an_object_with_mapped_fields_is_of_the_plain_dialect_or_a_dialogue() {
        let mut notices = Notices::default();
        let found = read_with(r#"{"prompt": {"text": "why?", "n": 1}, "info": {}}"#, None, &mut notices).unwrap();
        let Read::One(Found::Trace(trace)) = found else { panic!("{found:?}") };
        assert_eq!(trace.inputs, Some(json!({"q": "why?"})));
        assert_eq!(notices.unknown_names(), ["info", "prompt"]);
        assert!(
            matches!(read(r#"{"info": {}}"#), Ok(Read::One(Found::Trace(_)))),
            "other objects are recognised by their keys"
        );
        let found = read(r#"{"chat": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}"#).unwrap();
        let Read::One(Found::Trace(trace)) = found else { panic!("{found:?}") };
        assert_eq!((&trace.inputs.unwrap()["messages"][0]["content"], trace.outputs), (&json!("q"), Some(json!("a"))));
    }

    #[test]
    fn a_mapping_that_nothing_has_a_field_for_is_known() {
        let line = br#"{"a": "q", "c": 1}"#;
        let record = Record { bytes: line, length: 9, line: 1, byte_offset: 0, content: Content::Line };
        let mappings = ["inputs=a", "outputs=b"].map(|mapping| mapping.parse().unwrap()).into();
        let mut reading = Reading::new(None, mappings);
        reading.read(&record, &mut Notices::default()).unwrap();
        assert_eq!(reading.unused().map(ToString::to_string).collect::<Vec<_>>(), ["outputs=b"]);
    }

    #[test]
    fn a_list_of_traces_in_an_object_is_read() {
        for line in [
            r#"{"traces": [{"inputs": 1}, {"info": {}}, 7, {"x": 1}], "next_page_token": ""}"#,
            r#"{"items": [{"inputs": 1}, {"messages": [{"role": "user", "content": "q"}]}, 7, {"x": 1}]}"#,
            r#"{"rows": [{"row_idx": 0, "row": {"inputs": 1}}, {"row_idx": 1, "row": {"question": "q", "answer": "a"}}, 7, {"x": 1}]}"#,
        ] {
            let found = read(line).unwrap();
            let Read::Several(items) = found else { panic!("{found:?}") };
            assert!(matches!(items[0], Ok(Found::Trace(_))) && matches!(items[1], Ok(Found::Trace(_))), "{items:?}");
            let reasons: Vec<_> = items[2..].iter().map(|item| item.as_ref().unwrap_err().reason.as_str()).collect();
            assert!(reasons[0].ends_with("[2]` must be a trace's object, found a number"), "{reasons:?}");
            assert_eq!(reasons[1], "unknown trace format, with the keys `x`");
        }
        let frame = r#"{"columns": ["inputs", "outputs"], "data": [["q1", "a1"], ["q2", "a2"]]}"#;
        assert!(matches!(read(frame), Ok(Read::Several(rows)) if rows.len() == 2 && rows.iter().all(Result::is_ok)));
        assert!(read(r#"{"items": [{"x": 1}]}"#).is_err());
    }

    #[test]
    fn the_user_may_say_which_dialect_it_is() {
        let plain = read_with(r#"{"info": {}, "inputs": 1}"#, Some(&mlflow::DIALECT), &mut Notices::default());
        let Ok(Read::One(Found::Trace(trace))) = plain else { panic!("{plain:?}") };
        assert_eq!(trace.inputs, None);
    }

    #[test]
    fn a_dialect_is_recognised_by_its_keys() {
        let name = |line: &str| {
            let object = serde_json::from_str(line).unwrap();
            Dialect::of(&object).map(|dialect| dialect.name)
        };
        for (line, dialect) in [
            (r#"{"inputs": 1}"#, "plain"),
            (r#"{"inputs": 1, "info": {}}"#, "plain"),
            (r#"{"outputs": 1}"#, "plain"),
            (r#"{"inputs": {"0": 1}, "outputs": {"0": 1}}"#, "dataframe"),
            (r#"{"inputs": 1, "source_id": "a", "source_type": "TRACE"}"#, "mlflow-rows"),
            (r#"{"inputs": 1, "op_name": "a", "trace_id": "b"}"#, "weave"),
            (r#"{"info": {"trace_id": "tr-1"}}"#, "mlflow"),
            (r#"{"trace_info": {}, "spans": []}"#, "mlflow"),
            (r#"{"span_id": "a", "attributes": {"mlflow.traceRequestId": "\"tr-1\""}}"#, "mlflow"),
            (r#"{"resourceSpans": []}"#, "otlp"),
            (r#"{"resourceLogs": []}"#, "otlp"),
            (r#"{"context": {"trace_id": "1"}}"#, "phoenix"),
            (r#"{"context.trace_id": "1"}"#, "phoenix"),
            (r#"{"data": [{"context": {"trace_id": "1"}}]}"#, "phoenix"),
            (r#"{"spans": [{"trace_id": "1", "span_id": "2", "attributes": []}]}"#, "phoenix"),
            (r#"{"id": "1", "timestamp": "t", "input": 1, "sessionId": "s"}"#, "langfuse"),
            (
                r#"{"id": "1", "trace_id": "t", "type": "SPAN", "start_time": "t", "parent_observation_id": null}"#,
                "langfuse",
            ),
            (r#"{"id": "1", "trace_id": "t", "type": "llm", "start_time": "t", "parent_span_id": null}"#, "opik"),
            (r#"{"id": "1", "start_time": "t", "input": 1, "thread_id": "s"}"#, "opik"),
            (r#"{"span_id": "1", "root_span_id": "1", "input": 1}"#, "braintrust"),
            (r#"{"eval": {}, "samples": []}"#, "inspect"),
            (r#"{"prompt": {"raw": "q"}, "provider": {"id": "p"}}"#, "promptfoo"),
            (r#"{"custom_id": "1", "params": {}}"#, "anthropic"),
            (r#"{"custom_id": "1", "body": {}}"#, "openai"),
            (r#"{"messages": [], "system": "s"}"#, "openai"),
            (r#"{"request": {"contents": []}}"#, "gemini"),
            (r#"{"request_body": {}, "response_body": {}}"#, "helicone"),
            (r#"{"conversation": [{"role": "user", "content": "q"}]}"#, "sharegpt"),
            (r#"{"question": "q", "answer": "a"}"#, "rows"),
        ] {
            assert_eq!(name(line), Some(dialect), "{line}");
        }
        for line in [r#"{"data": [1], "context": {}}"#, r#"{"info": "a text"}"#, r#"{"question": "q"}"#, "{}"] {
            assert_eq!(name(line), None, "{line}");
        }
    }

    #[test]
    fn a_name_can_be_typed_and_is_there_once() {
        let names: std::collections::BTreeSet<_> = Dialect::ALL.iter().map(|dialect| dialect.name).collect();
        assert_eq!(names.len(), Dialect::ALL.len());
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')),
            "{names:?}"
        );
    }

    #[test]
    fn an_unknown_form_is_named_by_its_keys_with_what_could_be_mapped() {
        let refused = |line: &str| {
            let Problem { reason, hint } = read(line).unwrap_err();
            let Some(Hint::Map(mappings)) = hint else { panic!("{hint:?}") };
            (reason, mappings.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(refused(r#"{"question": "q", "prompt": "p", "answer": "a"}"#), {
            let reason = "unknown trace format, with the keys `question`, `prompt`, `answer`";
            (reason.to_owned(), "inputs=question outputs=answer".to_owned())
        });
        assert_eq!(refused(r#"{"call": {"prompt": "q", "n": 1}, "said": {"text": {"completion": "a"}}}"#).1, {
            "inputs=call.prompt outputs=said.text.completion"
        });
        assert_eq!(refused("{}"), ("unknown trace format, without keys".to_owned(), String::new()));
        let many = r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}"#;
        assert!(refused(many).0.ends_with("`f`, 2 more"));
    }

    #[test]
    fn a_derived_id_has_mlflows_form() {
        assert_eq!(derived_trace_id([0x0a; 16]), "tr-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
    }
}
