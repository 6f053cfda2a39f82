//! Exit code 2: wrong usage, configuration or judge files, or nothing to judge. Nothing is sent and nothing is left behind.

use crate::common::{Fake, Place, answers};

/// An endpoint that must not be asked.
fn never_asked() -> Fake {
    Fake::start(|_| answers::verdict(true))
}

/// Runs a command that must fail with exit code 2, these words on standard error, no request and no further file.
#[track_caller]
fn refused(place: &Place, args: &[&str], words: &[&str]) {
    let fake = never_asked();
    let before = place.names();
    let finished = place.command(args).env("JUDGE_RUN_BASE_URL", fake.base_url()).run();
    assert_eq!(finished.exits_with(2).says(words).stdout, "");
    assert_eq!(fake.count(), 0, "nothing is sent");
    assert_eq!(place.names(), before, "nothing is left behind");
}

#[test]
fn without_a_dataset_the_first_command_is_shown() {
    let first = "judge-run --dataset quickstart --judge factual_accuracy --simulate";
    refused(&Place::new(), &[], &[first]);
    refused(&Place::new(), &["--judge", "safety"], &["no dataset", first]);
}

#[test]
fn without_a_judge_the_known_ones_are_named() {
    refused(&Place::with_traces(1), &["-d", "traces.jsonl"], &["no judge", "`--judge`", "factual_accuracy"]);
}

#[test]
fn an_unknown_judge_is_named_with_the_known_ones() {
    let args = ["-d", "traces.jsonl", "-J", "truth"];
    refused(&Place::with_traces(1), &args, &["unknown judge `truth`", "groundedness", "--judge ./my_judge.toml"]);
    let args = ["-d", "traces.jsonl", "-J", "saftey"];
    refused(&Place::with_traces(1), &args, &["unknown judge `saftey`", "did you mean `safety`?"]);
    let args = ["-d", "traces.jsonl", "-J", "./mine.toml"];
    refused(&Place::with_traces(1), &args, &["cannot read the judge file `./mine.toml`", "caused by: No such file"]);
    let args = ["-d", "traces.jsonl", "-J", "safety", "relevance"];
    refused(&Place::with_traces(1), &args, &["'relevance'", "--judge safety,relevance"]);
}

#[test]
fn a_dataset_that_is_not_there_is_named() {
    refused(&Place::new(), &["-d", "traces.jsonl", "-J", "safety"], &["`traces.jsonl`"]);
    let place = Place::with_traces(1);
    let args = ["-d", "traces.jsonl", "-d", "more.jsonl", "-J", "safety"];
    refused(&place, &args, &["`more.jsonl`"]);
}

#[test]
fn what_is_wrong_with_a_judge_file_is_named_with_file_and_field() {
    let place = Place::with_traces(1);
    for (text, words) in [
        (
            "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"\n[prams]\n",
            "mine.toml:5:2: unknown key `prams`",
        ),
        (
            "[verdict]\ntype = \"bool\"\n[prompt]\nuser = \"{{ outputs }}\"\n",
            "mine.toml:2:8: invalid value for `verdict.type`, expected one of `boolean`",
        ),
        ("[verdict]\ntype = \"integer\"\nmin = 1\n[prompt]\nuser = \"{{ outputs }}\"\n", "requires `max`"),
        ("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs \"\n", "mine.toml:4:12: syntax error"),
        ("[verdict\n", "mine.toml:1:"),
    ] {
        place.write("mine.toml", text);
        refused(&place, &["-d", "traces.jsonl", "-J", "mine.toml"], &["mine.toml", words]);
    }
}

#[test]
fn a_template_with_an_unknown_variable_is_refused_before_anything_is_sent() {
    let place = Place::with_traces(1);
    place.write("mine.toml", "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ reply }}\"\n");
    refused(
        &place,
        &["-d", "traces.jsonl", "-J", "mine.toml"],
        &["mine.toml", "no trace has `reply`", "`inputs`, `outputs`, `expectations`"],
    );
}

#[test]
fn without_a_key_three_alternatives_are_shown() {
    let finished = Place::with_traces(1).run(["-d", "traces.jsonl", "-J", "safety"]).exits_with(2);
    finished.says(&[
        "no API key for openai:/gpt-4.1-mini: OPENAI_API_KEY is not set",
        "export OPENAI_API_KEY=",
        "-m ollama:/llama3.2",
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
    refused(&Place::new(), &["--workers", "4"], &["unexpected argument '--workers'", "--concurrency"]);
    let finished = Place::new().run(["--min-score", "0.9"]).exits_with(2).says(&["unexpected argument '--min-score'"]);
    assert!(!finished.stderr.contains("--filter"), "{}", finished.stderr);
    for args in [&["--api-key", "sk-s3cret"][..], &["--api-key=sk-s3cret"], &["check", "--key", "sk-s3cret"]] {
        let finished = Place::new().run(args).exits_with(2).says(&["OPENAI_API_KEY"]);
        assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
    }
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
    let words = ["judge-run.toml:3:1: unknown key `endpoints.mine.key`", "`api_key_env = "];
    refused(&place, &["-d", "traces.jsonl", "-J", "safety"], &words);
    let args = ["-d", "traces.jsonl", "-J", "safety", "--config", "other.toml"];
    refused(&place, &args, &["cannot read the configuration file `other.toml`"]);
}

#[test]
fn an_output_that_would_destroy_something_is_refused() {
    let place = Place::with_traces(1);
    let judge = |output| ["-d", "traces.jsonl", "-J", "safety", "-o", output];
    refused(&place, &judge("traces.jsonl"), &["refusing to overwrite the dataset `traces.jsonl`"]);
    refused(&place, &judge("./traces.jsonl"), &["refusing to overwrite the dataset"]);
    let overwriting = ["-d", "traces.jsonl", "-J", "safety", "--overwrite", "-o", "traces.jsonl"];
    refused(&place, &overwriting, &["refusing to overwrite the dataset"]);
    place.write("f.jsonl.bak", answers::traces(1));
    let beside = ["-d", "f.jsonl.bak", "-J", "safety", "--overwrite", "-o", "f.jsonl"];
    refused(&place, &beside, &["refusing to overwrite the dataset `f.jsonl.bak`"]);
    place.write("notes.jsonl", "{\"mine\": 1}\n");
    refused(&place, &judge("notes.jsonl"), &["`notes.jsonl` is not a feedback log", "mine", "--overwrite"]);
    assert_eq!(place.read("notes.jsonl"), "{\"mine\": 1}\n");
    assert_eq!(place.read("traces.jsonl"), answers::traces(1));
    refused(
        &place,
        &judge("x.json"),
        &["cannot write `x.json`", "name the output .jsonl (one record per line) or .csv"],
    );
    refused(&place, &judge("traces.jsonl/x.jsonl"), &["cannot open `traces.jsonl/x.jsonl`"]);
    refused(&place, &judge("."), &["is a directory"]);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let place = Place::with_traces(1);
    for url in ["localhost:8000/v1", "ftp://localhost/v1", "http://"] {
        let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "e:/m", "--base-url", url];
        refused(&place, &args, &[url, "is not an http(s) URL"]);
    }
    let args = ["-d", "traces.jsonl", "-J", "safety", "--base-url", "https://localhost/v1", "--ca-cert", "none.pem"];
    refused(&place, &args, &["cannot use the CA certificates in none.pem"]);
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "nowhere:/m"];
    let finished = place.run(args).exits_with(2);
    finished.says(&["unknown endpoint `nowhere`", "ollama", "[endpoints.nowhere]"]);
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "-m", "antropic:/claude"]).exits_with(2);
    finished.says(&["did you mean `anthropic`?"]);
}

#[test]
fn the_notations_of_other_tools_for_models_are_corrected() {
    let place = Place::with_traces(1);
    for (model, meant) in [
        ("openai/gpt-4o-mini", "`openai:/gpt-4o-mini`"),
        ("openai:gpt-4o-mini", "`openai:/gpt-4o-mini`"),
        ("anthropic/claude-sonnet-4", "`anthropic:/claude-sonnet-4`"),
    ] {
        refused(&place, &["-d", "traces.jsonl", "-J", "safety", "-m", model], &["did you mean", meant]);
        place.write(
            "mine.toml",
            format!("model = \"{model}\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{{{ outputs }}}}\"\n"),
        );
        refused(&place, &["-d", "traces.jsonl", "-J", "mine.toml"], &["mine.toml:1:9: invalid value for `model`"]);
    }
}

#[test]
fn neither_a_judge_nor_anything_else_that_is_read_is_written_over() {
    let place = Place::with_traces(1);
    let safety = place.run(["judges", "safety"]).exits_with(0).stdout;
    place.write("mine.toml", &safety);
    let args = ["-d", "traces.jsonl", "-J", "mine.toml", "--overwrite", "-o", "mine.toml"];
    refused(&place, &args, &["refusing to overwrite the judge `mine.toml`"]);
    assert_eq!(place.read("mine.toml"), safety);
    place.write("data.csv", answers::traces(1));
    refused(
        &place,
        &["-d", "data.csv", "-J", "safety", "-o", "data.csv"],
        &["refusing to overwrite the dataset `data.csv`", "hint: choose another"],
    );
    // The rejects of an earlier run are removed at the start; here they are what is judged.
    place.write("x.rejects.jsonl", answers::traces(1));
    refused(
        &place,
        &["-d", "x.rejects.jsonl", "-J", "safety", "-o", "x.jsonl"],
        &["refusing to overwrite the dataset `x.rejects.jsonl`"],
    );
    // What another program wrote is not replaced because of its name.
    place.write("mine.csv", "a,b\n1,2\n");
    refused(&place, &["-d", "traces.jsonl", "-J", "safety", "-o", "mine.csv"], &["judge-run did not write"]);
    place.write("f.rejects.jsonl", "{\"inputs\": 1}\n");
    refused(&place, &["-d", "traces.jsonl", "-J", "safety", "-o", "f.jsonl"], &["judge-run did not write"]);
    // Its own file it replaces.
    place.write("bad.jsonl", format!("not a trace\n{}", answers::traces(1)));
    for _ in 0..2 {
        place.run(["-d", "bad.jsonl", "-J", "safety", "--simulate", "-o", "g.jsonl"]).exits_with(3);
    }
    assert!(place.read("g.rejects.jsonl").contains("not a trace"));
}

#[test]
fn durations_are_above_zero_and_at_most_a_year() {
    let place = Place::with_traces(1);
    let args = ["-d", "traces.jsonl", "-J", "safety", "-m", "e:/m"];
    let with = |more: &[&'static str]| [&args[..], more].concat();
    refused(&place, &with(&["--grace", "1e19"]), &["invalid duration `1e19`, expected at most a year"]);
    refused(&place, &with(&["--timeout", "0"]), &["invalid duration `0`, expected more than 0"]);
    place.write("judge-run.toml", "[endpoints.e]\ntimeout = 0\n");
    refused(
        &place,
        &args,
        &["judge-run.toml:2:11: invalid value for `endpoints.e.timeout`, expected a duration above 0"],
    );
}

#[test]
fn a_file_or_a_judge_in_the_place_of_a_command_is_answered_with_the_option() {
    let place = Place::with_traces(1);
    place.write("traces", answers::traces(1));
    refused(&place, &["missing.jsonl", "-J", "safety"], &["to judge a dataset: --dataset missing.jsonl"]);
    refused(&place, &["traces"], &["to judge a dataset: --dataset traces"]);
    refused(&place, &["mine.toml"], &["to ask a judge: --judge mine.toml"]);
    let finished = place.run(["simulat"]).exits_with(2).says(&["'simulate'"]);
    assert!(!finished.stderr.contains("--dataset simulat"), "{}", finished.stderr);
}

#[test]
fn a_limit_of_zero_and_an_empty_dataset_are_told_apart() {
    let place = Place::with_traces(2);
    place.write("empty.jsonl", "\n\n");
    let judge = ["-J", "safety", "--simulate"];
    let run = |more: &[&'static str]| place.run([&judge[..], more].concat()).exits_with(2);
    run(&["-d", "traces.jsonl", "--limit", "0"]).says(&["`--limit 0` selects no trace"]);
    run(&["-d", "empty.jsonl"]).prints(&["nothing was judged: the dataset is empty"]);
    run(&["-d", "empty.jsonl", "--dry-run"]).says(&["nothing to judge: the dataset is empty"]);
    // A table of an earlier run stays.
    let earlier = "trace_id,span_id,name,value,rationale\n";
    place.write("out.csv", earlier);
    run(&["-d", "empty.jsonl", "-o", "out.csv"]);
    assert_eq!(place.read("out.csv"), earlier);
    assert!(!place.names().contains(&"out.feedback.jsonl".to_owned()));
}
