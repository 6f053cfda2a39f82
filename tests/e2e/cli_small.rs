//! The command line at its edges: names, secrets, variables, hints, and files that must not be written over.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;

const TRACES: &str = concat!(
    "{\"trace_id\":\"t1\",\"inputs\":{\"question\":\"Capital of France?\"},\"outputs\":\"Paris\"}\n",
    "{\"trace_id\":\"t2\",\"inputs\":{\"question\":\"Capital of Italy?\"},\"outputs\":\"Milan\"}\n",
);

/// A folder of its own, and the binary in it without any variable of ours.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("traces.jsonl", TRACES);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_judge-run"));
        command.env_clear().current_dir(self.folder.path()).args(line.split_whitespace());
        command
    }

    fn run(&self, line: &str) -> Ran {
        ran(&mut self.command(line))
    }
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Ran {
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in {}", self.stderr);
        self
    }

    #[track_caller]
    fn shows(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` in {}", self.stdout);
        self
    }

    #[track_caller]
    fn hides(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// An endpoint that answers each request with a refusal that repeats the request's head; it ends with the process.
fn parrot() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                    break;
                }
                if let Some((name, value)) = line.split_once(':') {
                    let value = value.trim();
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.parse().unwrap();
                    }
                    // Without the scheme, as some servers do.
                    head.push_str(value.rsplit(' ').next().unwrap());
                    head.push(' ');
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let error =
                serde_json::json!({"error": {"message": format!("refused: {head}"), "code": "invalid_api_key"}});
            let error = error.to_string();
            let response = format!(
                "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{error}",
                error.len()
            );
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    (address, thread)
}

#[test]
fn a_dataset_is_never_written_over() {
    let place = Place::new();
    place.write("data.csv", TRACES);
    place.run("-d data.csv -J safety --simulate -o data.csv").ends(2).says("over the dataset data.csv");
    place.run("-d data.csv -J safety --simulate -o data.csv --overwrite").ends(2).says("hint: choose another");
    assert_eq!(place.read("data.csv"), TRACES);
    // The rejects of an earlier run are removed at the start; here they are what is judged.
    place.write("x.rejects.jsonl", TRACES);
    place.run("-d x.rejects.jsonl -J safety --simulate -o x.jsonl").ends(2).says("over the dataset x.rejects.jsonl");
    assert_eq!(place.read("x.rejects.jsonl"), TRACES);
    place.run("-d data.csv -J safety --simulate -o out.csv").ends(0).shows("feedback in out.csv, from the log");
}

#[test]
fn a_judge_is_never_written_over() {
    let place = Place::new();
    let judge = place.run("judges safety").ends(0).stdout;
    place.write("mine.toml", &judge);
    place
        .run("-d traces.jsonl -J mine.toml --simulate -o mine.toml --overwrite")
        .ends(2)
        .says("over the judge mine.toml");
    assert_eq!(place.read("mine.toml"), judge);
}

#[test]
fn a_run_with_nothing_to_judge_exports_no_table() {
    let place = Place::new();
    place.write("empty.jsonl", "");
    let earlier = "trace_id,span_id,name,value,rationale\n";
    place.write("out.csv", earlier);
    place.run("-d empty.jsonl -J safety --simulate -o out.csv").ends(2).shows("the dataset is empty");
    assert_eq!(place.read("out.csv"), earlier);
    assert!(!place.path("out.feedback.jsonl").exists());
}

#[test]
fn a_file_of_somebody_else_is_not_replaced_for_having_the_name() {
    let place = Place::new();
    place.write("mine.csv", "a,b\n1,2\n");
    place.run("-d traces.jsonl -J safety --simulate -o mine.csv").ends(2).says("judge-run did not write");
    assert_eq!(place.read("mine.csv"), "a,b\n1,2\n");
    place.write("f.rejects.jsonl", "{\"inputs\": 1}\n");
    place.run("-d traces.jsonl -J safety --simulate -o f.jsonl").ends(2).says("judge-run did not write");
    assert_eq!(place.read("f.rejects.jsonl"), "{\"inputs\": 1}\n");
    // Its own it replaces.
    place.write("bad.jsonl", "no trace\n{\"inputs\": 1, \"outputs\": 2}\n");
    for _ in 0..2 {
        place.run("-d bad.jsonl -J safety --simulate -o g.jsonl").ends(3);
    }
    assert!(place.read("g.rejects.jsonl").contains("no trace"));
}

#[test]
fn a_dry_run_needs_no_key() {
    Place::new().run("-d traces.jsonl -J safety -m openai:/m --dry-run").ends(0).shows("nothing is sent");
}

#[test]
fn the_summary_comes_before_a_table_that_cannot_be_written() {
    let place = Place::new();
    // The table is written beside and then moved; a folder is in the way of the first.
    fs::create_dir(place.path("out.csv.writing")).unwrap();
    place
        .run("-d traces.jsonl -J safety --simulate -o out.csv")
        .ends(4)
        .shows("scored         2")
        .shows("feedback in out.feedback.jsonl")
        .says("cannot write out.csv");
}

#[test]
fn no_secret_of_a_header_or_an_address_reaches_terminal_or_log() {
    let (address, _thread) = parrot();
    let place = Place::new();
    let run = |base_url: &str, header: &str| {
        let mut command =
            place.command("-d traces.jsonl -J safety -m e:/m -o out.jsonl --overwrite --max-retries 0 -v");
        command.args(["--base-url", base_url, "-H", header]).env("TOKEN", "tok-1234567890");
        let ran = ran(&mut command).ends(4).shows("next: the same command");
        assert!(place.read("out.jsonl").contains("[redacted]"), "{}", place.read("out.jsonl"));
        for secret in ["tok-123", "sk-literal", "hunter2hunter2", "aHVudGVyMm"] {
            assert!(!place.read("out.jsonl").contains(secret), "{}", place.read("out.jsonl"));
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{} {}", ran.stdout, ran.stderr);
        }
        ran
    };
    run(&format!("http://{address}/v1"), "Authorization: Bearer sk-literal")
        .shows("-H 'Authorization: ...'")
        .shows("--base-url http://127.0.0.1");
    run(&format!("http://{address}/v1"), "X-Auth: Bearer ${TOKEN}").shows("-H 'X-Auth: Bearer ${TOKEN}'");
    run(&format!("http://user:hunter2hunter2@{address}/v1?api=1"), "X-Other: value-of-it")
        .shows(&format!("--base-url 'http://...@{address}/v1?...'"));
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    Place::new()
        .run("-d traces.jsonl -J safety -m e:/m --base-url ftp://user:hunter2@h/v1")
        .ends(2)
        .says("`ftp://...@h/v1`")
        .hides("hunter2");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_unicode_is_judged_like_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"tr\xffaces.jsonl");
    if fs::write(Path::new(place.folder.path()).join(name), TRACES).is_err() {
        return; // Some file systems take no such name.
    }
    let mut command = place.command("-J safety --simulate");
    ran(command.arg("-d").arg(name))
        .ends(0)
        .shows("scored         2")
        .shows("feedback in tr\u{fffd}aces.feedback.jsonl");
}

#[test]
fn boolean_variables_take_the_usual_words() {
    let place = Place::new();
    let run = |name: &str, value: &str| {
        let mut command = place.command("-d traces.jsonl -J safety --dry-run");
        ran(command.env("JUDGE_RUN_SIMULATE", "1").env(name, value))
    };
    for value in ["1", "true", "yes", "on", "0", "false", "no", "off", ""] {
        run("JUDGE_RUN_QUIET", value).ends(0);
        run("JUDGE_RUN_STRICT", value).ends(0);
        run("JUDGE_RUN_OVERWRITE", value).ends(0);
    }
    run("JUDGE_RUN_QUIET", "perhaps").ends(2).says("perhaps");
    // A variable that is empty is none, whatever its type.
    run("JUDGE_RUN_LIMIT", "").ends(0).shows("2 traces");
}

#[test]
fn a_flag_wins_over_a_variable_and_only_two_flags_conflict() {
    let place = Place::new();
    let run = |line: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(&format!("-d traces.jsonl -J safety --dry-run {line}"));
        ran(command.envs(variables.iter().copied()))
    };
    let elsewhere = ("JUDGE_RUN_BASE_URL", "http://127.0.0.1:1/v1");
    run("--simulate", &[elsewhere]).ends(0).shows("on simulated:/judge");
    run("--base-url http://127.0.0.1:1/v1 -m e:/m", &[("JUDGE_RUN_SIMULATE", "1")]).ends(0).shows("on e:/m");
    run("", &[elsewhere, ("JUDGE_RUN_SIMULATE", "1")]).ends(0).shows("on simulated:/judge");
    run("--simulate --base-url http://127.0.0.1:1/v1", &[]).ends(2).says("--simulate cannot be used with --base-url");
    run("--simulate -v", &[("JUDGE_RUN_QUIET", "1")]).ends(0).shows("--- user");
    run("--simulate -q", &[("JUDGE_RUN_VERBOSE", "1")]).ends(0).hides("--- user");
    run("--simulate -q -v", &[]).ends(2).says("--quiet cannot be used with --verbose");
}

#[test]
fn variables_of_a_run_do_not_disturb_other_commands() {
    let place = Place::new();
    let variables = [("JUDGE_RUN_DATASET", "traces.jsonl"), ("JUDGE_RUN_QUIET", "1"), ("JUDGE_RUN_SIMULATE", "1")];
    ran(place.command("judges").envs(variables)).ends(0).shows("factual_accuracy");
}

#[test]
fn a_terminal_obeys_nothing_that_stands_in_a_dataset() {
    let place = Place::new();
    let line = "{\"inputs\":{\"question\":\"\\u202eback\"},\"outputs\":\"\\u001b[2J\"}\n{\"k\\u001b[2J\\u202e\":1}\nno\u{1b}[2J\n";
    place.write("odd.jsonl", line);
    let dry = place.run("-d odd.jsonl -J safety --simulate --dry-run -v").ends(0).hides("\u{1b}").hides("\u{202e}");
    dry.shows("\\u{1b}[2J").shows("2 lines would be rejected").says("`k [2J` (1x)");
    place
        .run("-d odd.jsonl -J safety --simulate")
        .ends(3)
        .hides("\u{1b}")
        .hides("\u{202e}")
        .says("warning: odd.jsonl:2");
    place.write("notes.txt", "\u{1b}[2J no log\n");
    place.run("-d traces.jsonl -J safety --simulate -o notes.txt").ends(2).hides("\u{1b}").says("holds no feedback");
}

#[test]
fn durations_have_a_measure() {
    let place = Place::new();
    let run = |line: &str| place.run(&format!("-d traces.jsonl -J safety --simulate {line}")).ends(2);
    run("--grace 1e19").says("`1e19` is longer than a year");
    run("--timeout 0").says("`0` leaves no time at all");
    place.write("judge-run.toml", "[endpoints.e]\nbase_url = \"http://127.0.0.1:1/v1\"\ntimeout = 0\n");
    place.run("-d traces.jsonl -J safety -m e:/m").ends(2).says("no time at all");
}

#[test]
fn another_tools_fields_are_told_with_our_names() {
    let place = Place::new();
    place.write(
        "other.jsonl",
        &"{\"inputs\":\"q\",\"output\":\"a\",\"expected\":\"a\",\"color\":1,\"n\":1}\n".repeat(3),
    );
    let said = |ran: Ran| {
        ran.says("note: `output` (3x) is no field of a trace; did you mean `outputs`?")
            .says("note: `expected` (3x) is no field of a trace; did you mean `expectations`?")
            .says("note: not read, because a trace has no such fields: `color` (3x), `n` (3x)")
    };
    said(place.run("-d other.jsonl -J safety --simulate"));
    said(place.run("-d other.jsonl -J safety --simulate --dry-run -o none.jsonl"));
    place.run("-d other.jsonl -J safety --simulate --overwrite -q").hides("did you mean");
    place.write("alien.jsonl", "{\"input\":\"q\",\"output\":\"a\",\"id\":1}\n");
    place
        .run("-d alien.jsonl -J safety --simulate")
        .ends(2)
        .says("`input` (1x) is no field of a trace; did you mean `inputs`?")
        .says("did you mean `trace_id`?")
        .shows("nothing was judged: the only line of the dataset is no trace");
}

#[test]
fn a_file_as_an_argument_is_answered_with_the_flag() {
    let place = Place::new();
    place.write("traces", TRACES);
    place.run("missing.jsonl -J safety").ends(2).says("to judge a dataset: --dataset missing.jsonl");
    place.run("traces").ends(2).says("to judge a dataset: --dataset traces");
    place.run("mine.toml").ends(2).says("to ask a judge: --judge mine.toml");
    place.run("simulat").ends(2).says("'simulate'").hides("--dataset simulat");
}

#[test]
fn a_limit_of_zero_is_told_from_an_empty_dataset() {
    let place = Place::new();
    place.write("empty.jsonl", "\n\n");
    place.run("-d traces.jsonl -J safety --simulate --limit 0").ends(2).says("--limit 0 selects no trace");
    place.run("-d empty.jsonl -J safety --simulate").ends(2).shows("nothing was judged: the dataset is empty");
    place
        .run("-d empty.jsonl -J safety --simulate --dry-run")
        .ends(2)
        .says("error: there is nothing to judge: the dataset is empty");
}

#[test]
fn made_up_and_real_verdicts_in_one_log_are_noted() {
    let place = Place::new();
    let (address, _thread) = parrot();
    place.run("-d traces.jsonl -J safety --simulate").ends(0).hides("note:");
    let real = format!("-d traces.jsonl -J safety -m e:/m --base-url http://{address}/v1 --max-retries 0");
    place.run(&real).ends(4).says("note: traces.feedback.jsonl holds made-up verdicts of --simulate as well");
    place.run(&format!("{real} --overwrite")).ends(4).hides("made-up");
    // Failures alone are no verdicts to be kept apart.
    place.run("-d traces.jsonl -J safety --simulate").ends(0).hides("made-up verdicts go to");
    let log = place.read("traces.feedback.jsonl").lines().last().unwrap().replace("simulated:/judge", "openai:/m");
    place.write("traces.feedback.jsonl", &format!("{log}\n"));
    place.run("-d traces.jsonl -J safety --simulate").says("note: made-up verdicts go to traces.feedback.jsonl beside");
}

#[test]
fn a_dry_run_tells_time_and_cost_before_anything_is_paid() {
    let place = Place::new();
    place.write(
        "judge-run.toml",
        "[endpoints.e]\nbase_url = \"http://127.0.0.1:1/v1\"\nrpm = 1\n[endpoints.e.prices.m]\ninput = 1000.0\noutput = 1.0\n",
    );
    let dry = place.run("-d traces.jsonl -J safety -J relevance -m e:/m --dry-run").ends(0);
    dry.shows("\ne:/m\n  time     at least 4 min 0 s with a quota of 1 requests a minute\n  cost     about ")
        .shows(" for the prompts, and at most 0.0082 for the answers");
    assert!(!place.path("traces.feedback.jsonl").exists());
}

#[test]
fn help_pages_and_completions_name_every_command() {
    let place = Place::new();
    let commands = ["simulate", "judges", "completions", "man"];
    for line in ["-h", "--help", "man", "completions bash", "completions zsh", "completions fish"] {
        let shown = place.run(line).ends(0).stdout;
        assert!(commands.iter().all(|command| shown.contains(command)), "{line}");
    }
    for command in commands {
        place.run(&format!("{command} --help")).ends(0).shows("Usage: judge-run ");
        place.run(&format!("{command} -h")).ends(0).shows("Usage: judge-run ");
        place.run(&format!("help {command}")).ends(0).shows("Usage: judge-run ");
        place.run(&format!("man {command}")).ends(0).shows(&format!("judge\\-run\\-{command}"));
    }
    place.run("simulate --help").shows("malformed").shows("error200");
    place.run("man nothing").ends(2).says("no command `nothing`");
    place.run("-V").ends(0).shows("judge-run 0.");
}

#[test]
fn elsewhere_than_on_a_terminal_no_bar_is_drawn() {
    let place = Place::new();
    let ran = place.run("-d traces.jsonl -J safety --simulate").ends(0).hides("\u{1b}").hides("\r");
    assert_eq!(ran.stderr, "");
}
