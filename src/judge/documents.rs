//! The documents that a trace's retrievers found: their texts, titles and addresses.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::value::{defined, json_text};
use crate::trace::{Span, SpanType, Trace};

/// Keys of a document's text: LangChain's and MLflow's, OpenAI's and Databricks', LangChain's for JavaScript, OpenInference's, others'.
const TEXTS: [&str; 9] =
    ["page_content", "content", "text", "pageContent", "document.content", "snippet", "chunk_text", "passage", "body"];

/// Keys of a document inside an item (LlamaIndex's `node`, Qdrant's `payload`, Elasticsearch's `_source`, LangChain's serialised
/// `kwargs`), or of documents inside an output.
const INSIDE: [&str; 23] = [
    "document",
    "documents",
    "docs",
    "chunks",
    "contexts",
    "context",
    "passages",
    "results",
    "matches",
    "hits",
    "nodes",
    "source_nodes",
    "source_documents",
    "node",
    "payload",
    "_source",
    "kwargs",
    "chunk",
    "text_resource",
    "items",
    "data",
    "output",
    "outputs",
];

/// Keys of a document's title, in the document or in its metadata.
const TITLES: [&str; 6] = ["title", "doc_title", "document_title", "file_name", "filename", "name"];
/// Keys of its address.
const ADDRESSES: [&str; 10] =
    ["doc_uri", "uri", "url", "source", "source_url", "link", "href", "file_path", "path", "document.id"];
/// Keys of what is said about it.
const METADATA: [&str; 3] = ["metadata", "document.metadata", "meta"];
/// A longer title or address is a text of its own.
const MAX_NAME: usize = 300;

/// A document that was found. Written whole, it begins with a line of its number, title and address, as far as it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// From 1, over all of a trace's retrievals; none where it is judged by itself, since its place says nothing about it.
    number: Option<usize>,
    pub(super) title: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) text: String,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, title, uri, text } = self;
        let number = number.map(|number| format!("[{number}]"));
        let line: Vec<_> = [&number, title, uri].into_iter().flatten().map(String::as_str).collect();
        if !line.is_empty() {
            writeln!(f, "{}", line.join(" | "))?;
        }
        f.write_str(text)
    }
}

impl Object for Document {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "number" => self.number.map(Value::from),
            "title" => self.title.as_deref().map(Value::from),
            "uri" => self.uri.as_deref().map(Value::from),
            "text" => Some(self.text.as_str().into()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = [
            self.number.map(|_| "number"),
            self.title.as_ref().map(|_| "title"),
            self.uri.as_ref().map(|_| "uri"),
            Some("text"),
        ];
        Enumerator::Values(keys.into_iter().flatten().map(Value::from).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The documents of a trace, numbered. `None` if no retrieval was recorded; an empty one gives an empty list.
pub(super) fn of_trace(trace: &Trace) -> Option<Vec<Value>> {
    let is_retriever = |span: &&Span| span.span_type.as_str() == SpanType::RETRIEVER;
    let mut spans = trace.spans.iter().filter(is_retriever).peekable();
    spans.peek()?;
    Some(numbered(spans))
}

/// What one span returned, whatever its type. `None` if nothing was recorded.
pub(super) fn of_span(span: &Span) -> Option<Vec<Value>> {
    span.outputs.is_some().then(|| numbered([span]))
}

impl Document {
    /// What a span returned, in its order and without numbers, whatever the span's type. What has no text is none.
    pub fn all_of(span: &Span) -> Vec<Self> {
        let mut found = Vec::new();
        if let Some(outputs) = &span.outputs {
            // Values that come from JSON can be written as JSON.
            let _ = collect(&Value::from(Serde(outputs)), &Self::default(), &mut found);
        }
        found
    }
}

fn numbered<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Vec<Value> {
    let found = spans.into_iter().flat_map(Document::all_of).enumerate();
    found.map(|(at, document)| Value::from_object(Document { number: Some(at + 1), ..document })).collect()
}

/// The texts of what RETRIEVER spans returned, in order; empty when they found nothing. Without such a span it is unknown what was retrieved,
/// which is an error. `{{ span | documents }}`: those of one span, whatever its type.
pub(super) fn filter(spans: &Value) -> Result<Vec<String>, Error> {
    defined(spans)?;
    let mut found = Vec::new();
    if spans.kind() == ValueKind::Map {
        if spans.get_attr("span_type")?.is_undefined() {
            let reason = "documents: this is not a span; write `spans | documents`, or `span | documents` where spans are judged";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        collect(&spans.get_attr("outputs")?, &Document::default(), &mut found)?;
        return Ok(texts(found));
    }
    let mut retrieved = false;
    for span in spans.try_iter()? {
        if span.get_attr("span_type")?.as_str() == Some(SpanType::RETRIEVER) {
            retrieved = true;
            collect(&span.get_attr("outputs")?, &Document::default(), &mut found)?;
        }
    }
    if retrieved {
        Ok(texts(found))
    } else {
        Err(Error::new(ErrorKind::InvalidOperation, "the trace has no span of type RETRIEVER"))
    }
}

fn texts(documents: Vec<Document>) -> Vec<String> {
    documents.into_iter().map(|document| document.text).collect()
}

/// Documents as retrievers write them: a list of texts or of objects with a text, each optionally with a score, or such a list inside an
/// object. `around` has the titles and addresses of the enclosing objects.
fn collect(outputs: &Value, around: &Document, found: &mut Vec<Document>) -> Result<(), Error> {
    match outputs.kind() {
        ValueKind::String => {
            let text = outputs.as_str().filter(|text| !text.trim().is_empty());
            found.extend(text.map(|text| Document { text: text.to_owned(), ..around.clone() }));
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for document in outputs.try_iter()? {
                collect(&document, around, found)?;
            }
        }
        ValueKind::Map => {
            let named =
                Document { title: name(outputs, &TITLES)?, uri: name(outputs, &ADDRESSES)?, ..Document::default() };
            let around = Document {
                title: named.title.or_else(|| around.title.clone()),
                uri: named.uri.or_else(|| around.uri.clone()),
                ..Document::default()
            };
            for key in TEXTS {
                let text = outputs.get_attr(key)?;
                // The content of a search by OpenAI's API is a list of texts.
                if text.as_str().is_some() || (key == "content" && text.kind() == ValueKind::Seq) {
                    return collect(&text, &around, found);
                }
            }
            for key in INSIDE {
                let inner = outputs.get_attr(key)?;
                if matches!(inner.kind(), ValueKind::Seq | ValueKind::Map) {
                    return collect(&inner, &around, found);
                }
            }
            // A document of an unknown form is still evidence, as it is.
            found.push(Document { text: json_text(outputs)?, ..Document::default() });
        }
        _ => {}
    }
    Ok(())
}

/// A title or an address, on one line.
fn name(document: &Value, keys: &[&str]) -> Result<Option<String>, Error> {
    let mut places = vec![document.clone()];
    for key in METADATA {
        let metadata = document.get_attr(key)?;
        places.extend(match metadata.as_str() {
            Some(text) => serde_json::from_str(text).ok().map(|json: serde_json::Value| Value::from(Serde(&json))),
            None => (metadata.kind() == ValueKind::Map).then_some(metadata),
        });
    }
    for (place, key) in places.iter().flat_map(|place| keys.iter().map(move |key| (place, key))) {
        if let Some(text) = place.get_attr(key)?.as_str() {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !line.is_empty() && line.len() <= MAX_NAME {
                return Ok(Some(line));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_found_in_every_form() {
        let wanted = ["Ceps.", "Moss."];
        let node = |text: &str| json!({"node": {"id_": "1", "metadata": {}, "text": text, "class_name": "TextNode"}, "score": 0.5});
        let constructor =
            |text: &str| json!({"lc": 1, "type": "constructor", "id": ["Document"], "kwargs": {"page_content": text}});
        for outputs in [
            json!(["Ceps.", "Moss."]),
            json!([{"page_content": "Ceps.", "metadata": {}}, {"text": "Moss."}]),
            json!({"output": [{"page_content": "Ceps.", "type": "Document"}, {"pageContent": "Moss."}]}),
            json!([node("Ceps."), node("Moss.")]),
            json!({"nodes": [node("Ceps."), {"node": {"text_resource": {"text": "Moss."}}}]}),
            json!([[{"page_content": "Ceps."}, 0.9], [{"page_content": "Moss."}, 0.8]]),
            json!([constructor("Ceps."), constructor("Moss.")]),
            json!({"documents": [["Ceps.", "Moss."]], "ids": [["1", "2"]]}),
            json!({"hits": {"hits": [{"_source": {"text": "Ceps."}}, {"_source": {"body": "Moss."}}]}}),
            json!([{"id": 1, "payload": {"text": "Ceps."}}, {"id": 2, "payload": {"content": "Moss."}}]),
            json!({"data": [{"content": [{"type": "text", "text": "Ceps."}]}, {"content": [{"type": "text", "text": "Moss."}]}]}),
        ] {
            assert_eq!(found(&outputs), wanted, "{outputs}");
        }
        assert_eq!(found(&json!([{"id": 4}, "", null, 7])), ["{\"id\":4}"]);
    }

    fn found(outputs: &serde_json::Value) -> Vec<String> {
        let mut found = Vec::new();
        collect(&Value::from(Serde(outputs)), &Document::default(), &mut found).unwrap();
        texts(found)
    }

    #[test]
    fn a_document_is_written_with_its_number_title_and_address() {
        let span = |outputs: serde_json::Value| Span {
            span_type: SpanType::new(SpanType::RETRIEVER),
            outputs: Some(outputs),
            ..Span::default()
        };
        let spans = vec![
            span(json!([{"page_content": "Ceps.", "metadata": {"doc_uri": "docs/ceps.md", "title": "On\nceps"}}])),
            span(json!({"results": [{"content": "Moss.", "url": "https://moss.example"}, "Ferns."]})),
            span(json!([{"payload": {"text": "Oak."}, "document.metadata": "{\"title\": \"Oaks\"}"}])),
        ];
        let documents = of_trace(&Trace { spans: spans.clone(), ..Trace::default() }).unwrap();
        let written: Vec<_> = documents.iter().map(ToString::to_string).collect();
        let expected = [
            "[1] | On ceps | docs/ceps.md\nCeps.",
            "[2] | https://moss.example\nMoss.",
            "[3]\nFerns.",
            "[4] | Oaks\nOak.",
        ];
        assert_eq!(written, expected);
        assert_eq!(
            serde_json::to_value(&documents[2]).unwrap(),
            json!({"number": 3, "text": "Ferns."}),
            "as JSON it is an object"
        );
        assert_eq!(of_span(&spans[1]).unwrap().len(), 2);
        assert_eq!(of_trace(&Trace { spans: vec![span(json!([]))], ..Trace::default() }), Some(vec![]));
        assert_eq!(of_trace(&Trace { spans: vec![Span::default()], ..Trace::default() }), None);
    }
}
