//! Replies, looked up as a run does it.

use super::super::ledger::{Entry, Planned};
use super::super::spool::{BatchLimits, Spool, results_of};
use super::*;

fn id(n: u32) -> AssessmentId {
    format!("a-{n:032x}").parse().unwrap()
}

/// A folder with a ledger of batches.
struct Place {
    folder: tempfile::TempDir,
    ledger: Ledger,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("x.batches.jsonl")).unwrap();
        Self { folder, ledger }
    }

    /// A batch of requests with these judgments, of the year 1970.
    fn plan(&mut self, requests: &[&[u32]]) -> String {
        let lane = ("e:/m".to_owned(), "http://h/v1".to_owned(), BatchLimits::default());
        let mut spool = Spool::new(self.folder.path(), [lane]);
        for judgments in requests {
            let ids: Vec<_> = judgments.iter().copied().map(id).collect();
            spool.add("e:/m", &ids, b"{}", 1, None).unwrap();
        }
        let planned = Planned { time_ms: 1_000, ..spool.seal().unwrap().remove(0).planned };
        let name = planned.batch.clone();
        self.ledger.begin(Entry::Planned(planned), self.folder.path()).unwrap();
        name
    }

    /// It ends, with results about these judgments.
    fn end(&mut self, batch: &str, state: &str, results: &[u32]) {
        let line = |n: &u32| format!("{{\"custom_id\":\"{}\",\"error\":{{\"message\":\"no {n}\"}}}}\n", id(*n));
        std::fs::write(results_of(self.folder.path(), batch), results.iter().map(line).collect::<String>()).unwrap();
        let (batch, state) = (batch.to_owned(), state.to_owned());
        self.ledger.add(Entry::Ended { batch, state, files: Vec::new(), results: 0 }).unwrap();
    }

    fn answers(&self, batches: &[&str]) -> Answers {
        let batches: Vec<_> = batches.iter().map(|name| self.ledger.get(name).unwrap()).collect();
        let mut answers = Answers::new(batches.iter().map(|batch| batch.most_judgments()).sum()).unwrap();
        for batch in batches {
            match batch.state.as_deref() {
                None => answers.add_pending(&self.ledger, batch).unwrap(),
                Some(state) => {
                    let path = results_of(self.folder.path(), &batch.planned.batch);
                    answers.add_results(&self.ledger, batch, &path, state != "failed").unwrap();
                }
            }
        }
        answers
    }
}

fn said(answers: &mut Answers, n: u32) -> String {
    match answers.take(id(n)).unwrap() {
        Some((Reply::Failed(failure), _)) => failure.message,
        Some((reply, _)) => format!("{reply:?}"),
        None => "nothing".to_owned(),
    }
}

#[test]
fn each_request_has_its_reply_and_a_batch_is_settled_with_the_last() {
    let mut place = Place::new();
    let (ended, open) = (place.plan(&[&[1], &[2], &[3]]), place.plan(&[&[4]]));
    // In any order, some twice, and one that was not asked.
    place.end(&ended, "expired", &[3, 9, 1, 3]);
    let mut answers = place.answers(&[&ended, &open]);
    assert_eq!(answers.strays(), 2);
    let ids = answers.ids();
    assert!(ids.contains(id(1)) && ids.contains(id(4)) && !ids.contains(id(9)));
    assert_eq!(answers.settled(), (Vec::new(), 3));
    let expected = ["no 1", "Undone(Expired)", "no 3", "Pending", "nothing"];
    assert_eq!([1, 2, 3, 4, 9].map(|n| said(&mut answers, n)), expected);
    assert_eq!(answers.settled(), (vec![ended], 0));
    assert_eq!(said(&mut answers, 1), "no 1", "it can be looked up again");
}

#[test]
fn all_judgments_of_a_rubric_have_the_reply_of_their_request() {
    let mut place = Place::new();
    let batch = place.plan(&[&[1, 2, 3], &[4, 5]]);
    place.end(&batch, "completed", &[1]);
    let mut answers = place.answers(&[&batch]);
    assert_eq!(answers.settled().1, 5);
    assert_eq!([3, 2, 5].map(|n| said(&mut answers, n)), ["no 1", "no 1", "Undone(Missing)"]);
    answers.settle(id(1)).unwrap();
    answers.settle(id(4)).unwrap();
    assert_eq!(answers.settled(), (vec![batch], 0));
}

#[test]
fn what_went_with_another_batch_is_that_one_s() {
    let mut place = Place::new();
    let (first, second) = (place.plan(&[&[1], &[2]]), place.plan(&[&[2]]));
    place.end(&first, "expired", &[1]);
    let mut answers = place.answers(&[&first, &second]);
    assert_eq!([1, 2].map(|n| said(&mut answers, n)), ["no 1", "Pending"]);
    assert_eq!(answers.settled(), (vec![first.clone()], 0));
    // Where the second was not accepted, it is the first one's again.
    place.end(&second, "failed", &[]);
    let mut answers = place.answers(&[&first, &second]);
    assert_eq!(said(&mut answers, 2), "Undone(Expired)");
    place.end(&second, "failed", &[2]);
    assert_eq!(said(&mut place.answers(&[&first, &second]), 2), "no 2");
}

#[test]
fn a_result_whose_record_is_newer_than_its_batch_was_used() {
    let mut place = Place::new();
    let batch = place.plan(&[&[1], &[2]]);
    place.end(&batch, "completed", &[1, 2]);
    let log = place.folder.path().join("x.jsonl");
    let record = |n: u32, time: i64| {
        let source = "{\"source_type\":\"LLM_JUDGE\",\"source_id\":\"e:/m\"}";
        format!(
            "{{\"assessment_id\":\"{}\",\"name\":\"j\",\"trace_id\":\"t\",\"source\":{source},\"value\":true,\
             \"create_time_ms\":{time},\"last_update_time_ms\":{time},\"metadata\":{{}}}}\n",
            id(n)
        )
    };
    std::fs::write(&log, record(1, 1_000) + &record(2, 999)).unwrap();
    let mut answers = place.answers(&[&batch]);
    answers.leave_recorded(&log).unwrap();
    assert!(!answers.ids().contains(id(1)));
    assert_eq!([1, 2].map(|n| said(&mut answers, n)), ["nothing", "no 2"]);
    assert_eq!(answers.settled(), (vec![batch], 0));
}
