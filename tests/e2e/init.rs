//! `judge-run init`, and a configuration file that says everything.

use crate::common::{Fake, Place, answers};

const FILE: &str = "judge-run.toml";

#[test]
fn after_init_the_program_alone_judges_what_the_file_says() {
    let place = Place::with_traces(3);
    place.run(["init", "-d", "traces.jsonl", "-J", "safety,relevance", "--gate", "errors <= 1%"]).exits_with(0);
    let none: [&str; 0] = [];
    let simulated = |place: &Place| place.command(none).env("JUDGE_RUN_SIMULATE", "1").run();
    simulated(&place).exits_with(0).prints(&["3 traces, 6 requests", "relevance  on ", "safety  on ", "errors <= 1%"]);
    assert_eq!(place.lines("traces.feedback.jsonl").len(), 6);
    // The next night, and the part that is typed wins over the file's.
    simulated(&place).exits_with(0).prints(&["0 requests"]);
    place.run(["-J", "safety", "-o", "other.jsonl", "--simulate"]).exits_with(0).prints(&["3 traces, 3 requests"]);
}

#[test]
fn without_arguments_init_writes_a_file_that_runs_as_it_is() {
    let place = Place::new();
    place.run(["init"]).exits_with(0).says(&["wrote judge-run.toml", "judge-run --dry-run"]);
    place.run(["--simulate"]).exits_with(0).prints(&["25 traces, 25 requests", "factual_accuracy"]);
    place.run(["--dry-run"]).exits_with(0).prints(&["25 traces", "openai:/gpt-4.1-mini"]);
}

#[test]
fn what_stands_in_a_file_is_written_as_toml_whatever_it_is() {
    let place = Place::new();
    let name = "a\"b\\c\n'd'.jsonl";
    place.write(name, answers::traces(2).replace("\"inputs\"", "\"in \\\"put\\\"\""));
    place.run(["init", "-d", name, "--map", "inputs=in \"put\"", "-J", "safety", "-m", "e:/a\"b"]).exits_with(0);
    place.run(["--simulate", "-o", "x.jsonl"]).exits_with(0).prints(&["2 traces, 2 requests"]);
}

#[test]
fn init_writes_over_nothing_and_nothing_that_would_not_run() {
    let place = Place::new();
    place.write(FILE, "model = \"ollama:/x\"\n");
    place.run(["init"]).exits_with(2).says(&["`judge-run.toml` exists"]);
    assert_eq!(place.read(FILE), "model = \"ollama:/x\"\n");
    for (args, said) in [
        (&["-J", "safty"] as &[&str], "did you mean `safety`?"),
        (&["--gate", "relevance.pass >= 1"], "no such judge"),
        (&["--gate", "factual_accuracy.mean"], "factual_accuracy.mean"),
        (&["--gate", "no worse than baseline by 0.02"], "--baseline"),
    ] {
        place.run(["init", "new.toml"].iter().chain(args)).exits_with(2).says(&[said]);
    }
    assert_eq!(place.names(), [FILE]);
    place
        .run(["init", "new.toml", "-d", "later/*.jsonl"])
        .exits_with(0)
        .says(&["does not exist yet", "--config new.toml"]);
}

#[test]
fn a_file_without_a_dataset_says_what_it_lacks() {
    let place = Place::with_traces(1);
    let none: [&str; 0] = [];
    place.write(FILE, "judges = [\"safety\"]\n");
    place.run(none).exits_with(2).says(&["no dataset", "judge-run.toml"]);
    place.write(FILE, "dataset = \"traces.jsonl\"\n");
    place.run(none).exits_with(2).says(&["no judge", "judge-run.toml"]);
    let fake = Fake::start(|_| answers::verdict(true));
    place.write(
        FILE,
        format!(
            "dataset = [\"traces.jsonl\"]\njudges = [\"safety\"]\nmodel = \"e:/m\"\n[endpoints.e]\nbase_url = \"{}\"\n",
            fake.base_url()
        ),
    );
    place.run(none).exits_with(0);
    assert_eq!(fake.count(), 1);
}
