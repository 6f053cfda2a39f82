//! The documents say what the program does: their tables, flags, examples and outputs are compared with the library and the binary.
//!
//! `UPDATE_DOCS=1 cargo test --test e2e docs` writes `docs/errors.md`, `docs/judge.schema.json` and the table of judges anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use judge_run::endpoint::provider::PRESETS;
use judge_run::feedback::{ErrorCode, ErrorTraits, Pause, Retry, StopsAfter};
use judge_run::judge::{described, library, schema};
use serde_json::Value;

use crate::common::SimulatorProcess;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BINARY: &str = env!("CARGO_BIN_EXE_judge-run");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents with links and flags in them.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs/batch.md",
    "docs/SKILL.md",
    "docs/ci.md",
    "docs/code-judges.md",
    "docs/configuration.md",
    "docs/endpoints.md",
    "docs/errors.md",
    "docs/gates.md",
    "docs/intake.md",
    "docs/judge-run.example.toml",
    "docs/judges.md",
    "docs/mlflow.md",
    "docs/people.md",
    "docs/report.md",
    "docs/results.md",
    "docs/review.md",
    "docs/scaling.md",
    "docs/traces.md",
];

/// The documents whose examples are run.
const PAGES: [&str; 11] = [
    "docs/SKILL.md",
    "docs/ci.md",
    "docs/code-judges.md",
    "docs/configuration.md",
    "docs/endpoints.md",
    "docs/gates.md",
    "docs/judges.md",
    "docs/people.md",
    "docs/report.md",
    "docs/results.md",
    "docs/traces.md",
];

/// The fenced blocks of a language, without their fences.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let starts = text.match_indices(&fence).map(|(at, _)| at + fence.len());
    starts.map(|start| &text[start..start + text[start..].find("```").unwrap()]).collect()
}

/// A folder with what the README's examples assume, without any of the machine's own variables.
struct Workshop(tempfile::TempDir);

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("datasets")).unwrap();
        fs::create_dir(path.join("judges")).unwrap();
        for copy in ["datasets/quickstart.jsonl", "traces.jsonl"] {
            fs::write(path.join(copy), read("datasets/quickstart.jsonl")).unwrap();
        }
        fs::create_dir(path.join("logs")).unwrap();
        fs::write(path.join("answers.csv"), "Frage;Antwort\nWarum?;Darum.\n").unwrap();
        let mut log = GzEncoder::new(fs::File::create(path.join("logs/a.jsonl.gz")).unwrap(), Compression::fast());
        log.write_all(b"{\"prompt\": \"Why?\", \"completion\": {\"text\": \"So.\"}}\n").unwrap();
        log.finish().unwrap();
        for (page, judge) in [
            ("README.md", "judges/tone.toml"),
            ("docs/judges.md", "judges/search.toml"),
            ("docs/code-judges.md", "judges/cites.toml"),
            ("docs/code-judges.md", "judges/short.toml"),
        ] {
            fs::write(path.join(judge), example(page, &format!("# {judge}\n"))).unwrap();
        }
        Self(folder)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.0);
        // Windows can open no socket without it.
        command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
        command
    }

    fn judge_run(&self, args: &[&str]) -> Output {
        self.command(BINARY).args(args).output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn help(args: &[&str]) -> String {
    stdout(&Workshop::new().judge_run(&[args, &["--help"]].concat()))
}

/// The page's TOML block that begins with this line.
fn example(page: &str, first_line: &str) -> String {
    let text = read(page);
    let found = blocks(&text, "toml").into_iter().find(|block| block.starts_with(first_line));
    found.unwrap_or_else(|| panic!("{page} has no TOML block {first_line}")).to_owned()
}

/// All `--flags` of a text.
fn flags(text: &str) -> BTreeSet<&str> {
    let of_a_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c: char| !(of_a_flag(c) || c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())))
        .collect()
}

#[test]
fn every_flag_that_the_documents_name_exists() {
    let commands = [
        "simulate",
        "merge",
        "compact",
        "convert",
        "replay",
        "collect",
        "status",
        "report",
        "compare",
        "plan",
        "show",
        "anchors",
        "review",
        "serve-feedback",
        "doctor",
    ];
    let people = ["history", "aggregate", "agreement", "label-plan", "calibrate"];
    let edits = ["add", "reject", "override", "import"].map(|command| help(&["feedback", command])).concat();
    let helps = help(&[])
        + &commands.map(|command| help(&[command])).concat()
        + &people.map(|command| help(&[command])).concat()
        + &edits
        + &["pull", "push", "pull-feedback"].map(|command| help(&["mlflow", command])).concat()
        + &["new", "check", "preview", "test", "attack", "import"].map(|command| help(&["judges", command])).concat()
        + &help(&["batch", "export"])
        + &["push", "pull-feedback"].map(|command| help(&["phoenix", command])).concat();
    let declarations = helps.lines().filter(|line| line.trim_start().starts_with(['-', '[']));
    let known: BTreeSet<_> = declarations.flat_map(|line| flags(line)).collect();
    assert!(known.contains("--dataset") && known.contains("--clear-after") && known.contains("--cacert"));
    // Of cargo and MLflow.
    let others = BTreeSet::from([
        "--backend-store-uri",
        "--release",
        "--locked",
        "--path",
        "--test",
        "--open",
        "--bench",
        "--no-run",
        "--target",
        "--example",
        "--no-default-features",
    ]);
    for document in DOCUMENTS.iter().copied() {
        let text = read(document);
        let unknown: Vec<_> = flags(&text).into_iter().filter(|f| !known.contains(f) && !others.contains(f)).collect();
        assert!(
            unknown.is_empty(),
            "{document} names {unknown:?}, which neither judge-run nor one of its commands has"
        );
    }
}

#[test]
fn help_does_not_show_what_the_header_variable_holds() {
    let workshop = Workshop::new();
    for args in [&["--help"][..], &["-h"], &["check", "--help"], &["replay", "--help"], &["replay", "-h"]] {
        let output = workshop.command(BINARY).args(args).env("JUDGE_RUN_HEADER", "X-Key: sk-secret").output().unwrap();
        let help = stdout(&output);
        assert!(help.contains("--header") && !help.contains("sk-secret"), "{help}");
    }
}

#[test]
fn the_readme_has_the_exit_codes_of_the_help() {
    let help = help(&[]);
    let codes = help.split_once("Exit codes:\n").unwrap().1;
    let rows: String = codes
        .lines()
        .map(|line| line.trim().split_once(' ').unwrap())
        .map(|(code, meaning)| format!("| {code} | {} |\n", meaning.trim()))
        .collect();
    let table = format!("| exit code | |\n| --- | --- |\n{rows}\n");
    assert!(rows.lines().count() > 3 && read("README.md").contains(&table), "README.md should have\n{table}");
}

#[test]
fn the_page_on_endpoints_lists_all_presets() {
    let mut table = "| name | address | key |\n| --- | --- | --- |\n".to_owned();
    for preset in PRESETS {
        let address = match preset.base_url {
            Some(url) => format!("`{url}`"),
            None => "your own, from `AZURE_OPENAI_ENDPOINT`".to_owned(),
        };
        let key = if preset.needs_key { "" } else { ", not needed" };
        writeln!(table, "| `{}` | {address} | `{}`{key} |", preset.name, preset.api_key_env).unwrap();
    }
    table.push('\n');
    assert!(read("docs/endpoints.md").contains(&table), "docs/endpoints.md should have\n{table}");
}

#[test]
fn the_first_command_of_the_readme_prints_what_the_readme_shows() {
    let readme = read("README.md");
    let block = blocks(&readme, "console")[0];
    let (command, shown) = block.split_once('\n').unwrap();
    let args: Vec<_> = command.strip_prefix("$ cargo run -- ").unwrap().split(' ').collect();
    let workshop = Workshop::new();
    let printed = stdout(&workshop.judge_run(&args));
    let untimed = |text: &str| {
        let (head, rest) = text.split_once(" in ").unwrap();
        format!("{head} {}", rest.split_once('\n').unwrap().1)
    };
    assert_eq!(untimed(&printed), untimed(shown));

    let varying = ["create_time_ms", "last_update_time_ms"];
    let varying_metadata = ["latency_ms", "request_id", "run_id"];
    let steady = |text: &str| {
        let mut record: Value = serde_json::from_str(text).unwrap();
        for key in varying {
            assert!(record[key].take().is_u64());
        }
        for key in varying_metadata {
            assert!(record["metadata"][key].take().is_string());
        }
        // The README leaves out the claims one by one.
        for key in ["items", "evidence_missing"] {
            record["metadata"].as_object_mut().unwrap().shift_remove(key);
        }
        record
    };
    let shown = steady(blocks(&readme, "json")[0]);
    let log = fs::read_to_string(workshop.0.path().join("quickstart.feedback.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 25);
    let records: Vec<_> = log.lines().map(steady).collect();
    let same = records.iter().find(|record| record["trace_id"] == shown["trace_id"]).unwrap();
    assert_eq!(*same, shown);
    assert_eq!(
        serde_json::to_string_pretty(same).unwrap(),
        serde_json::to_string_pretty(&shown).unwrap(),
        "the order of keys"
    );
}

/// Runs a script with the binary on the path; commands that would ask a real model are dry runs.
#[cfg(unix)]
fn in_a_shell(folder: &Path, script: &str) -> String {
    let mut path = Path::new(BINARY).parent().unwrap().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let asks_a_model =
        |line: &str| line.starts_with("judge-run -d") && !line.contains("--simulate") && !line.contains("--dry-run");
    let script: Vec<_> =
        script.lines().map(|line| format!("{line}{}", if asks_a_model(line) { " --dry-run" } else { "" })).collect();
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script.join("\n")]).env_clear().env("PATH", &path).current_dir(folder);
    let output = shell.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A reader types them one after the other, from an empty folder; the repository's own files are there where a block uses them.
#[cfg(unix)]
#[test]
fn the_shell_examples_of_the_readme_work_in_order() {
    let readme = read("README.md");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut run = 0;
    for example in blocks(&readme, "sh").into_iter().filter(|example| !example.starts_with("cargo ")) {
        if example.contains("datasets/") && !path.join("datasets").exists() {
            fs::create_dir(path.join("datasets")).unwrap();
            fs::write(path.join("datasets/quickstart.jsonl"), read("datasets/quickstart.jsonl")).unwrap();
        }
        if example.contains("judges/") {
            fs::create_dir_all(path.join("judges")).unwrap();
            fs::write(path.join("judges/tone.toml"), self::example("README.md", "# judges/tone.toml\n")).unwrap();
        }
        in_a_shell(path, example);
        run += 1;
    }
    assert!(run >= 6);
    assert!(path.join("traces.feedback.jsonl").is_file() && path.join("results.csv").is_file());
}

#[cfg(unix)]
#[test]
fn the_shell_examples_of_the_pages_work() {
    let mut run = 0;
    for page in PAGES {
        let text = read(page);
        let workshop = Workshop::new();
        for example in blocks(&text, "sh") {
            in_a_shell(workshop.0.path(), example);
            run += 1;
        }
    }
    assert!(run >= 5);
}

/// What the README shows of failures is what a run prints whose endpoint refuses.
#[test]
fn the_failures_of_the_readme_are_what_a_run_prints() {
    let readme = read("README.md");
    let shown = blocks(&readme, "console").into_iter().find(|block| block.contains("REFUSED")).unwrap();
    let simulator = SimulatorProcess::start(&["--fail", "refusal=10%,500=10%,429=5%", "--latency", "1ms"]);
    let (command, shown) = shown.split_once('\n').unwrap();
    let base_url = simulator.base_url();
    let command = command.replace("http://127.0.0.1:8080/v1", &base_url);
    let args: Vec<_> = command.strip_prefix("$ judge-run ").unwrap().split(' ').collect();
    let output = Workshop::new().judge_run(&args);
    assert_eq!(output.status.code(), Some(3));
    let printed = String::from_utf8(output.stdout).unwrap();
    // Retries depend on what is in flight together.
    let steady = |text: &str| text.split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(steady(&printed), steady(shown));
}

#[test]
fn the_example_configurations_are_read() {
    let workshop = Workshop::new();
    let dry_run = |config: &str, model: &[&str]| {
        fs::write(workshop.0.path().join("judge-run.toml"), config).unwrap();
        let mut command = workshop.command(BINARY);
        command.args(["-d", "traces.jsonl", "-J", "safety", "--dry-run"]).args(model);
        command.envs([("OPENAI_API_KEY", "x"), ("OUR_GPU_KEY", "x"), ("TEAM_TOKEN", "x")]);
        stdout(&command.output().unwrap())
    };
    let example_file = read("docs/judge-run.example.toml");
    let text = dry_run(&example_file, &[]);
    assert!(text.contains("safety  on openai:/gpt-4.1-mini") && text.contains("per minute"), "{text}");
    let text = dry_run(&example_file, &["-m", "our-gpu:/Qwen/Qwen3-8B"]);
    assert!(text.contains("safety  on our-gpu:/Qwen/Qwen3-8B"), "{text}");
    let text = dry_run(&example("docs/configuration.md", "# judge-run.toml\n"), &[]);
    assert!(text.contains("safety  on our-gpu:/Qwen/Qwen3-8B"), "{text}");
}

#[test]
fn the_example_configuration_shows_every_key() {
    let example = read("docs/judge-run.example.toml");
    let workshop = Workshop::new();
    for wrong in ["nonsense = 1", "[endpoints.x]\nnonsense = 1"] {
        fs::write(workshop.0.path().join("judge-run.toml"), wrong).unwrap();
        let output = workshop.judge_run(&["-d", "traces.jsonl", "-J", "safety"]);
        assert_eq!(output.status.code(), Some(2));
        let message = String::from_utf8(output.stderr).unwrap();
        let known = message.split_once("expected one of ").unwrap().1;
        let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        assert!(keys.len() > 2, "{message}");
        for key in keys {
            let shown = |line: &str| {
                line.starts_with(&format!("{key} = "))
                    || line.starts_with(&format!("[{key}."))
                    || line == format!("[{key}]")
            };
            let in_a_table = example.contains(&format!(".{key}]\n"))
                || example.contains(&format!(".{key}."))
                || example.contains(&format!(".{key}]]"));
            assert!(example.lines().any(shown) || in_a_table, "docs/judge-run.example.toml lacks {key}");
        }
    }
}

#[test]
fn links_to_files_lead_somewhere() {
    for document in DOCUMENTS.iter().copied().chain(["datasets/README.md"]) {
        let text = read(document);
        let folder = Path::new(ROOT).join(document).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{document} links to {target}");
            }
        }
    }
}

/// All Rust files below a folder, by their paths from the root.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(rust_files(&path)),
            _ if path.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
    found
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = read("ARCHITECTURE.md");
    let files = [rust_files("src"), rust_files("crates"), rust_files("benches"), rust_files("tests")].concat();
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./".contains(c)));
    let named: BTreeSet<_> =
        words.map(|word| word.trim_end_matches('.')).filter(|word| word.ends_with(".rs")).collect();
    assert!(named.len() > 40);
    for name in named {
        let ending = format!("/{name}");
        assert!(files.iter().any(|file| file == name || file.ends_with(&ending)), "there is no {name}");
    }
}

#[test]
fn each_floor_knows_only_the_floors_below_it() {
    for (floor, below) in [
        ("files", &[][..]),
        ("feedback", &["files"]),
        ("trace", &["feedback"]),
        ("dataset", &["trace", "feedback", "files"]),
        ("endpoint", &["feedback"]),
        ("judge", &["endpoint", "trace", "feedback"]),
        ("people", &["results", "judge", "endpoint", "dataset", "trace", "feedback", "files"]),
        ("results", &["judge", "endpoint", "dataset", "trace", "feedback", "files"]),
        ("batch", &["endpoint", "feedback", "files"]),
        ("run", &["batch", "judge", "endpoint", "dataset", "trace", "feedback", "files"]),
        ("intake", &["feedback"]),
        ("review", &["results", "judge", "dataset", "feedback"]),
        ("servers", &["people", "results", "judge", "endpoint", "feedback", "files"]),
    ] {
        for file in rust_files(&format!("src/{floor}")) {
            let text = read(&file);
            // Tests may look anywhere.
            let code = text.split("#[cfg(test)]").next().unwrap();
            for rest in code.split("crate::").skip(1).filter(|_| !file.ends_with("/tests.rs")) {
                let used = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap();
                // How texts are written as JSON concerns all of them.
                let is_known = used == floor || used == "json_string" || below.contains(&used);
                assert!(is_known, "{file} uses crate::{used}");
            }
        }
    }
}

#[test]
fn the_page_on_errors_has_all_that_is_known_of_every_code() {
    let page = read("docs/errors.md");
    let (head, rows) = page.split_once("| --- |\n").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(ROOT).join("docs/errors.md"), format!("{head}| --- |\n{}", error_rows())).unwrap();
    } else {
        assert_eq!(rows, error_rows(), "UPDATE_DOCS=1 cargo test --test e2e docs writes it anew");
    }
}

#[test]
fn the_library_of_judges_is_listed_with_what_each_needs() {
    let page = read("docs/judges.md");
    let (head, rows) = page.rsplit_once("| --- |\n").unwrap();
    let schema = format!("{:#}\n", schema::of_judge_files());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(ROOT).join("docs/judges.md"), format!("{head}| --- |\n{}", judge_rows())).unwrap();
        fs::write(Path::new(ROOT).join("docs/judge.schema.json"), schema).unwrap();
    } else {
        assert_eq!(rows, judge_rows(), "UPDATE_DOCS=1 cargo test --test e2e docs writes it anew");
        assert_eq!(read("docs/judge.schema.json"), schema, "UPDATE_DOCS=1 cargo test --test e2e docs writes it anew");
    }
}

/// The rows of the table of built-in judges, which ends its page.
fn judge_rows() -> String {
    let mut rows = String::new();
    for (name, _) in library::BUILT_IN {
        let judges = library::find_all(name).unwrap();
        let judge = &judges[0];
        let aliases = library::aliases_of(name);
        let also = if aliases.is_empty() { String::new() } else { format!(" (MLflow's `{}`)", aliases.join("`, `")) };
        let needs: Vec<_> = judge.select.requires().map(|words| format!("`{words}`")).collect();
        let (description, unit) = (judge.file_description(), judge.select.unit());
        let verdict = described::verdict_in_words(&judges);
        writeln!(rows, "| `{name}`{also}: {description} | {unit} | {verdict} | {} |", needs.join(", ")).unwrap();
    }
    rows
}

/// The rows of the page's one table, which ends it.
fn error_rows() -> String {
    let mut rows = String::new();
    for code in ErrorCode::ALL {
        let ErrorTraits { name, meaning, remedy, retry, pause, stops_after, .. } = code.traits();
        let traits = code.traits();
        let mark = if traits.is_unanswered { " †" } else { "" };
        if traits.is_reserved {
            writeln!(rows, "| `{name}` | reserved: {meaning} |  |  |  |  | {remedy} |").unwrap();
            continue;
        }
        let retried = match retry {
            Retry::Never => "never".to_owned(),
            Retry::Times(1) => "once".to_owned(),
            Retry::Times(n) => format!("{n} times"),
            Retry::UpToLimit => "up to `--max-retries`".to_owned(),
            Retry::ReAsk { default: 1 } => "once, or `--re-ask`".to_owned(),
            Retry::ReAsk { default } => format!("{default} times, or `--re-ask`"),
        };
        let waits = match (retry, pause) {
            (Retry::Never, _) => "",
            (_, Pause::Request) => "this judgment",
            (_, Pause::Endpoint) => "the lane",
        };
        let ends = match *stops_after {
            StopsAfter { unproven: None, proven: None } => String::new(),
            StopsAfter { unproven: Some(a), proven: Some(b) } if a == b => after(a),
            StopsAfter { unproven: Some(a), proven: Some(b) } => {
                format!("{}; after a first verdict {}", after(a), after(b))
            }
            StopsAfter { unproven: Some(a), proven: None } => format!("{}, before a first verdict", after(a)),
            StopsAfter { unproven: None, proven: Some(b) } => format!("{}, after a first verdict", after(b)),
        };
        let again = if traits.is_resumable { "yes" } else { "no" };
        writeln!(rows, "| `{name}`{mark} | {meaning} | {retried} | {waits} | {ends} | {again} | {remedy} |").unwrap();
    }
    rows
}

fn after(failures: u8) -> String {
    if failures == 1 { "immediately".to_owned() } else { format!("{failures} in a row") }
}
