//! `{{ spans | documents }}`: the texts of the documents that a trace's retrievers found.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::shown::{defined, json_text};
use crate::trace::SpanType;

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

/// The texts of what RETRIEVER spans returned, in order; empty when they found nothing. Without such a span it is unknown what was retrieved,
/// which is an error. `{{ span | documents }}`: those of one span, whatever its type.
pub(super) fn filter(spans: &Value) -> Result<Vec<String>, Error> {
    defined(spans)?;
    let mut texts = Vec::new();
    if spans.kind() == ValueKind::Map {
        if spans.get_attr("span_type")?.is_undefined() {
            let reason = "documents: this is not a span; write `spans | documents`, or `span | documents` where spans are judged";
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        collect(&spans.get_attr("outputs")?, &mut texts)?;
        return Ok(texts);
    }
    let mut retrieved = false;
    for span in spans.try_iter()? {
        if span.get_attr("span_type")?.as_str() == Some(SpanType::RETRIEVER) {
            retrieved = true;
            collect(&span.get_attr("outputs")?, &mut texts)?;
        }
    }
    if retrieved {
        Ok(texts)
    } else {
        Err(Error::new(ErrorKind::InvalidOperation, "the trace has no span of type RETRIEVER"))
    }
}

/// Documents as retrievers write them: a list of texts or of objects with a text, each perhaps with a score, or such a list inside an
/// object.
fn collect(outputs: &Value, texts: &mut Vec<String>) -> Result<(), Error> {
    match outputs.kind() {
        ValueKind::String => {
            texts.extend(outputs.as_str().filter(|text| !text.trim().is_empty()).map(ToOwned::to_owned))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for document in outputs.try_iter()? {
                collect(&document, texts)?;
            }
        }
        ValueKind::Map => {
            for key in TEXTS {
                let text = outputs.get_attr(key)?;
                // The content of a search by OpenAI's API is a list of texts.
                if text.as_str().is_some() || (key == "content" && text.kind() == ValueKind::Seq) {
                    return collect(&text, texts);
                }
            }
            for key in INSIDE {
                let inner = outputs.get_attr(key)?;
                if matches!(inner.kind(), ValueKind::Seq | ValueKind::Map) {
                    return collect(&inner, texts);
                }
            }
            // A document of an unknown form is still evidence: as it stands.
            texts.push(json_text(outputs)?);
        }
        _ => {}
    }
    Ok(())
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
            let mut texts = Vec::new();
            collect(&Value::from(Serde(&outputs)), &mut texts).unwrap();
            assert_eq!(texts, wanted, "{outputs}");
        }
        let mut texts = Vec::new();
        collect(&Value::from(Serde(&json!([{"id": 4}, "", null, 7]))), &mut texts).unwrap();
        assert_eq!(texts, ["{\"id\":4}"]);
    }
}
