//! Tests of the dispatcher: what it counts of what comes back.

use std::io;

use tokio::sync::watch;

use crate::run::lanes::lane::tests::{answered, lane, push, used};

use super::*;
use crate::endpoint::config::EndpointConfig;
use crate::feedback::log::writer_to;
use crate::judge::{Judge, Question};
use crate::run::setup::settings::{EndpointLane, Policy};

/// The parts of a run of one judge on one lane.
fn parts<'a>(log: LogWriter, on_event: &'a mut dyn FnMut(&Event<'_>)) -> Parts<'a> {
    let text = "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"";
    let judge = Judge::compile("j", text, "j").unwrap();
    let question = Question::new(judge, &"e:/m".parse().unwrap(), &serde_json::Map::new());
    let settings = EndpointLane {
        pool: EndpointConfig::new("e", "http://127.0.0.1:9/v1").into(),
        model: "m".into(),
        prices: None,
        requests_per_day: None,
        requests_today: 0,
    };
    let summary = Summary::new([&question].into_iter(), &[settings.into()], None);
    let (_, shutdown) = watch::channel(Shutdown::No);
    Parts {
        summary,
        questions: Questions::new(vec![(question, LaneIndex::new(0))]),
        lanes: vec![lane(8)],
        lane_ids: vec!["e:/m".into()],
        batching: None,
        shared_quota: None,
        log,
        rejects: Rejects::new(std::env::temp_dir().join("judge-run-no-rejects")).unwrap(),
        strict: false,
        keep_answers: Policy::default().keep_answers,
        total_bytes: None,
        run_id: "run-1".into(),
        budget: Budget::default(),
        until: None,
        patience: Patience { shutdown, grace: Duration::ZERO },
        on_event,
    }
}

impl Dispatcher<'_> {
    /// Sends this number of judgments, whose answers come back at once.
    async fn ask(&mut self, judgments: usize) {
        let index = LaneIndex::new(0);
        for _ in 0..judgments {
            self.emit(&Event::Planned { question: QuestionIndex::new(0), changed: false });
        }
        push(self.lane(index), judgments);
        let mut asked = 0;
        while asked < judgments {
            match self.lane(index).next(Instant::now()) {
                Step::Send(job) => {
                    let job = answered(job, used(10, 5));
                    self.tasks.spawn(async move { Returned { lane: index, job } });
                    asked += 1;
                }
                _ => tokio::time::advance(Duration::from_secs(1)).await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_while_the_log_cannot_be_written_is_counted_as_unsaved() {
    let mut taken = 0;
    let (log, work) = writer_to(move |_| {
        taken += 1;
        if taken == 1 { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    });
    let work = tokio::spawn(work);
    let mut on_event = |_: &Event<'_>| {};
    let mut dispatcher = Dispatcher::new(parts(log, &mut on_event));
    dispatcher.ask(1).await;
    let first = dispatcher.tasks.join_next().await.unwrap();
    dispatcher.all_returned(first);
    assert_eq!(dispatcher.write().await, Ok(()));
    dispatcher.ask(1).await;
    let second = dispatcher.tasks.join_next().await.unwrap();
    dispatcher.all_returned(second);
    // Meanwhile three more come back.
    dispatcher.ask(3).await;
    assert_eq!(dispatcher.write().await, Err(LogClosed));
    let (summary, log, stop, _) = dispatcher.end().await;
    work.await.unwrap();
    let error = log.close(std::future::pending()).await.unwrap_err();
    assert_eq!((error.unsaved(), summary.scored(), summary.unjudged(), stop.is_none()), (4, 5, 0, true));
    assert_eq!(summary.usage().output_tokens, 25);
}

/// Of these judgments, what is spent, and why the run stopped.
async fn spent_on(budget: Budget, judgments: usize) -> (Spent, Option<String>) {
    let (log, work) = writer_to(|_| Ok(()));
    let work = tokio::spawn(work);
    let mut on_event = |_: &Event<'_>| {};
    let mut dispatcher = Dispatcher::new(Parts { budget, ..parts(log, &mut on_event) });
    dispatcher.parts.lanes[0].prices = Some(crate::endpoint::prices::Prices::new(1.0, 2.0));
    for _ in 0..judgments {
        dispatcher.ask(1).await;
        let back = dispatcher.tasks.join_next().await.unwrap();
        dispatcher.all_returned(back);
    }
    let (spent, stop) = (dispatcher.spent, dispatcher.stop.as_ref().map(ToString::to_string));
    drop(dispatcher);
    work.await.unwrap();
    (spent, stop)
}

#[tokio::test(start_paused = true)]
async fn what_each_answer_takes_is_added_up_and_ends_the_run_when_the_budget_is_spent() {
    // Prices are of a million tokens: 10 in at 1 and 5 out at 2.
    let (spent, stop) = spent_on(Budget::default(), 3).await;
    assert_eq!((spent.tokens, spent.judged, spent.errors, stop), (45, 3, 0, None));
    assert!((spent.cost - 3.0 * 20e-6).abs() < 1e-12, "{}", spent.cost);
    let tokens = Budget { tokens: Some(30), ..Budget::default() };
    assert_eq!((spent_on(tokens, 1).await.1, spent_on(tokens, 2).await.1.is_some()), (None, true));
    let cost = Budget { cost: Some(30e-6), ..Budget::default() };
    assert_eq!((spent_on(cost, 1).await.1, spent_on(cost, 2).await.1.is_some()), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_failure_counts_as_judged_and_as_an_error() {
    let (log, work) = writer_to(|_| Ok(()));
    let work = tokio::spawn(work);
    let mut on_event = |_: &Event<'_>| {};
    let mut dispatcher = Dispatcher::new(parts(log, &mut on_event));
    let mut job = crate::run::lanes::lane::tests::job();
    job.last = Some((Attempt::local(Failure::new(ErrorCode::Refused, "no")), Duration::ZERO));
    dispatcher.finish(job);
    assert_eq!((dispatcher.spent.judged, dispatcher.spent.errors), (1, 1));
    assert_eq!(dispatcher.parts.summary.failed(), 1);
    drop(dispatcher);
    work.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_leaves_to_the_next_what_could_still_have_succeeded() {
    for (code, records) in [(ErrorCode::Timeout, 0), (ErrorCode::Refused, 1)] {
        let (log, work) = writer_to(|_| Ok(()));
        let work = tokio::spawn(work);
        let mut on_event = |_: &Event<'_>| {};
        let mut dispatcher = Dispatcher::new(parts(log, &mut on_event));
        dispatcher.stop = Some(StopReason::Interrupted);
        let mut job = crate::run::lanes::lane::tests::job();
        job.last = Some((Attempt::local(Failure::new(code, "no")), Duration::ZERO));
        dispatcher.finish(job);
        assert_eq!(dispatcher.spent.judged, records, "{code}");
        drop(dispatcher);
        work.await.unwrap();
    }
}
