//! What a dataset can be: compressed, a folder, a pattern, JSON over several lines, a table, with fields of other names.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;

use crate::common::{Fake, Place, answers};

fn agreeing() -> Fake {
    Fake::start(|_| answers::verdict(true))
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: impl AsRef<[u8]>) -> Vec<u8> {
    compress_to_vec(text.as_ref(), CompressionLevel::Fastest)
}

/// The traces of a log.
fn judged(place: &Place, log: &str) -> BTreeSet<String> {
    place.lines(log).iter().map(|record| record["trace_id"].as_str().unwrap().to_owned()).collect()
}

fn first(n: usize) -> BTreeSet<String> {
    (0..n).map(|i| format!("trace-{i}")).collect()
}

fn list(n: usize) -> Value {
    (0..n).map(answers::trace).collect()
}

/// `-d dataset -J safety`, with a fake that agrees.
fn args<'a>(base_url: &'a str, dataset: &'a str) -> [&'a str; 6] {
    ["-d", dataset, "-J", "safety", "--base-url", base_url]
}

#[test]
fn the_same_traces_are_judged_whatever_the_file_is() {
    let lines = answers::traces(5);
    let pretty = serde_json::to_string_pretty(&list(5)).unwrap();
    let objects: String = (0..5).map(|i| serde_json::to_string_pretty(&answers::trace(i)).unwrap() + "\n").collect();
    let rows: String = (0..5).map(|i| format!("trace-{i};Question number {i}?;Answer number {i}.\n")).collect();
    let table = format!("\u{feff}trace_id;inputs.question;outputs.response\n{rows}");
    let members = [gzip(&lines), gzip(answers::traces(1))].concat();
    let fake = agreeing();
    let mut ids = BTreeSet::new();
    for (name, content) in [
        ("a.jsonl", lines.clone().into_bytes()),
        ("a.jsonl.gz", members),
        ("a.jsonl.zst", zstd(&lines)),
        ("a.misnamed", zstd(&pretty)),
        ("a.json", pretty.into_bytes()),
        ("a.one-line.json", list(5).to_string().into_bytes()),
        ("a.ndjson", objects.into_bytes()),
        ("a.csv.gz", gzip(&table)),
        ("a.csv", table.into_bytes()),
    ] {
        let place = Place::new();
        place.write(name, content);
        place.run([&args(&fake.base_url(), name)[..], &["-o", "f.jsonl"]].concat()).exits_with(0);
        assert_eq!(judged(&place, "f.jsonl"), first(5), "{name}");
        ids.extend(place.lines("f.jsonl").iter().map(|record| record["assessment_id"].to_string()));
    }
    assert_eq!(ids.len(), 5, "they are the same judgments");
}

#[test]
fn standard_input_may_be_compressed_too() {
    let place = Place::new();
    let fake = agreeing();
    place.command(args(&fake.base_url(), "-")).stdin(gzip(answers::traces(3))).run().exits_with(0);
    assert_eq!(judged(&place, "stdin.feedback.jsonl"), first(3));
}

#[test]
fn a_file_that_is_cut_off_is_named_with_the_place_and_what_was_read_is_judged() {
    let place = Place::new();
    let fake = agreeing();
    let whole = gzip(answers::traces(3));
    let torn = gzip(answers::traces(900));
    let cut = [whole.as_slice(), &torn[..torn.len() / 2]].concat();
    place.write("a.jsonl.gz", &cut);
    let finished = place.run(args(&fake.base_url(), "a.jsonl.gz")).exits_with(4);
    let told = [finished.stdout.as_str(), &finished.stderr].concat();
    assert!(told.contains("`a.jsonl.gz` is damaged or truncated at byte "), "{told}");
    assert!(judged(&place, "a.feedback.jsonl").is_superset(&first(3)));
}

#[test]
fn a_folder_is_all_that_is_in_it_and_the_log_has_its_name() {
    let place = Place::new();
    let fake = agreeing();
    let trace = |i| format!("{}\n", answers::trace(i));
    place.write("night/b.jsonl.gz", gzip(trace(0)));
    place.write("night/sub/a.json", list(2).to_string());
    place.write("night/notes.txt", "not read");
    place.write("night/.hidden.jsonl", "not read");
    place.write("night/old.feedback.jsonl", "not read");
    let finished = place.run([&args(&fake.base_url(), "night")[..], &["-o", "night/log.jsonl"]].concat());
    finished.exits_with(0).prints(&["2 traces, 2 requests", "1 line skipped"]);
    // The log is not a dataset, and the manifest lists the files.
    place.write("night/c.jsonl", trace(2));
    let again = place.run([&args(&fake.base_url(), "night")[..], &["-o", "night/log.jsonl"]].concat());
    again.exits_with(0).prints(&["3 traces, 1 request"]);
    let manifest: Value = serde_json::from_str(&place.read("night/log.run.json")).unwrap();
    assert_eq!(manifest["plans"][0]["datasets"].as_array().unwrap().len(), 3);

    place.run(args(&fake.base_url(), "night/*.jsonl*")).exits_with(0).prints(&["2 traces, ", "night.feedback.jsonl"]);
    place
        .run(args(&fake.base_url(), "n*/*.tsv"))
        .exits_with(2)
        .says(&["no dataset in `n*/*.tsv`: no file matches the pattern"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place
        .run(args(&fake.base_url(), "empty"))
        .exits_with(2)
        .says(&["no dataset in `empty`: expected a file named .jsonl"]);
}

#[test]
fn a_bad_element_of_a_list_is_set_aside_with_its_place() {
    let place = Place::new();
    let fake = agreeing();
    let text = format!(
        "[\n  {},\n  {{\"trace_id\": \"bad\", \"inputs\": nan}},\n  7,\n  {}\n]\n",
        answers::trace(0),
        answers::trace(1)
    );
    place.write("a.json", &text);
    let finished = place.run(args(&fake.base_url(), "a.json")).exits_with(3);
    finished.says(&[
        "a.json:3: not JSON: expected a value at column 31",
        "a.json:4: expected a trace's object, found a number",
    ]);
    assert_eq!(judged(&place, "a.feedback.jsonl"), first(2));
    let rejects = place.lines("a.feedback.rejects.jsonl");
    assert_eq!(rejects[0]["text"], "{\"trace_id\": \"bad\", \"inputs\": nan}");
    assert_eq!(rejects[0]["byte_offset"], text.find("{\"trace_id\": \"bad\"").unwrap());
}

#[test]
fn columns_of_other_names_are_suggested_mapped_and_replayed() {
    let place = Place::new();
    let table = "id,Question,prompt,answer,lang\n1,\"Why,\nthough?\",p,Because.,en\n2,How?,p,So.,en\n3,torn\n";
    place.write("a.csv", table);
    let fake = Fake::start(|request| match request.number {
        1 => answers::error(400, "invalid_request", "no"),
        _ => answers::verdict(true),
    });
    let base_url = fake.base_url();
    place
        .run(args(&base_url, "a.csv"))
        .exits_with(2)
        .says(&["a.csv:2: unknown trace format", "hint: name the fields: --map inputs=Question --map outputs=answer"]);
    let map = ["--map", "inputs.question=Question", "--map", "outputs=answer", "--map", "trace_id=id"];
    let finished = place.run([&args(&base_url, "a.csv")[..], &map, &["-j", "1"]].concat()).exits_with(3);
    finished
        .says(&["a.csv:5: the row has 2 cells but the header 5 columns", "`lang` (2x)"])
        .prints(&["2 traces, 2 requests"]);
    let prompt = fake.seen()[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(prompt.contains("Why,\nthough?") && prompt.contains("Because."), "{prompt}");
    let replayed = place.run(["replay", "a.feedback.jsonl", "--only", "INVALID_REQUEST"]);
    assert!(!replayed.stderr.contains("unknown form"), "{}", replayed.stderr);
    assert_eq!(judged(&place, "a.feedback.jsonl"), ["1".to_owned(), "2".to_owned()].into());
}

#[test]
fn what_a_dataset_is_can_be_said() {
    let place = Place::new();
    let fake = agreeing();
    place.write("a.txt", "Frage;Antwort\nWarum?;Darum.\n");
    place.write("judge-run.toml", "[dataset]\nformat = \"csv\"\nmap = { inputs = \"Frage\", outputs = \"Antwort\" }\n");
    place.run(args(&fake.base_url(), "a.txt")).exits_with(0).prints(&["1 trace, 1 request"]);
    let forced = place.command(args(&fake.base_url(), "a.txt")).env("JUDGE_RUN_DATASET_FORMAT", "jsonl").run();
    forced.exits_with(2).says(&["a.txt:1: this looks like a row of a table"]);
    let wrong = place.run([&args(&fake.base_url(), "a.txt")[..], &["--dataset-format", "xml"]].concat());
    wrong.exits_with(2).says(&["unknown format `xml`; expected one of jsonl, json, csv, tsv, "]);
    let wrong = place.run([&args(&fake.base_url(), "a.txt")[..], &["--map", "question=Frage"]].concat());
    wrong.exits_with(2).says(&["a trace has no field `question`; did you mean `inputs`?"]);
    let wrong = place.run([&args(&fake.base_url(), "a.txt")[..], &["--map", "inputs=Frag"]].concat());
    assert!(wrong.stderr.contains("`Frag` is mapped, but the columns are `Frage`, `Antwort`"), "{wrong:#?}");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_unicode_is_judged_like_any_other() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"tr\xffaces.jsonl");
    if std::fs::write(place.path("").join(name), answers::traces(2)).is_err() {
        return; // Some file systems accept no such name.
    }
    let finished = place.command(["-J", "safety", "--simulate", "-d"]).arg(name).run().exits_with(0);
    finished.prints(&["scored         2", "feedback in tr\u{fffd}aces.feedback.jsonl"]);
}

#[test]
fn the_folder_of_an_output_is_made() {
    let place = Place::with_traces(1);
    let run =
        |output: &str| place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "-o", output]).exits_with(0);
    run("new/deep/x.jsonl");
    run("tables/x.csv");
    assert_eq!(place.lines("new/deep/x.jsonl").len(), 1);
    assert_eq!(place.read("tables/x.csv").lines().count(), 2);
    place.run(["-d", "traces.jsonl", "-J", "safety", "--simulate", "--dry-run", "-o", "none/x.jsonl"]).exits_with(0);
    assert!(!place.path("none").exists());
}

#[test]
fn fields_that_no_trace_has_are_noted() {
    let place = Place::new();
    place.write("a.jsonl", "{\"inputs\":\"q\",\"outputs\":\"a\",\"color\":1}\n".repeat(3));
    let args = ["-d", "a.jsonl", "-J", "safety", "--simulate", "--overwrite"];
    for more in [&[][..], &["--dry-run"]] {
        place.run(args.iter().chain(more)).exits_with(0).says(&["note: ", "`color` (3x)"]);
    }
    assert_eq!(place.run(args.iter().chain(&["-q"])).exits_with(0).stderr, "");
}
