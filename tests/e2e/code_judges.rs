//! Judges that ask no model: code and programs.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

/// Traces with an answer and an expectation each; every second one is right.
fn place(n: usize) -> Place {
    let place = Place::new();
    let line = |i: usize| {
        let answer = if i.is_multiple_of(2) { "Paris" } else { "Rome" };
        json!({
            "trace_id": format!("t{i}"), "inputs": {"question": "Capital of France?"}, "outputs": answer,
            "expectations": {"expected_response": "paris."}, "execution_duration_ms": 100 * i,
        })
    };
    place.write("traces.jsonl", (0..n).map(|i| line(i).to_string() + "\n").collect::<String>());
    place
}

fn records(place: &Place) -> Vec<Value> {
    place.lines("traces.feedback.jsonl")
}

#[test]
fn code_judges_need_no_model_and_resume_like_all_others() {
    let place = place(4);
    let args = ["-d", "traces.jsonl", "-J", "exact_match,answer_length,latency,valid_json"];
    // No key, no address, nothing listens anywhere.
    place.run(args).exits_with(0).prints(&["exact_match  on code:/exact_match", "4 traces, 0 requests"]);
    let all = records(&place);
    assert_eq!(all.len(), 16);
    let of = |name: &str| {
        all.iter().filter(|record| record["name"] == name).map(|record| record["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("exact_match"), [true, false, true, false]);
    assert_eq!(
        (of("answer_length"), of("latency")),
        (vec![json!(1); 4], vec![json!(0.0), json!(100.0), json!(200.0), json!(300.0)])
    );
    let record = all.iter().find(|record| record["name"] == "exact_match").unwrap();
    assert_eq!(record["source"], json!({"source_type": "CODE", "source_id": "code:/exact_match"}));
    assert_eq!(
        (&record["metadata"]["judge_prompt"], &record["metadata"]["good"]),
        (&json!("prompts:/exact_match/1"), &json!("true"))
    );
    assert!(record["metadata"].get("attempts").is_none() && record["metadata"].get("response_format").is_none());

    place.run(args).exits_with(0).prints(&["4 traces, 0 requests", "4  already in the log"]);
    assert_eq!(records(&place).len(), 16);
    // Another run takes the verdicts over.
    let reuse = ["--reuse", "traces.feedback.jsonl", "-o", "other.jsonl"];
    place.run(args.iter().chain(&reuse)).exits_with(0);
    assert!(
        place.lines("other.jsonl").iter().all(|record| record["metadata"]["reused_from"] == "traces.feedback.jsonl")
    );
    // A changed trace has a new verdict that overrides the old one.
    let changed = place.read("traces.jsonl").replace("\"outputs\":\"Rome\"", "\"outputs\":\"Paris\"");
    place.write("traces.jsonl", changed);
    place.run(["-d", "traces.jsonl", "-J", "exact_match"]).exits_with(0);
    let overriding: Vec<_> = records(&place).into_iter().filter(|record| record.get("overrides").is_some()).collect();
    assert_eq!(overriding.len(), 2);
    assert!(overriding.iter().all(|record| record["value"] == true));
    place.run(["status", "traces.feedback.jsonl"]).exits_with(0);
}

#[test]
fn reports_gates_and_comparisons_know_code_judges() {
    let place = place(40);
    let args = ["-d", "traces.jsonl", "-J", "exact_match"];
    place.run(args.iter().chain(&["--gate", "exact_match.pass >= 0.9"])).exits_with(1);
    place.run(args.iter().chain(&["--fail-under", "0.4"])).exits_with(0);
    let report = place.run(["report", "traces.feedback.jsonl", "--format", "json"]).exits_with(0).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let judge = &report["judges"][0];
    assert_eq!((&judge["source_type"], &judge["n_scored"]), (&json!("CODE"), &json!(40)));
    assert_eq!(judge["pass"]["estimate"], 0.5);
    place.run(["compare", "traces.feedback.jsonl", "traces.feedback.jsonl"]).exits_with(0).prints(&["exact_match"]);
}

#[test]
fn a_trace_that_lacks_what_is_compared_is_a_failure_once() {
    let place = Place::new();
    place.write("traces.jsonl", "{\"trace_id\":\"t\",\"inputs\":1,\"outputs\":\"x\"}\n{\"trace_id\":\"u\",\"inputs\":1,\"outputs\":\"x\",\"expectations\":{\"expected_response\":\"x\"}}\n");
    place.write("same.toml", "type = \"code\"\n[verdict]\ntype = \"boolean\"\n[code]\ncheck = \"exact_match\"\n");
    let args = ["-d", "traces.jsonl", "-J", "same.toml"];
    place.run(args).exits_with(3);
    place.run(args).exits_with(3);
    let all = records(&place);
    assert_eq!(all.len(), 2);
    let failed = all.iter().find(|record| record["trace_id"] == "t").unwrap();
    assert_eq!(failed["error"]["error_code"], "INPUT_ERROR");
    assert_eq!(failed["error"]["error_message"], "the trace has no `expectations.expected_response`");
}

#[test]
fn code_and_model_judges_stand_in_one_run() {
    let place = place(3);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["-J", "exact_match"]).run().exits_with(0);
    assert_eq!((records(&place).len(), fake.count()), (6, 3));
    place.judge(&fake.base_url(), &["-J", "exact_match", "--dry-run"]).run().exits_with(0).prints(&["computed"]);
    // Standard input is read once, for all lanes.
    let traces = place.read("traces.jsonl");
    let args = ["-d", "-", "-J", "safety,exact_match", "--simulate", "-o", "piped.jsonl"];
    place.command(args).stdin(traces).run().exits_with(0);
    assert_eq!(place.lines("piped.jsonl").len(), 6);
}

#[cfg(unix)]
mod programs {
    use super::*;

    /// A judge whose program is this shell script.
    fn write_judge(place: &Place, script: &str, more: &str) {
        place.write("judge.sh", script);
        let text = format!(
            "type = \"command\"\n[verdict]\ntype = \"boolean\"\ngood = true\n[command]\nrun = [\"sh\", \"judge.sh\"]\n{more}"
        );
        place.write("mine.toml", text);
    }

    /// Answers every line with this, in which ID is its id.
    fn answering(answer: &str) -> String {
        format!(
            "echo started >> starts\nwhile read -r line; do\n  id=${{line#*:\\\"}}; id=${{id%%\\\"*}}\n  echo \"$line\" >> seen\n  {answer}\ndone\necho ended >> ends\n"
        )
    }

    const TRUE: &str = "echo \"{\\\"id\\\":\\\"$id\\\",\\\"value\\\":true,\\\"rationale\\\":\\\"so\\\"}\"";
    const ARGS: [&str; 5] = ["-d", "traces.jsonl", "-J", "./mine.toml", "--allow-commands"];

    #[test]
    fn a_program_is_started_once_asked_line_by_line_and_ended() {
        let place = place(5);
        write_judge(&place, &answering(TRUE), "");
        place.run(ARGS).exits_with(0).prints(&["mine  on command:/mine", "scored         5"]);
        let all = records(&place);
        assert_eq!(all.len(), 5);
        assert_eq!(all[0]["source"], json!({"source_type": "CODE", "source_id": "command:/mine"}));
        assert_eq!((&all[0]["value"], &all[0]["rationale"]), (&json!(true), &json!("so")));
        assert_eq!((place.read("starts"), place.read("ends")), ("started\n".to_owned(), "ended\n".to_owned()));
        let seen = place.lines("seen");
        assert_eq!((&seen[0]["judge"], &seen[0]["trace"]["trace_id"]), (&json!("mine"), &json!("t0")));
        // Nothing is asked twice, until the program's version changes.
        place.run(ARGS).exits_with(0);
        assert_eq!(place.lines("seen").len(), 5);
        let newer = place.read("mine.toml").replace("[verdict]", "version = 2\n[verdict]");
        place.write("mine.toml", newer);
        place.run(ARGS).exits_with(0);
        assert_eq!(place.lines("seen").len(), 10);
    }

    #[test]
    fn a_program_runs_only_where_that_is_allowed() {
        let place = place(1);
        write_judge(&place, &answering(TRUE), "");
        let args = ["-d", "traces.jsonl", "-J", "./mine.toml"];
        place.run(args).exits_with(2).says(&["the judge `mine` runs a program", "--allow-commands"]);
        assert!(!place.path("starts").exists());
        place.write("judge-run.toml", "allow_commands = true\n");
        place.run(args).exits_with(0);
    }

    #[test]
    fn a_program_sees_only_the_variables_that_are_named() {
        let place = place(1);
        let says =
            "echo \"{\\\"id\\\":\\\"$id\\\",\\\"value\\\":true,\\\"rationale\\\":\\\"$NAMED-$OPENAI_API_KEY\\\"}\"";
        write_judge(&place, &answering(says), "env = [\"NAMED\"]\n");
        place.run(ARGS).exits_with(2).says(&["variable NAMED", "is not set"]);
        place.command(ARGS).env("NAMED", "here").env("OPENAI_API_KEY", "sk-secret").run().exits_with(0);
        assert_eq!(records(&place)[0]["rationale"], "here-");
    }

    #[test]
    fn each_failure_of_a_program_is_recorded_and_the_others_are_judged() {
        let place = place(6);
        // By trace: an answer, an exit, a hang, rubbish, a reported error, an invalid value.
        let answer = format!(
            "case \"$line\" in\n  *'\"t1\"'*) echo 'no GPU' >&2; exit 3;;\n  *'\"t2\"'*) exec sleep 600;;\n  *'\"t3\"'*) printf 'loading \\033[2J...\\n';;\n  *'\"t4\"'*) echo \"{{\\\"id\\\":\\\"$id\\\",\\\"error\\\":\\\"no rubric\\\"}}\";;\n  *'\"t5\"'*) echo \"{{\\\"id\\\":\\\"$id\\\",\\\"value\\\":\\\"yes\\\"}}\";;\n  *) {TRUE};;\n  esac"
        );
        write_judge(&place, &answering(&answer), "timeout = 0.5\n");
        place.run(ARGS).exits_with(3);
        let all = records(&place);
        let of = |trace: &str| all.iter().find(|record| record["trace_id"] == trace).unwrap();
        assert_eq!(of("t0")["value"], true);
        for (trace, code, words) in [
            ("t1", "PROGRAM_FAILED", "no GPU"),
            ("t2", "PROGRAM_TIMEOUT", "no answer within 0.5 s"),
            ("t3", "PROGRAM_MALFORMED", "`loading \u{fffd}[2J...`"),
            ("t4", "PROGRAM_ERROR", "no rubric"),
            ("t5", "OUT_OF_RANGE", "true or false"),
        ] {
            let error = &of(trace)["error"];
            assert_eq!(error["error_code"], code, "{error}");
            assert!(error["error_message"].as_str().unwrap().contains(words), "{error}");
        }
        // What crashed, hung or wrote rubbish was asked once more, of a new process.
        let attempts = |trace: &str| of(trace)["metadata"]["attempts"].clone();
        assert_eq!(["t1", "t2", "t3", "t4", "t5"].map(attempts), ["2", "2", "2", "1", "1"]);
        assert!(place.read("starts").lines().count() > 3);
    }

    #[test]
    fn a_program_that_cannot_be_started_ends_its_judge_at_once() {
        let place = place(50);
        write_judge(&place, "", "");
        let nowhere = place.read("mine.toml").replace("\"sh\", \"judge.sh\"", "\"./nowhere\"");
        place.write("mine.toml", nowhere);
        let args = ["-d", "traces.jsonl", "-J", "./mine.toml,exact_match", "--allow-commands"];
        place.run(args).exits_with(4).prints(&["cannot start `./nowhere`"]);
        let all = records(&place);
        assert_eq!(all.iter().filter(|record| record["name"] == "exact_match").count(), 50);
        assert!(all.iter().filter(|record| record["name"] == "mine").count() <= 2);
    }

    #[test]
    fn what_a_program_failed_at_is_replayed() {
        let place = place(3);
        write_judge(
            &place,
            &answering("echo \"{\\\"id\\\":\\\"$id\\\",\\\"error\\\":\\\"busy\\\"}\""),
            "processes = 2\n",
        );
        place.run(ARGS).exits_with(4);
        place.write("judge.sh", answering(TRUE));
        place.run(["replay", "traces.feedback.jsonl"]).exits_with(3).prints(&["runs a program, which is not allowed"]);
        place.run(["replay", "traces.feedback.jsonl", "--allow-commands"]).exits_with(0);
        assert_eq!(records(&place).iter().filter(|record| record["value"] == true).count(), 3);
    }
}

#[test]
fn judges_and_prompts_of_mlflow_become_judge_files() {
    let place = place(1);
    let fixture = |name: &str| format!("{}/tests/fixtures/mlflow/3.17.2/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = fixture("scorer.registered_make_judge.json");
    let import = place.run(["judges", "import", &file, &fixture("prompt.chat.json")]).exits_with(0);
    assert_eq!(import.stdout, "judges/quality_judge.toml\njudges/chat_judge.toml\n");
    import.says(&["note: quality_judge: ", "note: chat_judge: "]);
    place.run(["-d", "traces.jsonl", "-J", "quality_judge,chat_judge", "--simulate"]).exits_with(0);
    place.run(["judges", "import", &file]).exits_with(2).says(&["`judges/quality_judge.toml` exists"]);
    place.write(
        "code.json",
        json!({"scorer": {"serialized_scorer": "{\"name\": \"../x\", \"call_source\": \"1\"}"}}).to_string(),
    );
    place.run(["judges", "import", "code.json"]).exits_with(3).says(&["is Python code"]);
    place.run(["judges", "import", "traces.jsonl"]).exits_with(2).says(&["neither a scorer nor a prompt"]);
}
