//! Help, subcommands, and variables in place of flags.

use crate::common::{Fake, Place, SimulatorProcess, answers};

fn stdout(args: &[&str]) -> String {
    let finished = Place::new().run(args).exits_with(0);
    assert_eq!(finished.stderr, "");
    finished.stdout
}

#[test]
fn the_long_help_is_as_it_was_reviewed() {
    insta::assert_snapshot!(stdout(&["--help"]));
}

#[test]
fn the_short_help_is_as_it_was_reviewed() {
    insta::assert_snapshot!(stdout(&["-h"]));
}

#[test]
fn the_help_of_simulate_is_as_it_was_reviewed() {
    insta::assert_snapshot!(stdout(&["simulate", "--help"]));
}

#[test]
fn the_list_of_judges_is_as_it_was_reviewed() {
    insta::assert_snapshot!(stdout(&["judges"]));
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(stdout(&["--version"]), concat!("judge-run ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(stdout(&["-V"]), stdout(&["--version"]));
}

#[test]
fn every_judge_is_listed_and_printed_as_a_file() {
    let place = Place::new();
    place.write(
        "judges/mine.toml",
        "description = \"My own.\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs }}\"\n",
    );
    place.write("judges/broken.toml", "nonsense");
    let finished = place.run(["judges"]).exits_with(0);
    finished
        .prints(&["safety\n", "· built in", "mine\n    My own.\n", "· judges/mine.toml"])
        .says(&["warning: judges/broken.toml"]);
    let own = place.run(["judges", "mine"]).exits_with(0).stdout;
    assert_eq!(own, place.read("judges/mine.toml"));
    let safety = place.run(["judges", "safety"]).exits_with(0).stdout;
    assert_eq!(safety, include_str!("../../judges/safety.toml"));
    place.run(["judges", "truth"]).exits_with(2).says(&["no judge `truth`"]);
}

#[test]
fn completions_and_the_manual_page_know_the_flags() {
    for (shell, words) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef judge-run"),
        ("fish", "complete -c judge-run"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let script = stdout(&["completions", shell]);
        assert!(script.contains(words) && script.contains("max-retries"), "{shell}");
    }
    let page = stdout(&["man"]);
    assert!(page.starts_with(".ie") && page.contains(".TH judge-run 1") && page.contains("JUDGE_RUN_MAX_RETRIES"));
    Place::new().run(["completions", "cmd"]).exits_with(2).says(&["possible values: bash"]);
}

#[test]
fn variables_stand_for_flags() {
    let place = Place::with_traces(5);
    let fake = Fake::start(|_| answers::verdict(true));
    place.write("my.toml", "max_retries = 1\n");
    place.write("my.env", "TENANT=t1\n");
    let set = [
        ("DATASET", "traces.jsonl"),
        ("JUDGE", "safety,relevance"),
        ("LIMIT", "2"),
        ("STRICT", "true"),
        ("MAX_LINE_BYTES", "5000"),
        ("OUTPUT", "out.jsonl"),
        ("OVERWRITE", "true"),
        ("DRY_RUN", "false"),
        ("MODEL", "mine:/m1"),
        ("BASE_URL", &fake.base_url()),
        ("API_KEY_ENV", "MY_KEY"),
        ("HEADER", "X-Tenant: ${TENANT}"),
        ("CA_CERT", "ca.pem"),
        ("SIMULATE", "false"),
        ("CONCURRENCY", "1"),
        ("RPM", "60000"),
        ("TPM", "60000000"),
        ("TIMEOUT", "30s"),
        ("MAX_RETRIES", "2"),
        ("GRACE", "1s"),
        ("CONFIG", "my.toml"),
        ("ENV_FILE", "my.env"),
        ("QUIET", "true"),
    ];
    let with = |names: &[&str]| {
        let wanted = set.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        wanted.fold(place.command([""; 0]).env("MY_KEY", "key-1"), |command, (name, value)| {
            command.env(&format!("JUDGE_RUN_{name}"), value)
        })
    };
    let finished = with(&[]).run().exits_with(0);
    assert_eq!(finished.stdout, "", "JUDGE_RUN_QUIET");
    assert_eq!(place.lines("out.jsonl").len(), 4, "two traces by two judges");
    let seen = fake.seen();
    assert_eq!(seen.len(), 4);
    for request in &seen {
        assert_eq!((request.header("x-tenant"), request.header("authorization")), (Some("t1"), Some("Bearer key-1")));
        assert_eq!(request.json()["model"], "m1");
    }

    // Flags win.
    let finished = with(&[]).arg("--limit=1").arg("--judge=safety").run().exits_with(0);
    assert_eq!((finished.stdout.as_str(), fake.count(), place.lines("out.jsonl").len()), ("", 5, 1));
}

#[test]
fn switches_take_the_usual_words_from_variables() {
    let place = Place::with_traces(1);
    for (value, is_dry) in [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("", false)] {
        let args = ["-d", "traces.jsonl", "-J", "safety", "--simulate", "--overwrite"];
        let finished = place.command(args).env("JUDGE_RUN_DRY_RUN", value).run().exits_with(0);
        assert_eq!(finished.stdout.contains("dry run"), is_dry, "{value:?}");
    }
}

#[test]
fn an_empty_variable_is_no_variable() {
    let place = Place::with_traces(2);
    let names =
        ["LIMIT", "MODEL", "RPM", "BASE_URL", "OUTPUT", "CONFIG", "HEADER", "DATASET", "JUDGE", "QUIET", "ENV_FILE"];
    let empty = |args: &[&str]| {
        names.iter().fold(place.command(args), |command, name| command.env(&format!("JUDGE_RUN_{name}"), "")).run()
    };
    empty(&["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    empty(&["judges"]).exits_with(0);
    empty(&[]).exits_with(2).says(&["no dataset"]);
}

#[test]
fn a_flag_wins_over_a_variable_that_means_the_opposite() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let simulated = ["-d", "traces.jsonl", "-J", "safety", "--simulate"];
    let run = place.command(simulated).env("JUDGE_RUN_BASE_URL", fake.base_url()).run().exits_with(0);
    assert_eq!(run.prints(&["made up"]).stderr, "");
    assert_eq!(fake.count(), 0);
    for value in ["true", "false"] {
        place.judge(&fake.base_url(), &["--overwrite"]).env("JUDGE_RUN_SIMULATE", value).run().exits_with(0);
    }
    assert_eq!(fake.count(), 4);
    let verbose = place.judge(&fake.base_url(), &["-v", "--overwrite"]).env("JUDGE_RUN_QUIET", "1").run();
    verbose.exits_with(0).prints(&["scored"]);
    // Two flags that exclude each other are a mistake.
    place.judge(&fake.base_url(), &["--simulate"]).run().exits_with(2).says(&["--simulate", "--base-url"]);
    place.judge(&fake.base_url(), &["-q", "-v"]).run().exits_with(2).says(&["--quiet", "--verbose"]);
    assert_eq!(fake.count(), 6);
}

#[test]
fn variables_for_a_run_do_not_disturb_the_other_commands() {
    let place = Place::new();
    let set = |args: &[&str]| {
        let command = place.command(args).env("JUDGE_RUN_MODEL", "ollama:/llama3.2").env("JUDGE_RUN_QUIET", "1");
        command.env("JUDGE_RUN_DATASET", "x.jsonl").env("JUDGE_RUN_JUDGE", "safety").env("JUDGE_RUN_RPM", "60")
    };
    for args in [&["judges"] as &[&str], &["judges", "safety"], &["man"], &["completions", "bash"], &["--version"]] {
        assert!(!set(args).run().exits_with(0).stdout.is_empty(), "{args:?}");
    }
    let simulator = set(&["simulate", "--port", "0"]).start();
    assert!(simulator.first_line().starts_with("http://127.0.0.1:"));
    simulator.signal("INT");
    simulator.finish().exits_with(0);
}

#[test]
fn the_simulator_says_where_it_is_and_that_it_makes_things_up() {
    let simulator = SimulatorProcess::start(&["--latency", "0", "--fail", "500=100%", "--clear-after", "1"]);
    simulator.running.wait_for_stderr("verdicts are made up");
    let place = Place::with_traces(4);
    place.judge(&simulator.base_url(), &[]).run().exits_with(0).prints(&["8 requests (4 retries)"]);
    let stats = simulator.stats();
    assert_eq!((&stats["requests"], &stats["answered"], &stats["faults"]["500"]), (&8.into(), &4.into(), &4.into()));
    let address = simulator.base_url();
    let port = address.trim_end_matches("/v1").rsplit(':').next().unwrap();
    place.run(["simulate", "--port", port]).exits_with(2).says(&["cannot listen on", "--port 0 takes a free port"]);
    place.run(["simulate", "--fail", "never=1%"]).exits_with(2).says(&["there is no fault `never`"]);
}
