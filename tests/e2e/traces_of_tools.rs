//! Traces as tools write them, and what a judge is asked about them: the cases of `fixtures/traces`.

use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::common::{Fake, Finished, Place, answers};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A run over the file of a case: what it said, and the prompts that arrived.
struct Run {
    finished: Finished,
    prompts: Vec<String>,
    images: Vec<String>,
}

fn run(case: &Value, more: &[String]) -> Run {
    let place = Place::new();
    let fake = Fake::start(|_| answers::verdict(true));
    let file = folder().join("files").join(case["file"].as_str().unwrap());
    let judge = folder().join("judges").join(format!("{}.toml", case["judge"].as_str().unwrap_or("probe")));
    let mut command = place.command(["-m", "capture:/m", "--base-url", &fake.base_url(), "-j", "1", "-o", "log.jsonl"]);
    command = command.arg("--dataset").arg(file).arg("--judge").arg(judge);
    for arg in strings(&case["args"]).iter().chain(more) {
        command = command.arg(arg);
    }
    let finished = command.run();
    let (mut prompts, mut images) = (Vec::new(), Vec::new());
    for request in fake.seen() {
        match &request.json()["messages"].as_array().unwrap().last().unwrap()["content"] {
            Value::String(text) => prompts.push(text.clone()),
            parts => {
                let all = |key: &'static str| parts.as_array().unwrap().iter().filter_map(move |part| part.get(key));
                prompts.push(all("text").map(|text| text.as_str().unwrap()).collect::<Vec<_>>().join("\n"));
                images.extend(all("image_url").map(|image| image["url"].as_str().unwrap().to_owned()));
            }
        }
    }
    Run { finished, prompts, images }
}

/// The flags of the hint, as a shell takes them.
fn hinted(stderr: &str) -> Vec<String> {
    let Some((_, flags)) = stderr.split_once("hint: name the fields: ") else { return Vec::new() };
    let (mut words, mut word, mut in_quotes) = (Vec::new(), String::new(), false);
    for c in flags.lines().next().unwrap_or_default().chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            ' ' if !in_quotes => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

/// What is wrong with a run, in words.
fn wrong(expect: &Value, run: &Run) -> Vec<String> {
    let mut wrong = Vec::new();
    let prompts = run.prompts.join("\n=== end of prompt ===\n");
    let said = format!("{}{}", run.finished.stdout, run.finished.stderr);
    let exit = expect["exit"].as_array().cloned().unwrap_or_else(|| vec![0.into()]);
    if !exit.contains(&run.finished.code.into()) {
        wrong.push(format!("exit code {:?}", run.finished.code));
    }
    if expect["traces"].as_u64().is_some_and(|n| n != run.prompts.len() as u64) {
        wrong.push(format!("{} prompts", run.prompts.len()));
    }
    if expect["images"].is_array() && strings(&expect["images"]) != run.images {
        wrong.push(format!("images {:?}", run.images));
    }
    for wanted in expect["prompt_has"].as_array().into_iter().flatten() {
        let any = if wanted.is_array() { strings(wanted) } else { vec![wanted.as_str().unwrap().to_owned()] };
        if !any.iter().any(|text| prompts.contains(text)) {
            wrong.push(format!("no prompt has {any:?}"));
        }
    }
    wrong.extend(strings(&expect["prompt_lacks"]).into_iter().filter(|text| prompts.contains(text)));
    for (text, n) in expect["prompt_counts"].as_object().into_iter().flatten() {
        if prompts.matches(text).count() as u64 != n.as_u64().unwrap() {
            wrong.push(format!("not {n} times: {text}"));
        }
    }
    wrong.extend(strings(&expect["stderr_has"]).into_iter().filter(|text| !said.contains(text)));
    wrong.extend(strings(&expect["stderr_lacks"]).into_iter().filter(|text| said.contains(text)));
    if !wrong.is_empty() {
        wrong.push(format!("prompts: {prompts}\nsaid: {said}"));
    }
    wrong
}

fn check(case: &Value) -> Vec<String> {
    let mut done = run(case, &[]);
    if case["follow_hint"] == true && done.finished.code == Some(2) {
        let flags = hinted(&done.finished.stderr);
        if flags.is_empty() {
            return vec![format!("refused without a hint: {}", done.finished.stderr)];
        }
        done = run(case, &flags);
    }
    match &case["expect"] {
        Value::Array(any) => any.iter().map(|expect| wrong(expect, &done)).min_by_key(Vec::len).unwrap(),
        expect => wrong(expect, &done),
    }
}

#[test]
fn what_a_judge_is_asked_is_what_was_recorded() {
    let text = std::fs::read_to_string(folder().join("cases.jsonl")).unwrap();
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 70, "{}", cases.len());
    let failed: Vec<String> = thread::scope(|scope| {
        let halves: Vec<_> = cases.chunks(cases.len().div_ceil(4)).collect();
        let check_all = |cases: &[Value]| -> Vec<String> {
            let failed = cases.iter().map(|case| (case, check(case))).filter(|(_, wrong)| !wrong.is_empty());
            failed.map(|(case, wrong)| format!("{} ({}): {}", case["name"], case["why"], wrong.join("; "))).collect()
        };
        let threads: Vec<_> = halves.into_iter().map(|cases| scope.spawn(move || check_all(cases))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
}
