//! Datasets of any size, identical on every machine.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use fastrand::Rng;
use serde_json::json;

const WORDS: &[&str] = &[
    "account", "after", "annual", "answer", "before", "billing", "calendar", "claim", "contract", "customer", "days",
    "delivery", "each", "employee", "entitled", "every", "first", "handbook", "invoice", "leave", "manager", "month",
    "order", "period", "policy", "portal", "refund", "request", "return", "rule", "salary", "seven", "shipping",
    "support", "team", "thirty", "unless", "warranty", "within", "year",
];
/// 22 traces written by MLflow 3.17, about 6 kB each.
const MLFLOW: &str = include_str!("../../tests/fixtures/mlflow/3.17.2/traces.to_json.jsonl");

/// Writes `n` plain traces of about 1.5 kB: a question, an answer, an expected answer and one retrieved document.
pub(crate) fn plain(path: &Path, n: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut rng = Rng::with_seed(17);
    for i in 0..n {
        let question = text(&mut rng, 100);
        let trace = json!({
            "trace_id": format!("tr-{i:032x}"),
            "inputs": {"question": question},
            "outputs": {"response": text(&mut rng, 300)},
            "expectations": {"expected_response": text(&mut rng, 150)},
            "tags": {"scenario": "bench"},
            "spans": [{
                "span_id": format!("{i:016x}"), "parent_id": null, "name": "search_docs", "span_type": "RETRIEVER",
                "inputs": {"query": question},
                "outputs": [{"page_content": text(&mut rng, 430), "metadata": {"doc_uri": "handbook/leave.md"}}],
            }],
        });
        serde_json::to_writer(&mut file, &trace)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Writes `n` traces in MLflow's form, each with its own id.
pub(crate) fn mlflow(path: &Path, n: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (i, line) in (0..n).zip(MLFLOW.lines().cycle()) {
        let id = line.find("tr-").and_then(|at| line.get(at..at + 35)).unwrap_or_default();
        writeln!(file, "{}", line.replace(id, &format!("tr-{i:032x}")))?;
    }
    file.flush()
}

/// Random words of about `bytes` bytes.
fn text(rng: &mut Rng, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 12);
    while text.len() < bytes {
        text.push_str(rng.choice(WORDS).copied().unwrap_or_default());
        text.push(' ');
    }
    text
}
