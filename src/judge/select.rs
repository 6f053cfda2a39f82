//! `[select]`: what a judge judges one by one - traces, spans of them, the documents that spans found, whole sessions, or pairs of traces.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::glob;
use super::requires::Requirement;
use super::unit::Unit;
use crate::trace::{Span, SpanType, Trace};

/// `[select]` as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectTable {
    unit: Option<Unit>,
    #[serde(default, deserialize_with = "one_or_several")]
    span_type: Option<Vec<String>>,
    #[serde(default, deserialize_with = "one_or_several")]
    name: Option<Vec<String>>,
    position: Option<Position>,
    #[serde(default, deserialize_with = "one_or_several")]
    requires: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Position {
    /// Its parent is not in the trace.
    Root,
    /// No span has it as its parent.
    Leaf,
}

/// A string, or a list of strings.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    struct OneOrSeveral;
    impl<'de> Visitor<'de> for OneOrSeveral {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a list of strings")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
    deserializer.deserialize_any(OneOrSeveral).map(Some)
}

impl SelectTable {
    /// What is judged, if the table makes sense.
    ///
    /// # Errors
    /// Which key contradicts another, or selects nothing.
    pub fn select(self) -> Result<Select, String> {
        let Self { unit, span_type, name, position, requires } = self;
        let of_spans = [("span_type", span_type.is_some()), ("name", name.is_some()), ("position", position.is_some())];
        let key = of_spans.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key);
        if let (Some(unit @ (Unit::Trace | Unit::Session | Unit::Pair)), Some(key)) = (unit, key) {
            return Err(format!("`{key}` selects spans, and `unit` is \"{unit}\": write unit = \"span\""));
        }
        for (key, words) in [("span_type", &span_type), ("name", &name)] {
            if words.as_ref().is_some_and(|words| words.is_empty() || words.iter().any(|word| word.trim().is_empty())) {
                return Err(format!(
                    "`{key}` is empty and selects no span; leave it out to judge spans of every {key}"
                ));
            }
        }
        let unit = unit.unwrap_or(if key.is_some() { Unit::Span } else { Unit::Trace });
        let requires = requires.unwrap_or_default();
        let requires = requires.iter().map(|words| Requirement::parse(words)).collect::<Result<_, _>>()?;
        // What a retriever found is what there are documents of, unless the file says otherwise.
        let found = (unit == Unit::Document && key.is_none()).then(|| vec![SpanType::RETRIEVER.to_owned()]);
        let span_types = span_type.map(|types| types.iter().map(|name| name.to_ascii_uppercase()).collect()).or(found);
        Ok(Select { unit, span_types, names: name, position, requires })
    }
}

/// What a judge judges.
#[derive(Debug, Clone, Default)]
pub struct Select {
    unit: Unit,
    /// Upper-cased.
    span_types: Option<Vec<String>>,
    /// Patterns.
    names: Option<Vec<String>>,
    position: Option<Position>,
    /// What a trace must have for the judge to apply.
    pub(super) requires: Vec<Requirement>,
}

/// The spans of a trace that a judge judges.
#[derive(Debug, Default)]
pub struct Selected<'a> {
    /// In the trace's order, each id once.
    pub spans: Vec<&'a Span>,
    /// Spans that have the id of an earlier one, and so cannot have separate feedback.
    pub repeated: u64,
}

impl Select {
    /// What has one feedback each.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What a trace must have for the judge to apply, as written.
    pub fn requires(&self) -> impl Iterator<Item = &str> {
        self.requires.iter().map(Requirement::as_str)
    }

    /// The spans of a trace that are judged, where spans or their documents are.
    pub fn spans<'a>(&self, trace: &'a Trace) -> Selected<'a> {
        let ids = |of: fn(&'a Span) -> Option<&'a str>| trace.spans.iter().filter_map(of).collect::<HashSet<_>>();
        let others = match self.position {
            None => HashSet::new(),
            Some(Position::Root) => ids(|span| Some(&span.span_id)),
            Some(Position::Leaf) => ids(|span| span.parent_id.as_deref()),
        };
        let is_there = |span: &Span| match self.position {
            None => true,
            Some(Position::Root) => span.parent_id.as_deref().is_none_or(|id| !others.contains(id)),
            Some(Position::Leaf) => !others.contains(span.span_id.as_str()),
        };
        let is_of_type = |span: &Span| {
            self.span_types.as_ref().is_none_or(|types| types.iter().any(|name| name == span.span_type.as_str()))
        };
        let is_named = |span: &Span| {
            self.names.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| glob::fits(pattern, &span.name)))
        };
        let mut selected = Selected::default();
        let mut met = HashSet::new();
        for span in trace.spans.iter().filter(|span| is_of_type(span) && is_named(span) && is_there(span)) {
            if met.insert(&span.span_id) {
                selected.spans.push(span);
            } else {
                selected.repeated += 1;
            }
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(toml: &str) -> Result<Select, String> {
        toml::from_str::<SelectTable>(toml).map_err(|error| error.message().to_owned())?.select()
    }

    fn span(id: &str, parent: Option<&str>, name: &str, span_type: &str) -> Span {
        Span {
            span_id: id.into(),
            parent_id: parent.map(Into::into),
            name: name.into(),
            span_type: SpanType::new(span_type),
            ..Span::default()
        }
    }

    #[test]
    fn spans_are_selected_by_type_name_and_position() {
        let spans = vec![
            span("1", Some("of another process"), "agent", "AGENT"),
            span("2", Some("1"), "search_web", "Tool"),
            span("3", Some("2"), "embed", "EMBEDDING"),
            span("4", Some("1"), "search_db", "RETRIEVER"),
            span("4", Some("1"), "search_db", "RETRIEVER"),
        ];
        let trace = Trace { spans, ..Trace::default() };
        let of = |toml: &str| {
            let selected = select(toml).unwrap();
            assert_eq!(selected.unit(), Unit::Span);
            let Selected { spans, repeated } = selected.spans(&trace);
            (spans.iter().map(|span| span.span_id.clone()).collect::<String>(), repeated)
        };
        for (toml, ids) in [
            ("span_type = \"retriever\"", ("4", 1)),
            ("span_type = [\"RETRIEVER\", \"TOOL\"]", ("24", 1)),
            ("name = \"search_*\"", ("24", 1)),
            ("name = [\"agent\", \"?mbed\"]", ("13", 0)),
            ("position = \"root\"", ("1", 0)),
            ("position = \"leaf\"", ("34", 1)),
            ("position = \"leaf\"\nname = \"*e*b*\"", ("34", 1)),
            ("unit = \"span\"", ("1234", 1)),
            ("span_type = \"LLM\"", ("", 0)),
        ] {
            assert_eq!(of(toml), (ids.0.to_owned(), ids.1), "{toml}");
        }
    }

    #[test]
    fn documents_are_those_of_retrievers_unless_the_file_says_otherwise() {
        let spans = vec![span("1", None, "search_web", "TOOL"), span("2", None, "find", "RETRIEVER")];
        let trace = Trace { spans, ..Trace::default() };
        let of = |toml: &str| {
            select(toml).unwrap().spans(&trace).spans.iter().map(|span| &*span.span_id).collect::<String>()
        };
        assert_eq!(of("unit = \"document\""), "2");
        assert_eq!(of("unit = \"document\"\nspan_type = \"tool\""), "1");
        assert_eq!(of("unit = \"document\"\nname = \"*\""), "12");
    }

    #[test]
    fn contradictions_name_the_key() {
        for (toml, words) in [
            ("unit = \"session\"\nspan_type = \"TOOL\"", "`span_type` selects spans, and `unit` is \"session\""),
            ("unit = \"pair\"\nname = \"a\"", "`name` selects spans, and `unit` is \"pair\""),
            ("unit = \"trace\"\nname = \"a\"", "`name` selects spans, and `unit` is \"trace\""),
            ("unit = \"trace\"\nposition = \"root\"", "`position` selects spans"),
            ("span_type = []", "`span_type` is empty"),
            ("name = [\"a\", \" \"]", "`name` is empty"),
            ("name = 5", "a string or a list of strings"),
            ("unit = \"spans\"", "unknown variant `spans`"),
            ("position = \"top\"", "unknown variant `top`"),
            ("type = \"TOOL\"", "unknown field `type`"),
        ] {
            let error = select(toml).unwrap_err();
            assert!(error.contains(words), "{toml}: {error}");
        }
        assert_eq!(select("").unwrap().unit(), Unit::Trace);
        assert_eq!(select("unit = \"document\"\nname = \"search_*\"").unwrap().unit(), Unit::Document);
        assert_eq!(select("unit = \"session\"").unwrap().unit(), Unit::Session);
        assert_eq!(select("unit = \"pair\"").unwrap().unit(), Unit::Pair);
    }
}
