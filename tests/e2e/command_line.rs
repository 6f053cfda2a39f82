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
    place.run(["judges", "truth"]).exits_with(2).says(&["unknown judge `truth`", "known: "]);
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
fn a_word_that_is_not_yes_or_no_is_rejected() {
    let place = Place::with_traces(1);
    let run =
        place.command(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).env("JUDGE_RUN_QUIET", "perhaps").run();
    run.exits_with(2).says(&["perhaps"]);
}

#[test]
fn a_misspelt_variable_is_reported() {
    let place = Place::with_traces(1);
    let run = |name: &str| {
        let command = place.command(["-d", "traces.jsonl", "-J", "safety", "--simulate", "--overwrite"]);
        command.env(name, "1").run().exits_with(0)
    };
    run("JUDGE_RUN_CONCURENCY").says(&["warning: ", "JUDGE_RUN_CONCURENCY", "did you mean JUDGE_RUN_CONCURRENCY?"]);
    run("JUDGE_RUN_BUILD_NUMBER_7").says(&["warning: ", "JUDGE_RUN_BUILD_NUMBER_7"]);
    assert_eq!(run("JUDGE_RUN_CONCURRENCY").stderr, "");
    assert_eq!(run("JUDGE_RUN_COMPLETIONS").stderr.matches("warning").count(), 1);
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
    empty(&["-n", "1"]).exits_with(2).says(&["no dataset"]);
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
    place.run(["simulate", "--port", port]).exits_with(2).says(&["cannot listen on", "`--port 0` picks a free port"]);
    place.run(["simulate", "--fail", "never=1%"]).exits_with(2).says(&["never"]);
}

/// What bash offers for the last of these words.
#[cfg(unix)]
fn completed_by_bash(place: &Place, words: &[&str]) -> Vec<String> {
    let script = place.run(["completions", "bash"]).exits_with(0).stdout;
    place.write("completions.bash", script);
    let last = words.len() - 1;
    let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>();
    let test = format!(
        "compopt() {{ :; }}; source ./completions.bash\nfunction=$(complete -p judge-run | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         COMP_WORDS=({}); COMP_CWORD={last}\n$function judge-run {} {}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words[last],
        words[last - 1],
    );
    place.write("test.bash", test);
    let output = std::process::Command::new("bash").arg("test.bash").current_dir(place.path("")).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_options_and_their_values() {
    let place = Place::new();
    place.write("safe.toml", "");
    for (words, offered) in [
        (&["judge-run", "conv"][..], &["convert"][..]),
        (&["judge-run", "convert", "--pre"], &["--present"]),
        (&["judge-run", "convert", "--to", "csv"], &["csv", "csv-wide"]),
        (&["judge-run", "-J", "saf"], &["safety", "safe.toml"]),
        (&["judge-run", "--judge", "groun"], &["groundedness"]),
        (&["judge-run", "-m", "ol"], &["ollama:/"]),
        (&["judge-run", "check", "--model", "open"], &["openai:/", "openrouter:/"]),
        (&["judge-run", "replay", "x.jsonl", "--only", "TIME"], &["TIMEOUT"]),
        (&["judge-run", "--output-format", "ml"], &["mlflow"]),
        (&["judge-run", "--dataset-format", "cs"], &["csv"]),
        (&["judge-run", "simulate", "--headers", "mis"], &["mistral"]),
        (&["judge-run", "judges", "rel"], &["relevance"]),
        (&["judge-run", "man", "stat"], &["status"]),
    ] {
        assert_eq!(completed_by_bash(&place, words), offered, "{words:?}");
    }
}

#[test]
fn other_shells_know_judges_presets_codes_and_formats() {
    for shell in ["zsh", "fish"] {
        let script = stdout(&["completions", shell]);
        for word in ["groundedness", "ollama:/", "CONTEXT_LENGTH_EXCEEDED", "csv-wide", "langfuse"] {
            // Zsh separates parts of a specification by colons.
            let word = if shell == "zsh" { word.replace(":/", "") } else { word.to_owned() };
            assert!(script.contains(&word), "{shell}: {word}");
        }
    }
}

#[test]
fn help_pages_and_completions_name_every_command() {
    let place = Place::new();
    let commands =
        ["replay", "status", "judges", "check", "convert", "merge", "compact", "simulate", "completions", "man"];
    for args in [
        &["-h"][..],
        &["--help"],
        &["man"],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["completions", "fish"],
    ] {
        let shown = stdout(args);
        assert!(commands.iter().all(|command| shown.contains(command)), "{args:?}");
    }
    for command in commands {
        for args in [[command, "--help"], [command, "-h"], ["help", command]] {
            assert!(stdout(&args).contains("Usage: judge-run "), "{args:?}");
        }
        assert!(stdout(&["man", command]).contains(&format!("judge\\-run\\-{command}")), "{command}");
    }
    place.run(["man", "simulat"]).exits_with(2).says(&["unknown command `simulat`", "did you mean `simulate`"]);
}

#[test]
fn without_a_terminal_no_bar_is_drawn() {
    let place = Place::with_traces(2);
    let finished = place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate"]).exits_with(0);
    assert!(finished.stderr.is_empty() && !finished.stdout.contains(['\u{1b}', '\r']), "{finished:?}");
}

#[test]
fn the_first_screen_has_commands_that_work_from_an_empty_folder() {
    let place = Place::new();
    let screen = place.run([""; 0]).exits_with(2).says(&["groundedness"]);
    let first = screen.stderr.lines().find(|line| line.contains("--simulate")).unwrap().trim();
    let args: Vec<_> = first.split(' ').skip(1).collect();
    place.run(&args).exits_with(0).prints(&["25 traces, 25 requests", "feedback in quickstart.feedback.jsonl"]);
    // It resumes, it can be replayed, and a file of the name is a file.
    place.run(&args).exits_with(0).prints(&["25 traces, 0 requests"]);
    let log = place.read("quickstart.feedback.jsonl");
    let failed = log.lines().next().unwrap().replace("\"value\":", "\"error\":{\"error_code\":\"TIMEOUT\"},\"was\":");
    place.write(
        "quickstart.feedback.jsonl",
        log.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>() + &failed + "\n",
    );
    place.run(["replay", "quickstart.feedback.jsonl"]).exits_with(0).prints(&["25 traces, 1 request"]);
    place.write("quickstart", answers::traces(3));
    place.run(["-d", "quickstart", "-J", "safety", "--simulate", "-o", "x.jsonl"]).exits_with(0).prints(&["3 traces"]);
}

#[test]
fn a_terminal_obeys_nothing_in_a_dataset() {
    let place = Place::new();
    let line = "{\"inputs\":{\"question\":\"\\u202eback\"},\"outputs\":\"\\u001b[2J\"}\n{\"k\\u001b[2J\\u202e\":1}\nno\u{1b}[2J\n";
    place.write("odd.jsonl", line);
    place.write("notes.txt", "\u{1b}[2J no log\n");
    let args = ["-d", "odd.jsonl", "-J", "safety", "--simulate"];
    for (more, code) in [(&["--dry-run", "-v"][..], 0), (&[], 3), (&["-o", "notes.txt"], 2)] {
        let finished = place.run(args.iter().chain(more)).exits_with(code);
        for text in [&finished.stdout, &finished.stderr] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        }
    }
}
