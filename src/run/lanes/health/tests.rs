//! Tests of what an endpoint's failures mean.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const MAX_PAUSE: Duration = Duration::from_secs(300);

fn health(proven: bool) -> Health {
    Health::new(proven, MAX_PAUSE, 4, MINUTE)
}

fn failure(code: ErrorCode) -> Failure {
    Failure::new(code, "no")
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

/// One attempt after the other fails; returns after how many the endpoint is given up, of at most `max`. `is_final` is whether each failure
/// is final for its judgment.
async fn given_up_after(health: &mut Health, code: ErrorCode, is_final: bool, max: u32) -> Option<(u32, GivenUp)> {
    for n in 1..=max {
        let failure = Failure::new(code, if n % 2 == 0 { "even" } else { "odd" });
        pass(Duration::from_millis(1)).await;
        let sent = Instant::now();
        pass(Duration::from_millis(1)).await;
        health.failed(&failure, Some(sent), false);
        if let Some(reason) = health.given_up(&failure, is_final) {
            return Some((n, reason));
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn every_code_stops_an_endpoint_as_its_row_says() {
    for &code in ErrorCode::ALL {
        let stops = code.traits().stops_after;
        for (proven, limit) in [(false, stops.unproven), (true, stops.proven)] {
            let given_up = given_up_after(&mut health(proven), code, false, 30).await;
            let refused = given_up.map(|(n, reason)| {
                assert!(matches!(&reason, GivenUp::Refused { code: c, .. } if *c == code), "{reason:?}");
                n
            });
            assert_eq!(refused, limit.map(u32::from), "{code}, proven: {proven}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_proves_an_endpoint_and_ends_what_was_in_a_row() {
    let mut health = health(false);
    assert!(!health.is_proven());
    // One short of the three of an unproven endpoint.
    assert_eq!(given_up_after(&mut health, ErrorCode::ConnectionError, false, 2).await, None);
    health.succeeded();
    assert!(health.is_proven());
    assert_eq!(given_up_after(&mut health, ErrorCode::AuthenticationError, false, 2).await, None);
    health.succeeded();
    let given_up = given_up_after(&mut health, ErrorCode::AuthenticationError, false, 9).await;
    assert_eq!(given_up.map(|(n, _)| n), Some(3));
}

#[tokio::test(start_paused = true)]
async fn another_code_begins_a_new_row() {
    let mut health = health(false);
    for code in [ErrorCode::ConnectionError, ErrorCode::MalformedResponse].repeat(5) {
        assert_eq!(given_up_after(&mut health, code, false, 1).await, None, "never three in a row");
    }
    assert_eq!(given_up_after(&mut health, ErrorCode::MalformedResponse, false, 9).await.map(|(n, _)| n), Some(2));
}

#[tokio::test(start_paused = true)]
async fn failures_of_requests_in_flight_together_are_one_sign() {
    let mut health = health(true);
    let failure = failure(ErrorCode::ServerError);
    let sent = Instant::now();
    pass(MINUTE).await;
    for _ in 0..20 {
        assert!(!health.failed(&failure, Some(sent), false), "all were sent before the first came back");
    }
    let mut broken = Vec::new();
    for _ in 2..=6 {
        pass(Duration::from_millis(1)).await;
        broken.push(health.failed(&failure, Some(Instant::now()), false));
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(broken, [false, false, false, true, true], "the fifth in a row opens the circuit");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_sent_as_the_last_failure_came_back_was_in_flight_with_it() {
    let mut health = health(false);
    let failure = failure(ErrorCode::MalformedResponse);
    for _ in 0..5 {
        health.failed(&failure, Some(Instant::now()), false);
    }
    assert_eq!(health.given_up(&failure, false), None, "no time passed");
    // Nothing is known about requests that were never sent: each is a separate sign.
    for _ in 0..2 {
        health.failed(&failure, None, false);
    }
    assert!(matches!(health.given_up(&failure, false), Some(GivenUp::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_circuit_opens_only_for_a_proven_endpoint_and_only_for_what_may_pass() {
    let fifth_opens = async |proven, code| {
        let mut health = health(proven);
        let mut broken = false;
        for _ in 0..5 {
            pass(Duration::from_millis(1)).await;
            broken = health.failed(&failure(code), Some(Instant::now()), false);
            pass(Duration::from_millis(1)).await;
        }
        broken
    };
    assert!(fifth_opens(true, ErrorCode::ServerError).await);
    assert!(fifth_opens(true, ErrorCode::ConnectionError).await);
    assert!(!fifth_opens(false, ErrorCode::ServerError).await);
    assert!(!fifth_opens(true, ErrorCode::Timeout).await, "it is not retried without limit");
    assert!(!fifth_opens(true, ErrorCode::Refused).await);
}

#[tokio::test(start_paused = true)]
async fn a_harmless_failure_is_no_sign() {
    let mut health = health(false);
    let failure = failure(ErrorCode::ConnectionError);
    for _ in 0..10 {
        pass(Duration::from_millis(1)).await;
        health.failed(&failure, Some(Instant::now()), true);
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(health.given_up(&failure, false), None);
    assert_eq!(given_up_after(&mut health, ErrorCode::ConnectionError, false, 9).await.map(|(n, _)| n), Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_ends_it_whatever_its_code() {
    let mut health = health(true);
    let fatal = Failure { fatal: true, ..failure(ErrorCode::ServerError) };
    assert_eq!(
        health.given_up(&fatal, false),
        Some(GivenUp::Refused { code: ErrorCode::ServerError, message: "no".into() })
    );
    assert_eq!(health.given_up(&failure(ErrorCode::ServerError), false), None);
}

#[tokio::test(start_paused = true)]
async fn a_proven_endpoint_that_cannot_be_found_has_a_passing_trouble() {
    let fatal = |code| Box::new(Failure { fatal: true, retryable: Some(false), ..failure(code) });
    let unproven = health(false).in_context(fatal(ErrorCode::ConnectionError));
    assert!(unproven.fatal && !unproven.may_retry());
    let proven = health(true).in_context(fatal(ErrorCode::ConnectionError));
    assert!(!proven.fatal && proven.may_retry());
    assert_eq!(proven.pause_scope(), Pause::Endpoint);
    assert!(health(true).in_context(fatal(ErrorCode::AuthenticationError)).fatal, "a wrong key stays wrong");
    let passing = Box::new(failure(ErrorCode::ConnectionError));
    assert_eq!(health(true).in_context(passing.clone()), passing);
}

#[tokio::test(start_paused = true)]
async fn twenty_unanswered_judgments_in_a_row_are_an_outage() {
    let given_up = given_up_after(&mut health(true), ErrorCode::Timeout, true, 30).await;
    let Some((20, GivenUp::Outage { judgments: 20, code: ErrorCode::Timeout, message, .. })) = given_up else {
        panic!("{given_up:?}");
    };
    assert_eq!(message, "even");
    // Attempts that are repeated are not judgments yet.
    assert_eq!(given_up_after(&mut health(true), ErrorCode::Timeout, false, 50).await, None);
    // Answers without a verdict are answers.
    assert_eq!(given_up_after(&mut health(true), ErrorCode::UnparseableVerdict, true, 50).await, None);
    let mut wide = Health::new(true, MAX_PAUSE, 16, MINUTE);
    assert_eq!(given_up_after(&mut wide, ErrorCode::Timeout, true, 50).await.map(|(n, _)| n), Some(32));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_verdict_ends_an_outage_all_the_same() {
    let mut health = health(true);
    assert_eq!(given_up_after(&mut health, ErrorCode::Timeout, true, 19).await, None);
    assert_eq!(given_up_after(&mut health, ErrorCode::OutOfRange, true, 1).await, None);
    assert_eq!(given_up_after(&mut health, ErrorCode::Timeout, true, 19).await, None);
    health.succeeded();
    assert_eq!(given_up_after(&mut health, ErrorCode::Timeout, true, 19).await, None);
    assert!(given_up_after(&mut health, ErrorCode::Timeout, true, 1).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quarter_of_an_hour_without_an_answer_is_an_outage() {
    let outage = |health: &mut Health| {
        let failure = failure(ErrorCode::Overloaded);
        health.failed(&failure, Some(Instant::now()), false);
        health.given_up(&failure, false)
    };
    let mut health = health(true);
    assert_eq!(outage(&mut health), None);
    pass(MAX_OUTAGE - Duration::from_secs(1)).await;
    assert_eq!(outage(&mut health), None);
    pass(Duration::from_secs(1)).await;
    let Some(GivenUp::Outage { lasting, judgments: 0, .. }) = outage(&mut health) else { panic!("no outage") };
    assert_eq!(lasting, MAX_OUTAGE);
    health.succeeded();
    assert_eq!(outage(&mut health), None, "the clock begins anew");
    // No endpoint is given up before two of its slowest answers could have come.
    let mut slow = Health::new(true, MAX_PAUSE, 4, MAX_OUTAGE);
    assert_eq!(outage(&mut slow), None);
    pass(2 * MAX_OUTAGE - Duration::from_secs(1)).await;
    assert_eq!(outage(&mut slow), None);
    pass(Duration::from_secs(1)).await;
    assert!(outage(&mut slow).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answered_and_always_says_the_same_is_hopeless() {
    let attempts = |health: &mut Health, code, n: u32, message: fn(u32) -> String| {
        let failures = (0..n).map(|n| Failure::new(code, &message(n)));
        failures.for_each(|failure| _ = health.failed(&failure, None, false));
        let last = Failure::new(code, &message(n));
        (health.given_up(&last, false).is_some(), health.given_up(&last, true).is_some())
    };
    let same = |n| format!("model requires {n}.8 GiB, id req-{n}");
    let code = ErrorCode::ServerError;
    assert_eq!(attempts(&mut health(false), code, 7, same), (false, false));
    assert_eq!(attempts(&mut health(false), code, 8, same), (false, true), "only once a judgment ended so");
    assert_eq!(attempts(&mut health(true), code, 8, same), (false, false), "it has answered before");
    assert_eq!(attempts(&mut health(false), ErrorCode::Overloaded, 8, same), (false, false), "load passes");
    assert_eq!(attempts(&mut health(false), ErrorCode::Timeout, 8, same), (false, false));
    let other = |n: u32| ["first", "second"][n as usize % 2].to_owned();
    assert_eq!(attempts(&mut health(false), code, 12, other), (false, false), "it says one thing and another");
    let mut health = health(false);
    attempts(&mut health, code, 5, other);
    assert_eq!(attempts(&mut health, code, 7, same), (false, false), "what was said before does not count");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_obeyed_up_to_the_longest_that_the_run_waits() {
    let mut health = health(true);
    let asks = |seconds, code| Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(code) };
    let rate = |seconds| asks(seconds, ErrorCode::RateLimitExceeded);
    assert_eq!(health.pause(&rate(300)), Some(MAX_PAUSE));
    assert_eq!(health.pause(&rate(301)), None);
    assert_eq!(health.pause(&failure(ErrorCode::RateLimitExceeded)), None);
    assert_eq!(health.pause(&Failure { concurrency_limit: true, ..rate(9) }), None, "waiting does not help");
    assert!(!health.asks_too_long(&rate(300)) && health.asks_too_long(&rate(301)));
    assert!(!health.asks_too_long(&failure(ErrorCode::RateLimitExceeded)));
    assert!(!health.asks_too_long(&asks(301, ErrorCode::ServerError)), "only this judgment waits");
    assert!(!health.asks_too_long(&Failure { retryable: Some(false), ..rate(301) }), "it is not retried");
    assert_eq!(health.given_up(&rate(300), false), None);
    assert_eq!(
        health.given_up(&rate(301), false),
        Some(GivenUp::AsksTooLong {
            code: ErrorCode::RateLimitExceeded,
            message: "no".into(),
            wait: Duration::from_secs(301),
            max: MAX_PAUSE
        })
    );
}
