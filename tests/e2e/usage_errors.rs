//! Exit code 2: wrong usage, configuration or judge files, or nothing to judge. Nothing is sent and nothing is left behind.

use crate::common::{Fake, Place, answers};

/// An endpoint that nobody should ask.
fn nobody_asks() -> Fake {
    Fake::start(|_| answers::verdict(true))
}

/// Runs a command that must fail with exit code 2, these words on standard error, no request and no further file.
#[track_caller]
fn refused(place: &Place, args: &[&str], words: &[&str]) {
    let fake = nobody_asks();
    let before = place.names();
    let finished = place.command(args).env("JUDGE_RUN_BASE_URL", fake.base_url()).run();
    assert_eq!(finished.exits_with(2).says(words).stdout, "");
    assert_eq!(fake.count(), 0, "nothing is sent");
    assert_eq!(place.names(), before, "nothing is left behind");
}

#[test]
fn without_a_dataset_the_first_command_is_shown() {
    refused(
        &Place::new(),
        &[],
        &["no dataset", "--dataset datasets/quickstart.jsonl --judge factual_accuracy --simulate"],
    );
    refused(&Place::new(), &["--judge", "safety"], &["no dataset"]);
}

#[test]
fn without_a_judge_the_known_ones_are_named() {
    refused(&Place::with_traces(1), &["-d", "traces.jsonl"], &["no judge; name one with --judge", "factual_accuracy"]);
}

#[test]
fn a_judge_that_nobody_knows_is_named_with_those_that_there_are() {
    let args = ["-d", "traces.jsonl", "-J", "truth"];
    refused(&Place::with_traces(1), &args, &["no judge `truth`", "groundedness", "--judge ./my_judge.toml"]);
    let args = ["-d", "traces.jsonl", "-J", "./mine.toml"];
    refused(&Place::with_traces(1), &args, &["cannot read the judge file ./mine.toml"]);
}

#[test]
fn a_dataset_that_is_not_there_is_named() {
    refused(&Place::new(), &["-d", "traces.jsonl", "-J", "safety"], &["no file `traces.jsonl`"]);
    let place = Place::with_traces(1);
    let args = ["-d", "traces.jsonl", "-d", "more.jsonl", "-J", "safety"];
    refused(&place, &args, &["no file `more.jsonl`"]);
}

#[test]
fn what_is_wrong_with_a_judge_file_is_named_with_file_and_field() {
    let place = Place::with_traces(1);
    for (text, words) in [
        ("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"\n[prams]\n", "unknown field `prams`"),
        ("[verdict]\ntype = \"bool\"\n[prompt]\nuser = \"{{ outputs }}\"\n", "unknown variant `bool`"),
        ("[verdict]\ntype = \"integer\"\nmin = 1\n[prompt]\nuser = \"{{ outputs }}\"\n", "needs `max`"),
        ("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs \"\n", "[prompt] user: line 1"),
        ("[verdict\n", "line 1"),
    ] {
        place.write("mine.toml", text);
        refused(&place, &["-d", "traces.jsonl", "-J", "mine.toml"], &["mine.toml", words]);
    }
}

#[test]
fn a_template_with_an_unknown_variable_is_refused_before_anything_is_sent() {
    let place = Place::with_traces(1);
    place.write("mine.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ answer }}\"\n");
    refused(
        &place,
        &["-d", "traces.jsonl", "-J", "mine.toml"],
        &["mine.toml", "no trace has `answer`", "`inputs`, `outputs`, `expectations`"],
    );
}

#[test]
fn without_a_key_three_ways_to_go_on_are_shown() {
    let finished = Place::with_traces(1).run(["-d", "traces.jsonl", "-J", "safety"]).exits_with(2);
    finished.says(&[
        "no API key for openai:/gpt-4.1-mini: OPENAI_API_KEY is not set",
        "export OPENAI_API_KEY=",
        "--base-url http://localhost:11434/v1 --model llama3.2",
        "--simulate",
    ]);
    let finished = Place::with_traces(1).run(["-d", "traces.jsonl", "-J", "safety", "-m", "groq:/x"]).exits_with(2);
    finished.says(&["GROQ_API_KEY is not set"]);
}

#[test]
fn a_key_that_is_named_must_be_there() {
    let args = ["-d", "traces.jsonl", "-J", "safety", "--api-key-env", "MY_KEY"];
    refused(&Place::with_traces(1), &args, &["MY_KEY", "not set"]);
}

#[test]
fn a_flag_that_does_not_exist_is_refused() {
    refused(&Place::new(), &["--judges", "safety"], &["unexpected argument '--judges'", "--judge"]);
    refused(&Place::new(), &["judge"], &["unrecognized subcommand 'judge'"]);
}

#[test]
fn a_dataset_without_a_trace_is_an_error_and_leaves_no_log() {
    for content in ["", "\n \n", "\u{feff}"] {
        let place = Place::new();
        place.write("traces.jsonl", content);
        let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(2);
        finished.prints(&["nothing was judged"]);
        assert_eq!(place.names(), ["traces.jsonl"]);
        place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", "x.csv"]).exits_with(2);
        assert_eq!(place.names(), ["traces.jsonl"], "nor a table");
    }
}

#[test]
fn a_limit_of_nought_judges_nothing() {
    let place = Place::with_traces(2);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-n", "0"]).exits_with(2);
    assert_eq!(place.names(), ["traces.jsonl"]);
}

#[test]
fn a_dataset_of_rejected_lines_alone_is_an_error_that_shows_them() {
    let place = Place::new();
    place.write("traces.jsonl", "nonsense\n[1]\n{\"question\": 1}\n");
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(2);
    finished
        .says(&["traces.jsonl:1:", "traces.jsonl:2:", "traces.jsonl:3:"])
        .prints(&["3 lines rejected", "nothing was judged"]);
    assert_eq!(place.names(), ["traces.feedback.rejects.jsonl", "traces.jsonl"]);
}

#[test]
fn an_unknown_field_of_the_configuration_file_is_named() {
    let place = Place::with_traces(1);
    place.write("judge-run.toml", "[endpoints.mine]\nbase_url = \"http://localhost/v1\"\nkey = \"sk-1\"\n");
    let words = ["judge-run.toml", "line 3", "unknown field `key`", "`api_key_env`"];
    refused(&place, &["-d", "traces.jsonl", "-J", "safety"], &words);
    let args = ["-d", "traces.jsonl", "-J", "safety", "--config", "other.toml"];
    refused(&place, &args, &["cannot read other.toml"]);
}

#[test]
fn an_output_that_would_destroy_something_is_refused() {
    let place = Place::with_traces(1);
    let judge = |output| ["-d", "traces.jsonl", "-J", "safety", "-o", output];
    refused(&place, &judge("traces.jsonl"), &["would write over the dataset traces.jsonl"]);
    refused(&place, &judge("./traces.jsonl"), &["would write over the dataset"]);
    let overwriting = ["-d", "traces.jsonl", "-J", "safety", "--overwrite", "-o", "traces.jsonl"];
    refused(&place, &overwriting, &["would write over the dataset"]);
    place.write("f.jsonl.bak", answers::traces(1));
    let beside = ["-d", "f.jsonl.bak", "-J", "safety", "--overwrite", "-o", "f.jsonl"];
    refused(&place, &beside, &["would write over the dataset f.jsonl.bak"]);
    place.write("notes.jsonl", "{\"mine\": 1}\n");
    refused(&place, &judge("notes.jsonl"), &["notes.jsonl holds no feedback", "mine", "--overwrite"]);
    assert_eq!(place.read("notes.jsonl"), "{\"mine\": 1}\n");
    assert_eq!(place.read("traces.jsonl"), answers::traces(1));
    refused(&place, &judge("x.json"), &["cannot write x.json", "name the output .jsonl (one record a line) or .csv"]);
    refused(&place, &judge("no/such/folder.jsonl"), &["cannot open no/such/folder.jsonl"]);
    refused(&place, &judge("."), &["is a directory"]);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let place = Place::with_traces(1);
    for url in ["localhost:8000/v1", "ftp://localhost/v1", "http://"] {
        let args = ["-d", "traces.jsonl", "-J", "safety", "--base-url", url];
        refused(&place, &args, &[url, "is not an http(s) URL"]);
    }
    let args = ["-d", "traces.jsonl", "-J", "safety", "--base-url", "https://localhost/v1", "--ca-cert", "none.pem"];
    refused(&place, &args, &["cannot use the CA certificates in none.pem"]);
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "nowhere:/m"];
    let finished = place.run(args).exits_with(2);
    finished.says(&["unknown endpoint `nowhere`", "ollama", "[endpoints.nowhere]"]);
}
