//! `replay`: what failed is asked again as the manifest says, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::common::{Action, Fake, Place, SimulatorProcess, answers};

const LOG: &str = "traces.feedback.jsonl";
const MANIFEST: &str = "traces.feedback.run.json";

/// An endpoint that answers this about trace 1 until the flag is set, and gives verdicts otherwise.
fn failing_at_1(failure: fn() -> Action) -> (Fake, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&healed);
    let fake = Fake::start(move |request| match request.trace() {
        1 if !flag.load(Ordering::Relaxed) => failure(),
        _ => answers::verdict(true),
    });
    (fake, healed)
}

fn not_today() -> Action {
    answers::error(424, "invalid_value", "Not today.")
}

fn too_long() -> Action {
    answers::error(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens.")
}

/// The numbers of the traces that were asked about from the `n`th request on.
fn asked_after(fake: &Fake, n: usize) -> Vec<usize> {
    let mut traces: Vec<_> = fake.seen()[n..].iter().map(|request| request.trace()).collect();
    traces.sort_unstable();
    traces
}

fn manifest(place: &Place) -> Value {
    serde_json::from_str(&place.read(MANIFEST)).unwrap()
}

#[test]
fn a_replay_needs_no_other_argument_and_asks_failures_alone() {
    let place = Place::with_traces(4);
    let (fake, healed) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &["-n", "3", "-m", "openai:/some-model"]).run().exits_with(3);
    healed.store(true, Ordering::Relaxed);
    place.write("elsewhere/here.txt", "");
    place.run(["replay", LOG]).exits_with(0).prints(&[
        "4 traces, 1 request ",
        "safety  on openai:/some-model",
        "scored         3  (1 now, 2 before)",
        "missing        1  not in the log, not asked",
    ]);
    assert_eq!(asked_after(&fake, 3), [1]);
    assert_eq!(fake.seen()[3].json()["model"], "some-model");

    let records = place.lines(LOG);
    let history: Vec<_> = records.iter().filter(|record| record["trace_id"] == "trace-1").collect();
    let [error, verdict] = history[..] else { panic!("{history:#?}") };
    assert_eq!(verdict["value"], true);
    assert_eq!(verdict["assessment_id"], error["assessment_id"]);
    assert_eq!(verdict["create_time_ms"], error["create_time_ms"]);
    assert!(verdict["last_update_time_ms"].as_i64() > error["last_update_time_ms"].as_i64());

    place
        .run(["replay", LOG])
        .exits_with(0)
        .prints(&["nothing to replay in traces.feedback.jsonl: no judgment failed"]);
    assert_eq!(fake.count(), 4);
}

#[test]
fn a_replay_works_from_any_folder_with_the_runs_own_judge_and_configuration() {
    let place = Place::with_traces(3);
    place.write("judges/mine.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"\n");
    let fake = Fake::start(|request| match request.number {
        0..3 => not_today(),
        _ => answers::verdict(true),
    });
    let config = format!("model = \"ours:/m\"\n[endpoints.ours]\nbase_url = \"{}\"\n", fake.base_url());
    place.write("judge-run.toml", config);
    place.run(["-d", "traces.jsonl", "-J", "mine", "-o", "out.csv"]).exits_with(4);
    let other = Place::new();
    let log = place.path("out.feedback.jsonl");
    let finished = other.run(["replay".as_ref(), log.as_os_str()]).exits_with(0);
    finished.prints(&["mine  on ours:/m
  scored         3  100.0% true"]);
    assert_eq!((fake.count(), other.names().len()), (6, 0));
    assert_eq!(place.read("out.csv").matches(",true,").count(), 3);
}

#[test]
fn a_failure_that_the_same_request_would_repeat_is_asked_only_by_its_code() {
    let place = Place::with_traces(3);
    let (fake, healed) = failing_at_1(too_long);
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    healed.store(true, Ordering::Relaxed);
    let finished = place.run(["replay", LOG]).exits_with(3);
    finished.prints(&[
        "nothing to replay",
        "1 failure not retried",
        &format!("judge-run replay {LOG} --only CONTEXT_LENGTH_EXCEEDED"),
    ]);
    place.run(["replay", LOG, "--only", "TIMEOUT,REFUSED"]).exits_with(3);
    assert_eq!(fake.count(), 3);
    place.run(["replay", LOG, "--only", "timeout,context_length_exceeded"]).exits_with(0).prints(&["1 request "]);
    assert_eq!(asked_after(&fake, 3), [1]);
    place.run(["replay", LOG, "--only", "timeot"]).exits_with(2).says(&["timeot", "TIMEOUT"]);
}

#[test]
fn another_model_is_asked_what_the_first_one_failed_at_and_has_an_opinion_of_its_own() {
    let place = Place::with_traces(3);
    let (fake, healed) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &["-m", "openai:/small"]).run().exits_with(3);
    healed.store(true, Ordering::Relaxed);
    let replay = || place.run(["replay", LOG, "-m", "openai:/large"]).exits_with(0);
    replay().prints(&["safety  on openai:/large", "scored         1"]);
    replay().prints(&["3 traces, 0 requests"]);
    assert_eq!(asked_after(&fake, 3), [1]);
    let last = place.lines(LOG).pop().unwrap();
    assert_eq!((&last["source"]["source_id"], &last["value"]), (&"openai:/large".into(), &true.into()));

    // The next one goes back to the model of the run.
    place.run(["replay", LOG]).exits_with(0).prints(&["safety  on openai:/small", "(1 now, 2 before)"]);
    assert_eq!(fake.count(), 5);
}

#[test]
fn a_dataset_that_was_moved_is_named_once_and_remembered() {
    let place = Place::with_traces(3);
    let (fake, healed) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    std::fs::rename(place.path("traces.jsonl"), place.path("moved.jsonl")).unwrap();
    let finished = place.run(["replay", LOG]).exits_with(3);
    finished.prints(&["1 failure not retried", "`traces.jsonl` does not exist", "`--dataset FILE`"]);
    let finished = place.run(["replay", LOG, "-d", "moved.jsonl"]).exits_with(3);
    assert!(!finished.stderr.contains("has changed"), "{}", finished.stderr);
    healed.store(true, Ordering::Relaxed);
    place.run(["replay", LOG]).exits_with(0);
    assert_eq!(asked_after(&fake, 3), [1, 1]);
}

#[test]
fn what_no_longer_matches_a_changed_dataset_is_told_and_not_asked() {
    let place = Place::with_traces(4);
    let fake = Fake::start(|request| match request.trace() {
        3 => answers::verdict(true),
        _ => not_today(),
    });
    // The endpoint is proven by the first answer.
    let reversed: Vec<_> = (0..4).rev().map(answers::trace).collect();
    let text = |traces: &[Value]| traces.iter().map(|trace| format!("{trace}\n")).collect::<String>();
    place.write("traces.jsonl", text(&reversed));
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(3);
    let mut changed = reversed[..3].to_vec();
    changed[2]["outputs"] = "Answer number 1, changed.".into();
    place.write("traces.jsonl", text(&changed));
    let command = format!("-J safety -m openai:/gpt-4.1-mini --base-url {} -o {LOG}", fake.base_url());
    place.run(["replay", LOG]).exits_with(3).says(&["traces.jsonl has changed since the run"]).prints(&[
        "2 failures not retried:",
        "1  safety on openai:/gpt-4.1-mini: the prompt, its parameters or the trace changed since\n",
        &command,
        "1  safety on openai:/gpt-4.1-mini: the trace is not in the dataset\n",
        &format!("judge-run replay {LOG} --dataset FILE"),
    ]);
    assert_eq!(asked_after(&fake, 4), [2]);
    place.write("traces.jsonl", text(&[answers::trace(9)]));
    place
        .run(["replay", LOG])
        .exits_with(3)
        .prints(&["3 failures not retried:", "3  safety on openai:/gpt-4.1-mini: the trace is not"]);
    assert_eq!(fake.count(), 5);
}

#[test]
fn a_changed_judge_is_noted() {
    let place = Place::with_traces(2);
    let judge = |question: &str| {
        place.write(
            "mine.toml",
            format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{question} {{{{ outputs }}}}\"\n"),
        );
    };
    let fake = Fake::start(|_| not_today());
    judge("one");
    place.run(["-d", "traces.jsonl", "-J", "mine.toml", "--base-url", &fake.base_url()]).exits_with(4);
    judge("two");
    let finished =
        place.run(["replay", LOG]).exits_with(3).prints(&["2 failures not retried", "the prompt, its parameters"]);
    finished.says(&["mine.toml has changed since the run"]);
    assert_eq!(fake.count(), 2);
}

#[test]
fn the_flags_of_the_run_hold_unless_others_are_given() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::error(500, "x", "Broken."));
    let args = ["--max-retries", "1", "--rpm", "60000", "--extra-body", r#"{"top_k": 1}"#, "--max-errors", "50%"];
    place.judge(&fake.base_url(), &args).run().exits_with(4);
    assert_eq!(fake.count(), 4);
    place.run(["replay", LOG]).exits_with(4);
    assert_eq!(fake.count(), 8);
    place.run(["replay", LOG, "--max-retries", "0", "--rpm", "50000"]).exits_with(4);
    assert_eq!(fake.count(), 10);
    assert!(fake.seen().iter().all(|request| request.json()["top_k"] == 1));
    let plan = &manifest(&place)["plans"][0];
    assert_eq!(plan["policy"]["max_retries"], 1, "{plan:#}");
    assert_eq!(plan["endpoints"][0]["members"][0]["rpm"], 60_000);
    assert_eq!(plan["budget"]["errors"], "50%");
}

#[test]
fn a_dry_replay_sends_and_writes_nothing() {
    let place = Place::with_traces(3);
    let (fake, _) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    let (log, manifest) = (place.read(LOG), place.read(MANIFEST));
    place.run(["replay", LOG, "--dry-run"]).exits_with(0).prints(&[
        "dry run",
        "requests       1\n",
        "skipped        2",
    ]);
    assert_eq!((place.read(LOG), place.read(MANIFEST), fake.count()), (log, manifest, 3));
}

#[test]
fn made_up_verdicts_never_go_by_the_name_of_a_model() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| not_today());
    place.judge(&fake.base_url(), &[]).run().exits_with(4);
    place.run(["replay", LOG, "--simulate"]).exits_with(0).prints(&["safety  on simulated:/"]);
    for record in &place.lines(LOG)[2..] {
        assert!(record["source"]["source_id"].as_str().unwrap().starts_with("simulated:/"), "{record}");
    }
}

#[test]
fn a_replay_may_compact_the_log_when_it_ran_to_its_end() {
    let place = Place::with_traces(3);
    let (fake, healed) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    let replay = |more: &[&str]| place.run(["replay", LOG, "--compact"].iter().chain(more));
    replay(&[]).exits_with(3).prints(&["failed         1", "4 records, 3 kept; dropped: 1 superseded failure, 0"]);
    healed.store(true, Ordering::Relaxed);
    replay(&[]).exits_with(0).prints(&["scored         3", "4 records, 3 kept; dropped: 1 superseded failure, 0"]);
    assert!(place.lines(LOG).iter().all(|record| record["value"] == true));
    replay(&[]).exits_with(0).prints(&["nothing to replay", "3 records, none superseded"]);
    assert_eq!(replay(&["-q"]).exits_with(0).stdout, "");
    replay(&["--dry-run"]).exits_with(2).says(&["--compact", "cannot be used with", "--dry-run"]);
}

#[test]
fn a_replay_that_stopped_early_compacts_nothing() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|request| if request.number == 0 { answers::verdict(true) } else { not_today() });
    place.judge(&fake.base_url(), &["-j", "1"]).run().exits_with(3);
    let finished = place.run(["replay", LOG, "--compact", "--rpd", "4"]).exits_with(4);
    assert!(!finished.stdout.contains("superseded"), "{}", finished.stdout);
    assert_eq!(place.lines(LOG).len(), 4);
}

#[test]
fn a_log_without_its_manifest_or_no_log_at_all_is_refused_with_the_remedy() {
    let place = Place::with_traces(1);
    place.run(["replay", LOG]).exits_with(2).says(&["no log `traces.feedback.jsonl`"]);
    assert_eq!(place.names(), ["traces.jsonl"]);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    std::fs::remove_file(place.path(MANIFEST)).unwrap();
    place.run(["replay", LOG]).exits_with(2).says(&[MANIFEST, "the run's own command retries its failures"]);
}

#[test]
fn a_manifest_of_an_older_version_says_so_and_still_has_its_counts() {
    let place = Place::with_traces(2);
    let (fake, healed) = failing_at_1(not_today);
    place.judge(&fake.base_url(), &[]).run().exits_with(3);
    let mut old = manifest(&place);
    let members = old.as_object_mut().unwrap();
    members.remove("plans");
    members.insert("format".into(), 1.into());
    members.insert("version".into(), "0.1.0".into());
    members.insert("options".into(), serde_json::json!({"simulate": false, "strict": false, "warm_up": false}));
    place.write(MANIFEST, old.to_string());
    place.run(["status", LOG]).exits_with(0).prints(&["2 of 2 judgments"]);
    let refused = place.run(["replay", LOG]).exits_with(2);
    refused.says(&["was written by judge-run 0.1.0", "the run's own command"]);
    healed.store(true, Ordering::Relaxed);
    place.judge(&fake.base_url(), &[]).run().exits_with(0);
    assert_eq!(manifest(&place)["format"], 2);
}

/// A boolean judge with this question.
fn judge_file(place: &Place, name: &str, question: &str) {
    let text = format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{question} {{{{ outputs }}}}\"\n");
    place.write(name, text);
}

/// What the log says of a judge: by trace, whether it has a verdict.
fn verdicts(place: &Place, judge: &str) -> std::collections::BTreeMap<String, bool> {
    let records = place.lines(LOG).into_iter().filter(|record| record["name"] == judge);
    records.map(|record| (record["trace_id"].as_str().unwrap().to_owned(), record.get("value").is_some())).collect()
}

#[test]
fn every_run_over_a_log_is_replayed_as_it_was_set_up() {
    let place = Place::with_traces(3);
    place.write("more.jsonl", (5..8).map(|i| format!("{}\n", answers::trace(i))).collect::<String>());
    judge_file(&place, "first.toml", "First?");
    judge_file(&place, "second.toml", "Second?");
    let healed = Arc::new(AtomicBool::new(false));
    let failing = |traces: [usize; 2]| {
        let healed = Arc::clone(&healed);
        Fake::start(move |request| match traces.contains(&request.trace()) && !healed.load(Ordering::Relaxed) {
            true => answers::error(500, "x", "Broken."),
            false => answers::verdict(true),
        })
    };
    let (a, b) = (failing([1, 2]), failing([0, 6]));
    let run = |dataset: &str, judges: &str, model: &str, fake: &Fake, more: &[&str]| {
        let url = fake.base_url();
        let args = ["-d", dataset, "-J", judges, "-m", model, "--base-url", &url, "-o", LOG, "--max-retries", "0"];
        place.run(args.iter().chain(more)).exits_with(3);
    };
    run("traces.jsonl", "first.toml,second.toml", "a:/m1", &a, &["--extra-body", r#"{"top_k": 1}"#]);
    run("traces.jsonl", "first.toml", "b:/m2", &b, &[]);
    run("more.jsonl", "first.toml", "b:/m2", &b, &[]);
    // The newest run has nothing left to do with the failures of the others.
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", LOG]).exits_with(0);
    assert_eq!(manifest(&place)["plans"].as_array().unwrap().len(), 4);

    let dry = place.run(["replay", LOG, "--dry-run"]).exits_with(0);
    assert_eq!(dry.stdout.matches("dry run").count(), 3, "{}", dry.stdout);
    let (asked_a, asked_b) = (a.count(), b.count());
    healed.store(true, Ordering::Relaxed);
    place.run(["replay", LOG]).exits_with(0);
    let again: Vec<_> =
        a.seen().drain(asked_a..).map(|request| (request.trace(), request.json()["top_k"].as_i64())).collect();
    let mut again_sorted = again.clone();
    again_sorted.sort_unstable();
    assert_eq!(again_sorted, [(1, Some(1)), (1, Some(1)), (2, Some(1)), (2, Some(1))]);
    assert_eq!(asked_after(&b, asked_b), [0, 6]);
    for judge in ["first", "second"] {
        assert!(verdicts(&place, judge).values().all(|has_verdict| *has_verdict), "{judge}");
    }
    assert_eq!(manifest(&place)["plans"].as_array().unwrap().len(), 4);
    place.run(["replay", LOG]).exits_with(0).prints(&["no judgment failed"]);
}

#[test]
fn what_one_run_cannot_retry_holds_up_no_other_and_is_listed() {
    let place = Place::with_traces(3);
    judge_file(&place, "gone.toml", "Gone?");
    judge_file(&place, "secret.toml", "Secret?");
    judge_file(&place, "fine.toml", "Fine?");
    let (fake, healed) = failing_at_1(not_today);
    let run = |judge: &str, more: &[&str]| {
        let url = fake.base_url();
        let args = ["-d", "traces.jsonl", "-J", judge, "-m", "a:/m", "--base-url", &url, "-o", LOG];
        place.run(args.iter().chain(more)).exits_with(3);
    };
    run("gone.toml", &[]);
    run("secret.toml", &["-H", "X-Tenant: s3cret"]);
    run("fine.toml", &[]);
    std::fs::remove_file(place.path("gone.toml")).unwrap();
    // A judge that no run had: its record is another log's.
    let other = place.lines(LOG).into_iter().find(|record| record.get("error").is_some()).unwrap();
    let other = other.to_string().replace("\"gone\"", "\"elsewhere\"");
    place.write(LOG, format!("{}{other}\n", place.read(LOG)));
    healed.store(true, Ordering::Relaxed);
    let asked = fake.count();
    let finished = place.run(["replay", LOG]).exits_with(3);
    assert_eq!(asked_after(&fake, asked), [1]);
    finished.prints(&[
        "3 failures not retried:",
        "1  elsewhere on a:/m: ",
        &format!("judge-run -d FILE -J elsewhere -m a:/m -o {LOG}"),
        "1  gone on a:/m: cannot read the judge file",
        "1  secret on a:/m: the header `X-Tenant` of `a` may be secret",
    ]);
    assert_eq!(verdicts(&place, "fine").len(), 3);
    // With the header, one more.
    let finished = place.run(["replay", LOG, "-H", "X-Tenant: s3cret"]).exits_with(3);
    finished.prints(&["2 failures not retried:"]);
    assert_eq!(asked_after(&fake, asked), [1, 1]);
}

#[test]
fn a_failure_that_fails_again_is_not_asked_again_for_another_dataset() {
    let place = Place::with_traces(3);
    place.write("copy.jsonl", answers::traces(3));
    let (fake, _) = failing_at_1(not_today);
    for dataset in ["traces.jsonl", "copy.jsonl"] {
        let url = fake.base_url();
        let args = ["-d", dataset, "-J", "safety", "-m", "a:/m", "--base-url", &url, "-o", LOG, "--max-retries", "0"];
        place.run(args).exits_with(3);
    }
    let asked = fake.count();
    place.run(["replay", LOG]).exits_with(3);
    assert_eq!(asked_after(&fake, asked), [1]);
}

#[test]
fn a_budget_of_the_command_line_is_that_of_the_replay_as_a_whole() {
    let place = Place::with_traces(4);
    let fake = Fake::start(|_| not_today());
    for judge in ["safety", "relevance"] {
        let url = fake.base_url();
        let args =
            ["-d", "traces.jsonl", "-J", judge, "-m", "a:/m", "--base-url", &url, "-o", LOG, "--max-retries", "0"];
        place.run(args).exits_with(4);
    }
    // 110 tokens for each answer.
    let good = Fake::start(|_| answers::verdict(true));
    let url = good.base_url();
    let finished = place.run(["replay", LOG, "--base-url", &url, "-j", "1", "--max-tokens-total", "200"]).exits_with(4);
    finished.prints(&["not reached before the replay stopped"]);
    assert_eq!(good.count(), 2);
}

#[test]
fn what_may_be_secret_is_not_in_the_manifest_and_has_to_be_said_again() {
    const SECRETS: [&str; 4] = ["k3y-s3cret", "h3ader-s3cret", "u5er-s3cret", "b0dy-s3cret"];
    let place = Place::with_traces(1);
    let fake = Fake::start(|_| not_today());
    let url = fake.base_url().replace("http://", "http://me:u5er-s3cret@");
    let header = format!("X-Tenant: {}", SECRETS[1]);
    let body = format!(r#"{{"api_key": "{}"}}"#, SECRETS[3]);
    let args = ["-H", &header, "--extra-body", &body, "--api-key-env", "MY_KEY"];
    place.judge(&url, &args).env("MY_KEY", SECRETS[0]).run().exits_with(4);
    let text = place.read(MANIFEST);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let manifest = manifest(&place);
    let endpoint = &manifest["plans"][0]["endpoints"][0];
    let member = &endpoint["members"][0];
    assert_eq!(member["base_url"].as_str(), Some(fake.base_url().as_str()));
    let withheld = &endpoint["withheld"];
    assert_eq!(
        (&member["api_key_env"], &withheld["headers"][0], &withheld["extra_body"][0]),
        (&"MY_KEY".into(), &"X-Tenant".into(), &"api_key".into())
    );

    let replay = |more: &[&str]| place.command(["replay", LOG].iter().chain(more)).env("MY_KEY", SECRETS[0]).run();
    replay(&[]).exits_with(3).prints(&[
        "1 failure not retried",
        "the address of `openai` may be secret",
        "`--base-url URL`",
    ]);
    replay(&["--base-url", &url]).exits_with(3).prints(&["the header `X-Tenant` of `openai` may be secret"]);
    replay(&["--base-url", &url, "-H", &header])
        .exits_with(3)
        .prints(&["`api_key` in the request body of `openai` may be"]);
    let without_key =
        place.run(["replay", LOG, "--base-url", &url, "-H", &header, "--extra-body", &body]).exits_with(3);
    without_key.prints(&["1 failure not retried", "MY_KEY", "is not set"]);
    assert_eq!(fake.count(), 1);
    replay(&["--base-url", &url, "-H", &header, "--extra-body", &body]).exits_with(4);
    assert_eq!(fake.count(), 2);
    assert_eq!(fake.seen()[1].header("x-tenant"), Some(SECRETS[1]));
}

#[test]
fn variables_are_for_new_runs_and_fill_in_what_the_manifest_does_not_keep() {
    let place = Place::with_traces(3);
    let (fake, healed) = failing_at_1(not_today);
    let elsewhere = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["-m", "a:/m", "-H", "X-Tenant: s3cret"]).run().exits_with(3);
    healed.store(true, Ordering::Relaxed);
    let replay =
        place.command(["replay", LOG]).env("JUDGE_RUN_MODEL", "b:/m").env("JUDGE_RUN_BASE_URL", elsewhere.base_url());
    let replay = replay.env("JUDGE_RUN_HEADER", "X-Tenant: s3cret").env("JUDGE_RUN_MAX_RETRIES", "0").run();
    replay.exits_with(0).prints(&["safety  on a:/m"]);
    assert_eq!((asked_after(&fake, 3), elsewhere.count()), (vec![1], 0));
    assert_eq!(fake.seen()[3].header("x-tenant"), Some("s3cret"));
}

#[test]
fn what_a_simulator_failed_at_in_a_models_place_is_retried_with_it_or_without_it() {
    let place = Place::with_traces(8);
    let simulator = SimulatorProcess::start(&["--fail", "500=50%"]);
    let args = ["-m", "gpu:/qwen3", "--max-retries", "0", "-o", "log.jsonl"];
    place.judge(&simulator.base_url(), &args).run().exits_with(3);
    let failed = |place: &Place| {
        let lines = place.lines("log.jsonl");
        assert!(lines.iter().all(|record| record["source"]["source_id"] == "simulated:/qwen3"), "{lines:?}");
        let last: HashMap<_, _> = lines.iter().map(|record| (record["trace_id"].to_string(), record)).collect();
        last.values().filter(|record| record["value"].is_null()).count()
    };
    assert!(failed(&place) > 0);
    // A model is never asked because a simulator failed.
    drop(simulator);
    let fake = Fake::start(|_| answers::verdict(true));
    let replay = |more: &[&str]| place.run(["replay", "log.jsonl"].iter().chain(more));
    replay(&["--base-url", &fake.base_url()])
        .exits_with(3)
        .prints(&["the failures are a simulator's, and there is none at ", "--simulate"]);
    assert!(fake.seen().iter().all(|request| !request.line.starts_with("POST")));
    replay(&["--dry-run"]).exits_with(0).prints(&[&format!("requests       {}\n", failed(&place))]);
    // Another one in the same place, which answers.
    let simulator = SimulatorProcess::start(&[]);
    let before = failed(&place);
    replay(&["--base-url", &simulator.base_url()]).exits_with(0).prints(&[&format!("{before} requests")]);
    assert_eq!(failed(&place), 0);
    replay(&[]).exits_with(0).prints(&["nothing to replay"]);
}

#[test]
fn a_simulators_failures_are_retried_without_it() {
    let place = Place::with_traces(4);
    let simulator = SimulatorProcess::start(&["--fail", "500=100%"]);
    let run =
        || place.judge(&simulator.base_url(), &["-m", "gpu:/qwen3", "--max-retries", "0", "-o", "log.jsonl"]).run();
    run().exits_with(4);
    // Once more: they are known, and none is there twice.
    run().exits_with(4);
    drop(simulator);
    place
        .run(["replay", "log.jsonl", "--simulate"])
        .exits_with(0)
        .prints(&["4 traces, 4 requests", "on simulated:/qwen3"]);
    place.run(["status", "log.jsonl"]).prints(&["failed         0"]);
}
