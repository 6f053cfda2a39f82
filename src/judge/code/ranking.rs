//! How well a retriever ranked: precision, recall and nDCG of the first k documents.

use std::collections::HashSet;

use judge_run_statistics::retrieval::dcg;
use serde_json::Value;

/// Keys of a document's id, the most specific first; also inside `metadata`.
const IDS: [&str; 8] = ["doc_uri", "document_id", "doc_id", "chunk_id", "id", "uri", "url", "source"];

/// A document that should have been found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relevant {
    id: String,
    /// How relevant it is; 1 by default.
    gain: f64,
}

/// The ids of what was retrieved, in order, each once.
pub(super) fn retrieved(documents: &Value) -> Result<Vec<String>, String> {
    let list = list_of(documents).ok_or("what was retrieved is not a list of documents")?;
    let mut met = HashSet::new();
    let mut ids = Vec::new();
    for document in list {
        let id = id_of(document).ok_or("a retrieved document has no id, such as `doc_uri` in its metadata")?;
        if met.insert(id.clone()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The documents that are relevant: ids, objects with an id and optionally a `relevance`, or an object of ids and relevances.
pub(super) fn relevant(expected: &Value) -> Result<Vec<Relevant>, String> {
    let without = || "an expected document has no id, such as `doc_uri`".to_owned();
    if let Value::Object(gains) = expected
        && gains.values().all(Value::is_number)
    {
        let gain = |(id, gain): (&String, &Value)| Relevant { id: id.clone(), gain: gain.as_f64().unwrap_or(0.0) };
        return Ok(gains.iter().map(gain).filter(|relevant| relevant.gain > 0.0).collect());
    }
    let list = list_of(expected).ok_or("the expected documents are not a list")?;
    let one = |document: &Value| {
        let gain = document.get("relevance").and_then(Value::as_f64).unwrap_or(1.0);
        Ok(Relevant { id: id_of(document).ok_or_else(without)?, gain })
    };
    let mut all: Vec<Relevant> = list.iter().map(one).collect::<Result<_, String>>()?;
    let mut met = HashSet::new();
    all.retain(|relevant| relevant.gain > 0.0 && met.insert(relevant.id.clone()));
    Ok(all)
}

fn list_of(value: &Value) -> Option<&Vec<Value>> {
    let inside = |object: &serde_json::Map<String, Value>| {
        ["documents", "results", "chunks", "nodes", "items", "data"]
            .iter()
            .find_map(|key| object.get(*key)?.as_array().map(|_| *key))
    };
    match value {
        Value::Array(list) => Some(list),
        Value::Object(object) => object.get(inside(object)?)?.as_array(),
        _ => None,
    }
}

fn id_of(document: &Value) -> Option<String> {
    let as_text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if !document.is_object() {
        return as_text(document);
    }
    let inner = ["document", "node"].iter().find_map(|key| document.get(*key)).filter(|inner| inner.is_object());
    let metadata = |of: &Value| of.get("metadata").and_then(|metadata| named(metadata, &as_text));
    let own = |of: &Value| named(of, &as_text);
    metadata(document)
        .or_else(|| own(document))
        .or_else(|| inner.and_then(|inner| metadata(inner).or_else(|| own(inner))))
}

fn named(object: &Value, as_text: &impl Fn(&Value) -> Option<String>) -> Option<String> {
    IDS.iter().find_map(|key| as_text(object.get(*key)?))
}

/// The share of the first k documents that are relevant; 0 without documents.
///
/// Source: MLflow's `precision_at_k`, which divides by the number retrieved if that is less than k.
pub(super) fn precision(retrieved: &[String], relevant: &[Relevant], k: usize) -> f64 {
    let first = &retrieved[..k.min(retrieved.len())];
    if first.is_empty() { 0.0 } else { super::words::share(hits(first, relevant), first.len()) }
}

/// The share of the relevant documents that are among the first k.
pub(super) fn recall(retrieved: &[String], relevant: &[Relevant], k: usize) -> f64 {
    let first = &retrieved[..k.min(retrieved.len())];
    super::words::share(hits(first, relevant), relevant.len())
}

fn hits(first: &[String], relevant: &[Relevant]) -> usize {
    first.iter().filter(|id| relevant.iter().any(|relevant| relevant.id == **id)).count()
}

/// The discounted cumulative gain of the first k, as a share of that of the best order.
///
/// Source: Järvelin and Kekäläinen 2002, with the discount 1 / log2(rank + 1) and linear gains, as scikit-learn's `ndcg_score`.
pub(super) fn ndcg(retrieved: &[String], relevant: &[Relevant], k: usize) -> f64 {
    let gain = |id: &String| relevant.iter().find(|relevant| relevant.id == *id).map_or(0.0, |relevant| relevant.gain);
    let mut ideal: Vec<f64> = relevant.iter().map(|relevant| relevant.gain).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    // A sum of nothing is -0.
    dcg(retrieved.iter().take(k).map(gain)) / dcg(ideal.into_iter().take(k)) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(text: &str) -> Vec<String> {
        text.chars().map(|c| c.to_string()).collect()
    }

    #[test]
    fn precision_and_recall_look_at_the_first_k() {
        let relevant = relevant(&json!(["a", "c", "x"])).unwrap();
        let found = ids("abcd");
        assert_eq!((precision(&found, &relevant, 2), precision(&found, &relevant, 10)), (0.5, 0.5));
        assert!((recall(&found, &relevant, 3) - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!((precision(&[], &relevant, 3), recall(&[], &relevant, 3)), (0.0, 0.0));
    }

    #[test]
    fn ndcg_is_that_of_scikit_learn() {
        // sklearn.metrics.ndcg_score([[10, 0, 0, 1, 5]], [[.1, .2, .3, 4, 70]]) = 0.6956940443813076, the first example of its documentation.
        let relevant = relevant(&json!({"a": 10, "b": 0, "c": 0, "d": 1, "e": 5})).unwrap();
        assert!((ndcg(&ids("edcba"), &relevant, 5) - 0.695_694_044_381_307_6).abs() < 1e-12);
        assert_eq!(ndcg(&ids("aed"), &relevant, 3), 1.0);
        assert!(ndcg(&[], &relevant, 3).is_sign_positive());
    }

    #[test]
    fn ids_are_found_where_retrievers_put_them() {
        let found = json!([
            "a", 7, {"id": "b"}, {"page_content": "x", "metadata": {"doc_uri": "c"}, "id": "chunk"},
            {"document": {"metadata": {"source": "d"}}, "score": 1}, "a"
        ]);
        assert_eq!(retrieved(&found).unwrap(), ["a", "7", "b", "c", "d"]);
        assert_eq!(retrieved(&json!({"documents": [{"id": 1}]})).unwrap(), ["1"]);
        assert!(retrieved(&json!([{"text": "no id"}])).is_err() && retrieved(&json!("x")).is_err());
    }
}
