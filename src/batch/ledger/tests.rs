//! The ledger, written and read.

use super::super::ids::IdsWriter;
use super::*;

fn planned(batch: &str) -> Planned {
    Planned {
        batch: batch.into(),
        time_ms: 1,
        source_id: "e:/m".into(),
        address: "http://h/v1".into(),
        requests: 2,
        bytes: 10,
        tokens: 5,
        cost: None,
        blake3: "x".into(),
    }
}

fn id(n: u128) -> AssessmentId {
    format!("a-{n:032x}").parse().unwrap()
}

/// Plans a batch of 600 requests, each of two judgments.
fn plan(ledger: &mut Ledger, folder: &Path, batch: &str) {
    let mut ids = IdsWriter::begin(folder, batch).unwrap();
    (0..600).for_each(|n| ids.add(&[id(n), id(n + 1000)]).unwrap());
    ids.seal().unwrap();
    ledger.begin(Entry::Planned(planned(batch)), folder).unwrap();
    assert!(!ids_of(folder, batch).exists());
}

fn ids(ledger: &Ledger, batch: &str) -> Vec<Vec<AssessmentId>> {
    let mut ids = Vec::new();
    let batch = ledger.get(batch).unwrap();
    let take = |of_request: &[AssessmentId]| {
        ids.push(of_request.to_owned());
        Ok(())
    };
    ledger.for_each_ids(batch, take).unwrap();
    let all: usize = ids.iter().map(Vec::len).sum();
    assert!((all..all + 40).contains(&usize::try_from(batch.most_judgments()).unwrap()), "{batch:?}");
    ids
}

fn stages(batches: &[Batch]) -> Vec<(&str, Stage)> {
    batches.iter().map(|batch| (batch.planned.batch.as_str(), batch.stage)).collect()
}

#[test]
fn what_was_written_is_read_again_and_half_a_line_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.batches.jsonl");
    assert_eq!(Ledger::look(&path).unwrap(), []);
    let mut ledger = Ledger::open(&path).unwrap();
    let name = || "b1".to_owned();
    plan(&mut ledger, folder.path(), "b0");
    plan(&mut ledger, folder.path(), "b1");
    ledger.add(Entry::Uploaded { batch: name(), file: "file-1".into() }).unwrap();
    ledger.add(Entry::Submitting { batch: name(), time_ms: 7 }).unwrap();
    assert!(matches!(Ledger::open(&path), Err(BatchError::Locked { .. })));
    drop(ledger);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"event\":\"submitted\",\"ba"].concat()).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let batch = ledger.get("b1").unwrap();
    assert_eq!((batch.stage, batch.file.as_deref(), batch.submitting_ms), (Stage::Submitting, Some("file-1"), 7));
    let expected: Vec<_> = (0..600).map(|n| vec![id(n), id(n + 1000)]).collect();
    assert_eq!((ids(&ledger, "b0"), ids(&ledger, "b1")), (expected.clone(), expected));
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_ledger_that_has_the_ids_in_the_plan_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.batches.jsonl");
    let line = |batch: &str| {
        let mut line = serde_json::to_value(Entry::Planned(planned(batch))).unwrap();
        line["ids"] = serde_json::json!([id(1).to_string(), format!("{} {}", id(2), id(3))]);
        format!("{line}\n")
    };
    std::fs::write(&path, line("b1") + &line("b2")).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let read = |batch: &str| {
        let mut ids = Vec::new();
        let take = |of_request: &[AssessmentId]| {
            ids.push(of_request.to_owned());
            Ok(())
        };
        ledger.for_each_ids(ledger.get(batch).unwrap(), take).unwrap();
        ids
    };
    let expected = vec![vec![id(1)], vec![id(2), id(3)]];
    assert_eq!((read("b1"), read("b2")), (expected.clone(), expected));
}

#[test]
fn a_batch_that_is_split_is_over_and_its_parts_begin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.batches.jsonl");
    let mut ledger = Ledger::open(&path).unwrap();
    plan(&mut ledger, folder.path(), "b1");
    ledger.add(Entry::Returned { batch: "b1".into(), is_full: true }).unwrap();
    for batch in ["b2", "b3"] {
        let mut ids = IdsWriter::begin(folder.path(), batch).unwrap();
        ids.add(&[id(1)]).unwrap();
        ids.seal().unwrap();
    }
    let into = vec![planned("b2"), planned("b3")];
    ledger.begin(Entry::Split { batch: "b1".into(), into }, folder.path()).unwrap();
    assert_eq!((ids(&ledger, "b2"), ids(&ledger, "b3")), (vec![vec![id(1)]], vec![vec![id(1)]]));
    drop(ledger);
    let read = Ledger::look(&path).unwrap();
    assert_eq!(stages(&read), [("b1", Stage::Closed), ("b2", Stage::Planned), ("b3", Stage::Planned)]);
}

#[test]
fn a_batch_that_cannot_be_planned_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.batches.jsonl");
    let mut ledger = Ledger::open(&path).unwrap();
    std::fs::write(ids_of(folder.path(), "b1"), "{\"event\":\"ids\",\"batch\":\"b1\",\"ids\":[]}\n{\n").unwrap();
    assert!(ledger.begin(Entry::Planned(planned("b1")), folder.path()).is_err());
    assert_eq!((std::fs::read(&path).unwrap().len(), ledger.batches().count()), (0, 0));
    plan(&mut ledger, folder.path(), "b2");
    assert_eq!(ids(&ledger, "b2").len(), 600);
}

#[test]
fn what_is_no_ledger_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.batches.jsonl");
    std::fs::write(&path, "{\"event\":\"dropped\",\"batch\":\"b\"}\n{\"event\":\"x\"}\n").unwrap();
    assert!(matches!(Ledger::open(&path), Err(BatchError::Entry { line: 2, .. })));
}
