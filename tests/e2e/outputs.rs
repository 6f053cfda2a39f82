//! What comes out: files, standard output, and what a terminal or a log would show.

use serde_json::Value;

use crate::common::{Fake, Place, answers};

fn agreeing() -> Fake {
    Fake::start(|_| answers::verdict(true))
}

#[test]
fn csv_has_a_row_for_each_record_and_no_formulas() {
    let place = Place::new();
    let mut lines = answers::traces(3);
    lines.push_str(&answers::trace(3).to_string().replace("\"trace-3\"", "\"=cmd()\""));
    place.write("traces.jsonl", lines);
    let fake = Fake::start(|request| match request.trace() {
        0 => answers::completion(
            "{\"rationale\":\"=HYPERLINK(\\\"http://x\\\"), \\\"quoted\\\"\\nand more\",\"value\":true}",
        ),
        1 => answers::error(424, "invalid_value", "@SUM(1+1)"),
        _ => answers::verdict(false),
    });
    let finished = place.judge(&fake.base_url(), &["-o", "out/../x.csv"]);
    std::fs::create_dir(place.path("out")).unwrap();
    let finished = finished.run().exits_with(3);
    finished.prints(&["feedback in out/../x.csv, from the log out/../x.feedback.jsonl"]);
    let mut reader = csv::Reader::from_path(place.path("x.csv")).unwrap();
    let headers: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    let cell = |trace: &str, column: &str| {
        let row = rows.iter().find(|row| row[0] == *trace).unwrap_or_else(|| panic!("{trace}: {rows:?}"));
        row[headers.iter().position(|header| header == column).unwrap()].to_owned()
    };
    assert_eq!(cell("trace-0", "rationale"), "'=HYPERLINK(\"http://x\"), \"quoted\"\nand more");
    assert_eq!((cell("trace-0", "value"), cell("trace-0", "name")), ("true".to_owned(), "safety".to_owned()));
    assert_eq!(cell("trace-1", "error_code"), "INVALID_REQUEST");
    assert_eq!((cell("trace-1", "error_message"), cell("trace-1", "value")), ("'@SUM(1+1)".to_owned(), String::new()));
    assert_eq!(cell("trace-2", "value"), "false");
    assert_eq!(cell("'=cmd()", "value"), "false");
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '@', '\t', '\r'])));

    // The table is made anew from the log, in which the second run finds the rest.
    let fake = agreeing();
    place.judge(&fake.base_url(), &["-o", "x.csv"]).run().exits_with(0);
    assert_eq!(fake.count(), 1);
    let rows: Vec<_> =
        csv::Reader::from_path(place.path("x.csv")).unwrap().into_records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4, "the error has become a verdict");
}

#[test]
fn a_record_tells_what_it_took() {
    let place = Place::with_traces(1);
    place.judge(&agreeing().base_url(), &[]).run().exits_with(0);
    let record = &place.lines("traces.feedback.jsonl")[0];
    assert_eq!((&record["value"], &record["rationale"]), (&true.into(), &"So it is.".into()));
    let metadata = &record["metadata"];
    for (key, value) in [
        ("attempts", "1"),
        ("input_tokens", "100"),
        ("output_tokens", "10"),
        ("model", "fake-model-2026-01-01"),
        ("request_id", "req-1"),
        ("judge_prompt", "prompts:/safety/2"),
    ] {
        assert_eq!(metadata[key], value, "{key}");
    }
    assert!(metadata["run_id"].as_str().unwrap().starts_with("run-20"), "{metadata}");
    assert!(metadata["latency_ms"].as_str().unwrap().parse::<u64>().is_ok(), "{metadata}");
}

#[test]
fn standard_output_holds_records_and_nothing_else() {
    let place = Place::with_traces(3);
    let fake = agreeing();
    let finished = place.judge(&fake.base_url(), &["-o", "-"]).run().exits_with(0);
    let records: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["name"] == "safety" && record["value"] == true));
    assert_eq!(place.names(), ["traces.jsonl"]);
    finished.says(&["3 traces, 3 requests", "scored         3"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let place = Place::with_traces(50);
    let fake = agreeing();
    let finished =
        place.judge(&fake.base_url(), &["-m", "e:/m", "-o", "-", "-j", "1"]).run_with_closed_stdout().exits_with(0);
    assert_eq!(finished.stderr, "");
    assert!(fake.count() < 50, "nothing more is asked when the reader is gone: {} requests", fake.count());
    let failing = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    let finished = place.judge(&failing.base_url(), &[]).run_with_closed_stdout();
    assert_eq!(finished.code, Some(4), "a summary that is not read does not change the outcome of the run");
    for args in [
        &["--help"] as &[&str],
        &["judges"],
        &["judges", "safety"],
        &["man"],
        &["completions", "zsh"],
        &["-d", "traces.jsonl", "-J", "safety", "--simulate"],
        &["-d", "traces.jsonl", "-J", "safety", "--simulate", "--dry-run"],
    ] {
        let finished = place.command(args).run_with_closed_stdout();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn the_log_is_named_after_the_dataset_and_stands_in_the_current_directory() {
    let place = Place::new();
    place.write("data/2026-10-25.prod.jsonl", answers::traces(1));
    let args = ["-d", "data/2026-10-25.prod.jsonl", "-J", "safety", "--simulate"];
    place.run(args).exits_with(0).prints(&["feedback in 2026-10-25.prod.feedback.jsonl"]);
    assert_eq!(place.names(), ["2026-10-25.prod.feedback.jsonl", "2026-10-25.prod.feedback.run.json", "data"]);
}

#[test]
fn quiet_says_nothing_unless_something_went_wrong() {
    let place = Place::with_traces(2);
    let fake = agreeing();
    let finished = place.judge(&fake.base_url(), &["-q"]).run().exits_with(0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let failing = Fake::start(|_| answers::error(401, "invalid_api_key", "No."));
    let finished = place.judge(&failing.base_url(), &["-q", "--overwrite"]).run().exits_with(4);
    assert_eq!(finished.stdout, "");
    finished.says(&["stopped early", "AUTHENTICATION_ERROR"]);
}

#[test]
fn nothing_from_outside_controls_the_terminal() {
    let place = Place::new();
    let lines = answers::traces(2).replace("trace-1", "trace\\u001b[31m-1\\u0007");
    place.write("traces.jsonl", format!("{lines}{{\"x\\u001b[2Jy\": 1}}\n"));
    let fake = Fake::start(|request| match request.trace() {
        1 => answers::error(400, "bad\u{1b}[0m", "Red: \u{1b}[31malert\u{7}\r\nnext line\u{9b}5n"),
        _ => answers::verdict(true),
    });
    for (name, value) in [("TERM", "xterm-256color"), ("NO_COLOR", "1")] {
        let finished = place.judge(&fake.base_url(), &["-v", "--overwrite"]).env(name, value).run().exits_with(3);
        let finished = finished.says(&["Red:", "alert", "traces.jsonl:3"]).prints(&["1  INVALID_REQUEST"]);
        for text in [&finished.stdout, &finished.stderr] {
            assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
        }
    }
    place.write("notes.jsonl", "\u{1b}[31m\u{9b}31mhello\n");
    for (args, code) in [(["-J", "no\u{9b}31m"], 2), (["-o", "notes.jsonl"], 2), (["--dry-run", "--quiet"], 0)] {
        let finished = place.judge(&fake.base_url(), &args).run().exits_with(code);
        for text in [&finished.stdout, &finished.stderr] {
            assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
        }
    }
}

#[test]
fn a_dry_run_sends_nothing_and_makes_no_file() {
    let place = Place::new();
    place.write("traces.jsonl", format!("{}oops\n{{\"trace_id\": \"bare\", \"inputs\": 1}}\n", answers::traces(3)));
    let fake = agreeing();
    let args = ["--dry-run", "-J", "relevance", "--rpm", "60", "-v"];
    let finished = place.judge(&fake.base_url(), &args).run().exits_with(0);
    finished.prints(&[
        "dry run: nothing will be sent\n\n4 traces",
        "1 line would be rejected:\n  traces.jsonl:4: not JSON",
        "safety  on openai:/gpt-4.1-mini",
        "requests       3",
        "failing        1  cannot be asked; the first: ",
        "relevance  on openai:/gpt-4.1-mini",
        "--- system\nYou review the answers",
        "Answer number 0.",
        "time     at least 6 s with a quota of 60 requests per minute",
    ]);
    assert_eq!((fake.count(), place.names()), (0, vec!["traces.jsonl".to_owned()]));

    // What is judged already would not be asked.
    place.judge(&fake.base_url(), &["-n", "2"]).run();
    let log = place.read("traces.feedback.jsonl");
    let names = place.names();
    let finished = place.judge(&fake.base_url(), &["--dry-run"]).run().exits_with(0);
    finished.prints(&["requests       1", "skipped        2  already in the log"]);
    place.judge(&fake.base_url(), &["--dry-run", "--overwrite"]).run().exits_with(0).prints(&["requests       3"]);
    assert_eq!((place.read("traces.feedback.jsonl"), place.names(), fake.count()), (log, names, 2));
}

#[test]
fn a_pipe_is_no_log_and_the_message_says_what_to_do() {
    let place = Place::with_traces(1);
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    let args = ["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", "pipe"];
    place.run(args).exits_with(2).says(&["`pipe` is a pipe or a device", "`-o - > pipe`"]);
}

#[cfg(unix)]
#[test]
fn links_planted_under_the_names_of_a_runs_files_lead_nowhere() {
    let place = Place::with_traces(2);
    place.write("victim", "precious");
    place.write("x.feedback.jsonl", "{\"name\":\"mine\",\"value\":1}\nnot a record\n");
    for name in [
        "csv.writing",
        "feedback.run.json",
        "feedback.run.json.writing",
        "feedback.jsonl.writing",
        "feedback.jsonl.damaged",
    ] {
        std::os::unix::fs::symlink(place.path("victim"), place.path(&format!("x.{name}"))).unwrap();
    }
    place.judge(&agreeing().base_url(), &["-o", "x.csv"]).run().exits_with(0);
    place.run(["compact", "x.feedback.jsonl"]).exits_with(0);
    assert_eq!(place.read("victim"), "precious");
    assert!(place.read("x.csv").starts_with("trace_id,") && !place.path("x.csv").is_symlink());
}
