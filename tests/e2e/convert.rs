//! `judge-run convert` and `--output-format`: every form from every other, and what is reported where one has no place for something.

use serde_json::{Value, json};

use crate::common::{Fake, Place, answers};

/// Every kind of record: all types of values, errors, people and programs, spans, metadata, texts that try a table.
fn records() -> String {
    let values = [
        json!(true),
        json!("true"),
        json!(null),
        json!("null"),
        json!(-0.5),
        json!("-0.5"),
        json!(4),
        json!(4.0),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!("=cmd()"),
        json!("'=cmd()"),
        json!(["a", 1, {"b": null}]),
        json!({"b": 1, "a": "\u{2028}"}),
    ];
    let more = [
        json!({"value": "ok", "rationale": "=1\r\n\"so\",\u{2028}é🦀", "metadata": {"attempts": "1", "k": "=v\n"}}),
        json!({"value": "ok", "rationale": ""}),
        json!({"error": {"error_code": "TIMEOUT", "error_message": "-late", "stack_trace": "a\n  b"}}),
        json!({"error": {"error_code": "Foreign"}}),
        json!({"value": true, "error": {"error_code": "BOTH", "error_message": ""}}),
        json!({"value": 1, "span_id": "00f1", "name": "@judge"}),
        json!({"value": 1, "source": {"source_type": "HUMAN", "source_id": "+kim"}}),
        json!({"value": 1, "source": {"source_type": "CODE"}}),
        json!({"value": 1, "valid": false}),
        json!({"value": 2, "overrides": format!("a-{:032x}", 22)}),
    ];
    let all = values.into_iter().map(|value| json!({ "value": value })).chain(more);
    let lines = all.enumerate().map(|(i, own)| {
        let of = |key: &str| own.get(key).cloned();
        let mut record = json!({"assessment_id": format!("a-{i:032x}"), "name": of("name").unwrap_or(json!("j"))});
        let source = of("source").unwrap_or(json!({"source_type": "LLM_JUDGE", "source_id": "e:/m"}));
        let times = (json!(1_795_451_679_330_u64 + i as u64), json!(1_795_451_679_999_u64));
        let trace = json!(format!("t{i}"));
        for (key, value) in [
            ("value", of("value")),
            ("rationale", of("rationale")),
            ("source", Some(source)),
            ("error", of("error")),
            ("metadata", of("metadata")),
            ("create_time_ms", Some(times.0)),
            ("last_update_time_ms", Some(times.1)),
            ("trace_id", Some(trace)),
            ("span_id", of("span_id")),
            ("overrides", of("overrides")),
            ("valid", of("valid")),
        ] {
            if let Some(value) = value {
                record[key] = value;
            }
        }
        format!("{record}\n")
    });
    lines.collect()
}

fn verdict(id: u8, more: Value) -> String {
    let mut record = json!({"assessment_id": format!("a-{id:032x}"), "name": "j", "value": id, "source":
        {"source_type": "LLM_JUDGE", "source_id": "e:/m"}, "create_time_ms": 1, "last_update_time_ms": 1, "trace_id": "t"});
    if let (Value::Object(record), Value::Object(more)) = (&mut record, more) {
        record.extend(more);
    }
    format!("{record}\n")
}

#[test]
fn jsonl_mlflow_and_csv_are_made_from_each_other_and_nothing_is_lost() {
    let place = Place::new();
    let log = records();
    place.write("log.jsonl", &log);
    for (from, to) in [
        ("log.jsonl", "a.mlflow.jsonl"),
        ("a.mlflow.jsonl", "b.csv"),
        ("b.csv", "c.jsonl"),
        ("c.jsonl", "d.csv"),
        ("d.csv", "e.mlflow.jsonl"),
        ("e.mlflow.jsonl", "f.jsonl"),
    ] {
        let finished = place.run(["convert", from, to]).exits_with(0);
        assert_eq!(finished.stderr, "", "{from} -> {to}");
        finished.prints(&[&format!("24 records in {from}, 24 records in {to} (")]);
    }
    for same in ["c.jsonl", "f.jsonl"] {
        assert_eq!(place.read(same), log, "{same}");
    }
    assert_eq!(
        (place.read("d.csv"), place.read("e.mlflow.jsonl")),
        (place.read("b.csv"), place.read("a.mlflow.jsonl"))
    );
    let wire = &place.lines("a.mlflow.jsonl")[0];
    assert_eq!((&wire["assessment_name"], &wire["feedback"]["value"]), (&json!("j"), &json!(true)));
    assert_eq!((&wire["create_time"], &wire["valid"]), (&json!("2026-11-23T16:34:39.330Z"), &json!(true)));
    let mut reader = csv::Reader::from_path(place.path("b.csv")).unwrap();
    for cell in reader.records().flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()) {
        assert!(cell == "-0.5" || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
    assert_eq!(place.read("log.jsonl"), log);
}

#[test]
fn json_lines_keep_history_and_a_table_tells_what_it_has_not() {
    let place = Place::new();
    let log = verdict(1, json!({"value": null, "error": {"error_code": "TIMEOUT"}})).replace("\"value\":null,", "")
        + &verdict(1, json!({}))
        + &verdict(2, json!({"overrides": format!("a-{:032x}", 1), "metadata": {"k": "v"}}));
    place.write("log.jsonl", &log);
    place.run(["convert", "log.jsonl", "x.mlflow.jsonl"]).exits_with(0);
    place.run(["convert", "x.mlflow.jsonl", "same.jsonl"]).exits_with(0);
    assert_eq!(place.lines("same.jsonl"), place.lines("log.jsonl"));
    let history = "(1 record): superseded records";
    place.run(["convert", "log.jsonl", "x.csv"]).exits_with(0).says(&[history]);
    let finished = place.run(["convert", "log.jsonl", "now.jsonl", "--present"]).exits_with(0).says(&[history]);
    finished.prints(&["3 records in log.jsonl, 2 records in now.jsonl (jsonl)"]);
    place.run(["convert", "x.csv", "from-table.jsonl"]).exits_with(0);
    assert_eq!(place.read("from-table.jsonl"), place.read("now.jsonl"));
    let now = place.lines("now.jsonl");
    assert_eq!((&now[0]["valid"], &now[1]["valid"]), (&json!(false), &Value::Null));
    let finished = place.run(["convert", "log.jsonl", "x.wide.csv"]).exits_with(0);
    finished.prints(&["3 records in log.jsonl, 1 row in x.wide.csv (csv-wide)"]).says(&[
        history,
        "(1 record): records that are not valid",
        "(1 record): ids, times",
        "(1 record): metadata",
    ]);
    assert_eq!(place.read("x.wide.csv"), "trace_id,j__e_m,j__e_m__error_code,j__e_m__rationale\nt,2,,\n");
}

#[test]
fn standard_input_and_output_take_every_form() {
    let place = Place::new();
    let log = records();
    let csv = place.command(["convert", "-", "-", "--to", "csv"]).stdin(log.as_bytes()).run().exits_with(0);
    let csv = csv.says(&["24 records in standard input, 24 records in standard output (csv)"]).stdout;
    let back = place.command(["convert", "-", "-", "--to", "jsonl"]).stdin(csv.clone()).run().exits_with(0);
    assert_eq!(back.stdout, log);
    place.command(["convert", "-", "x.wide.csv", "--from", "csv"]).stdin(csv).run().exits_with(0);
    assert_eq!(place.read("x.wide.csv").lines().next().unwrap().matches("__error_code").count(), 4);
    place
        .command(["convert", "-", "-", "--to", "csv"])
        .stdin("")
        .run()
        .exits_with(0)
        .prints(&["trace_id,span_id,name"]);
    place.command(["convert", "-", "-"]).run().exits_with(2).says(&["cannot infer the format", "--to"]);
    place.write("log.jsonl", log.repeat(100));
    let closed = place.command(["convert", "log.jsonl", "-", "--to", "mlflow"]).run_with_closed_stdout();
    assert_eq!((closed.code, closed.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_is_no_feedback_is_named_and_the_rest_is_converted() {
    let place = Place::new();
    let expectation = r#"{"assessment_name":"e","expectation":{"value":1}}"#;
    let enveloped = r#"{"assessment":{"assessment_name":"w","feedback":{"value":1}}}"#;
    let log = format!("{}oops\n\n{{\"inputs\":1}}\n{expectation}\n{enveloped}\n{{\"name\":\"to", verdict(1, json!({})));
    place.write("log.jsonl", log);
    for out in ["x.mlflow.jsonl", "x.csv", "x.wide.csv"] {
        place
            .run(["convert", "log.jsonl", out])
            .exits_with(3)
            .prints(&["2 records in", "4 lines of log.jsonl skipped"])
            .says(&[
                "log.jsonl:2: not a feedback record: expected value at column 1",
                "log.jsonl:4: not a feedback record: missing field `name`",
                "log.jsonl:5: the assessment is an expectation, not feedback",
                "log.jsonl:7: not a feedback record: EOF",
            ]);
    }
    place.write("y.csv", "name,value,valid,create_time_ms,metadata\na,1,TRUE,5,\nb,2,maybe,5,\nc,3,,1.7E+12,\nd,4,,5,[\n,5,,5,\ne,6\nf,7,,,\n");
    place.run(["convert", "y.csv", "y.jsonl"]).exits_with(3).says(&[
        "y.csv:3: valid: expected true or false, not `maybe`",
        "y.csv:4: create_time_ms: invalid number of milliseconds `1.7E+12`",
        "y.csv:5: metadata: not a JSON object",
        "y.csv:6: no name",
        "y.csv:7: 2 cells in a table of 5 columns",
    ]);
    let names: Vec<_> = place.lines("y.jsonl").iter().map(|record| record["name"].clone()).collect();
    assert_eq!(names, ["a", "f"]);
    place.write("more.jsonl", verdict(1, json!({"stars": 5})) + &verdict(2, json!({})) + enveloped);
    let more = "(1 record): unknown fields";
    place.run(["convert", "more.jsonl", "more.csv"]).exits_with(0).says(&[more]);
    // What has no time that a form can write.
    place.write("far.jsonl", verdict(1, json!({"create_time_ms": i64::MAX})) + &verdict(2, json!({})));
    place.run(["convert", "far.jsonl", "far.mlflow.jsonl"]).exits_with(3).says(&["far.jsonl:1: "]);
}

#[test]
fn wrong_usage_writes_nothing() {
    let place = Place::with_traces(1);
    place.write("log.jsonl", records());
    place.write("there.csv", "mine");
    place.write("odd.csv", "name,stars\nx,5\n");
    place.write("prices.csv", "item,price\nx,5\n");
    let names = place.names();
    for (args, words) in [
        (&["log.jsonl", "./log.jsonl", "--overwrite"][..], "both input and output"),
        (&["log.jsonl", "there.csv"], "`there.csv` exists"),
        (&["none.jsonl", "x.csv"], "cannot read `none.jsonl`"),
        (&[".", "x.csv"], "is a directory"),
        (&["log.jsonl", "x.txt"], "cannot infer the format of `x.txt`"),
        (&["log.jsonl", "none/x.csv"], "cannot write `none/x.csv`"),
        (&["log.jsonl", "/dev/null", "--to", "csv", "--overwrite"], "`/dev/null` is not a regular file"),
        (&["traces.jsonl", "x.csv"], "`traces.jsonl`: not feedback: line 1"),
        (&["traces.jsonl", "x.mlflow.jsonl"], "not feedback"),
        (&["odd.csv", "x.jsonl"], "unknown column `stars`"),
        (&["prices.csv", "x.jsonl"], "no column `name` or `trace_id`"),
        (&["log.jsonl", "x.csv", "--to", "xlsx"], "possible values: jsonl, mlflow, csv, csv-wide"),
    ] {
        place.run([&["convert"], args].concat()).exits_with(2).says(&[words]);
        assert_eq!(place.names(), names, "{args:?}");
    }
    place.run(["convert", "log.jsonl", "there.csv", "--overwrite"]).exits_with(0);
    assert_eq!(place.read("there.csv.bak"), "mine");
    assert!(place.read("there.csv").starts_with("trace_id,"));
}

#[test]
fn a_run_makes_the_form_that_is_wished_beside_its_log() {
    let place = Place::with_traces(3);
    let fake = Fake::start(|_| answers::verdict(true));
    let finished =
        place.judge(&fake.base_url(), &["-J", "relevance", "-o", "x.csv", "--output-format", "csv-wide"]).run();
    finished.exits_with(0).prints(&["feedback in x.csv, from the log x.feedback.jsonl"]);
    let three = |judge| ["", "__error_code", "__rationale"].map(|end| format!(",{judge}__openai_gpt_4_1_mini{end}"));
    let header = format!("trace_id{}{}\n", three("relevance").concat(), three("safety").concat());
    assert!(place.read("x.csv").starts_with(&header) && place.read("x.csv").lines().count() == 4);
    // The same log in other forms; nothing is asked again.
    for (more, made) in [
        (&["-o", "x.csv"][..], "x.csv"),
        (&["-o", "x.mlflow.jsonl"], "x.mlflow.jsonl"),
        (&["-o", "x.jsonl", "--output-format", "mlflow"], "x.jsonl"),
        (&["-o", "x.jsonl", "--output-format", "mlflow"], "x.jsonl"),
    ] {
        place
            .judge(&fake.base_url(), more)
            .run()
            .exits_with(0)
            .prints(&[&format!("feedback in {made}, from the log x.feedback")]);
    }
    assert_eq!(fake.count(), 6);
    assert_eq!(place.lines("x.jsonl").len(), 6);
    assert_eq!(place.read("x.jsonl"), place.read("x.mlflow.jsonl"));
    // Without a name, that of the dataset.
    let args = ["--output-format", "mlflow", "--reuse", "x.feedback.jsonl"];
    place.judge(&fake.base_url(), &args).run().exits_with(0).prints(&["feedback in traces.mlflow.jsonl, from the log"]);
    assert_eq!((place.lines("traces.feedback.jsonl").len(), fake.count()), (3, 6));
}

#[test]
fn a_log_is_never_replaced_by_what_is_made_from_another() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    place.judge(&fake.base_url(), &["-o", "x.jsonl"]).run().exits_with(0);
    let log = place.read("x.jsonl");
    for more in [&[][..], &["--overwrite"]] {
        let args = [&["-o", "x.jsonl", "--output-format", "mlflow"], more].concat();
        place.judge(&fake.base_url(), &args).run().exits_with(2).says(&["refusing to replace `x.jsonl`"]);
        assert_eq!((place.read("x.jsonl"), fake.count()), (log.clone(), 2));
    }
    for (args, words) in [
        (["-o", "-", "--output-format", "csv"], "| judge-run convert - - --to csv"),
        (["-o", "x.csv", "--output-format", "jsonl"], "the name `x.csv` is that of a csv file, not of a log"),
    ] {
        place.judge(&fake.base_url(), &args).run().exits_with(2).says(&[words]);
    }
}

#[test]
fn a_replay_makes_the_form_of_the_run_anew() {
    let place = Place::with_traces(2);
    let failing = Fake::start(|request| match request.trace() {
        1 => answers::error(424, "invalid_value", "Not today."),
        _ => answers::verdict(true),
    });
    let args = ["-o", "x.csv", "--output-format", "csv-wide"];
    place.judge(&failing.base_url(), &args).run().exits_with(3);
    assert!(place.read("x.csv").contains("trace-1,,INVALID_REQUEST,\n"), "{}", place.read("x.csv"));
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["replay", "x.csv", "--only", "INVALID_REQUEST", "--base-url", &fake.base_url()];
    place.run(args).exits_with(0).prints(&["feedback in x.csv, from the log "]);
    assert!(place.read("x.csv").contains("trace-1,true,,"), "{}", place.read("x.csv"));
}

#[test]
fn a_table_that_a_spreadsheet_saved_again_is_read() {
    let place = Place::new();
    place.write("log.jsonl", records());
    place.run(["convert", "log.jsonl", "x.csv"]).exits_with(0);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(place.path("x.csv")).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    for delimiter in [b';', b'\t'] {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(b"\xef\xbb\xbf".to_vec());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        place.write("saved.csv", writer.into_inner().unwrap());
        place.run(["convert", "saved.csv", "back.jsonl", "--overwrite"]).exits_with(0);
        assert_eq!(place.lines("back.jsonl"), place.lines("log.jsonl"));
    }
}

#[test]
fn a_table_has_no_control_characters_and_no_labels_that_are_read_as_missing() {
    let place = Place::new();
    let more = json!({"value": "NA", "rationale": "before\u{c}\u{0}after\nNA"});
    place.write("log.jsonl", verdict(1, more));
    for (table, lost) in [("x.csv", "(1 record): control characters"), ("x.wide.csv", "(1 record): control characters")]
    {
        place.run(["convert", "log.jsonl", table]).exits_with(0).says(&[lost]);
        let text = place.read(table);
        assert!(text.chars().all(|c| c >= ' ' || c == '\n') && text.contains("\"\"\"NA\"\"\""), "{text}");
        place.run(["convert", table, "back.jsonl", "--overwrite"]).exits_with(0);
        let back = &place.lines("back.jsonl")[0];
        assert_eq!((&back["value"], &back["rationale"]), (&json!("NA"), &json!("before\u{fffd}\u{fffd}after\nNA")));
    }
}

#[test]
fn what_a_table_does_not_have_is_said() {
    let place = Place::new();
    place.write("log.jsonl", records());
    place.run(["convert", "log.jsonl", "x.wide.csv"]).exits_with(0);
    place.run(["convert", "x.wide.csv", "y.jsonl"]).exits_with(0).says(&["x.wide.csv", "ids, times, sources"]);
    place.write("own.csv", "trace_id,name,value,source_type\nt,j,1,HUMAN\n");
    place.run(["convert", "own.csv", "own.jsonl"]).exits_with(0).says(&["own.csv", "ids, times"]);
}

#[test]
fn a_table_says_what_can_be_averaged_and_what_is_good() {
    let place = Place::new();
    let rows = [
        (json!({"value": true, "metadata": {"good": "false"}}), ["boolean", "1", "false"]),
        (json!({"value": false, "metadata": {"good": "false"}}), ["boolean", "0", "true"]),
        (json!({"value": 4, "metadata": {"good": ">= 3.5"}}), ["number", "4", "true"]),
        (json!({"value": 0.25}), ["number", "0.25", ""]),
        (json!({"value": "N/A", "metadata": {"good": "[\"ok\"]"}}), ["string", "", "false"]),
        (json!({"value": null}), ["null", "", ""]),
        (json!({"error": {"error_code": "TIMEOUT"}, "metadata": {"good": "true"}}), ["", "", ""]),
    ];
    let lines = rows.iter().enumerate().map(|(n, (own, _))| {
        let mut record =
            json!({"name": "j", "trace_id": format!("t{n}"), "create_time_ms": 1, "last_update_time_ms": 1});
        record["source"] = json!({"source_type": "LLM_JUDGE", "source_id": "e:/m"});
        own.as_object().unwrap().iter().for_each(|(key, value)| record[key] = value.clone());
        format!("{record}\n")
    });
    place.write("log.jsonl", lines.collect::<String>());
    place.run(["convert", "log.jsonl", "x.csv"]).exits_with(0);
    let mut reader = csv::Reader::from_path(place.path("x.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let place_of = |title: &str| header.iter().position(|other| other == title).unwrap();
    let columns = ["value_type", "score", "passed"].map(place_of);
    for (row, (own, expected)) in reader.records().map(Result::unwrap).zip(&rows) {
        assert_eq!(columns.map(|column| row[column].to_owned()), *expected, "{own}");
    }
    place.run(["convert", "x.csv", "back.jsonl"]).exits_with(0);
    assert_eq!(place.lines("back.jsonl"), place.lines("log.jsonl"));
}

#[test]
fn a_table_can_have_fields_of_the_traces_and_a_byte_order_mark() {
    let place = Place::with_traces(2);
    let fake = Fake::start(|_| answers::verdict(true));
    let args = ["-o", "x.csv", "--include", "inputs,outputs", "--bom", "--map", "tags.a=outputs"];
    place.judge(&fake.base_url(), &args[..5]).run().exits_with(0);
    let made = place.read("x.csv");
    assert!(
        made.starts_with("\u{feff}trace_id,") && made.lines().next().unwrap().ends_with(",inputs,outputs"),
        "{made}"
    );
    let mut reader = csv::Reader::from_reader(made.trim_start_matches('\u{feff}').as_bytes());
    let trace = answers::trace(0);
    let row = reader.records().map(Result::unwrap).find(|row| row[0] == *trace["trace_id"].as_str().unwrap()).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    assert_eq!([&row[19], &row[20]], [text(&trace["inputs"]), text(&trace["outputs"])]);
    // The manifest knows the dataset; a replay and a conversion do as well.
    place.run(["convert", "x.feedback.jsonl", "y.csv", "--include", "inputs,outputs", "--bom"]).exits_with(0);
    assert_eq!(place.read("y.csv"), made);
    place.run(["convert", "y.csv", "back.jsonl"]).exits_with(0);
    let sorted = |name: &str| {
        let mut lines: Vec<_> = place.lines(name).iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("back.jsonl"), sorted("x.feedback.jsonl"));
    place
        .run(["convert", "x.feedback.jsonl", "z.wide.csv", "--include", "session_id", "-d", "traces.jsonl"])
        .exits_with(0);
    assert!(place.read("z.wide.csv").starts_with("trace_id,session_id,"));
    for (args, words) in [
        (&["convert", "x.feedback.jsonl", "z.jsonl", "--bom"][..], "`--bom` is for tables"),
        (&["convert", "y.csv", "z.csv", "--include", "inputs"], "no manifest that names them"),
        (&["convert", "x.feedback.jsonl", "z.csv", "--include", "spans"], "possible values: inputs, outputs"),
    ] {
        place.run(args.iter().copied()).exits_with(2).says(&[words]);
    }
    let args = ["-o", "s.csv", "--include", "inputs"];
    let piped = ["-d", "-", "-J", "safety", "--base-url", &fake.base_url()];
    let finished = place.command([&piped[..], &args].concat()).stdin(answers::traces(1)).run().exits_with(2);
    finished.says(&["standard input can be read only once"]);
    assert_eq!(fake.count(), 2, "it is said before anything is asked");
}
