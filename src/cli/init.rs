//! `judge-run init`: writes a `judge-run.toml`, so that `judge-run` alone is the nightly command.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::provider::preset;
use judge_run::judge::verdict::VerdictType;
use judge_run::judge::{Judge, library};

use super::command_line::quoted;
use super::config_file::{self, ConfigFile};
use super::error::CliError;
use super::flags::GateArgs;
use super::gates::Gates;
use super::subcommands::InitArgs;
use super::{endpoint, paths, print, quickstart};

pub(crate) fn main(args: InitArgs) -> Result<ExitCode, CliError> {
    let InitArgs { file, dataset, map, mut judge, model, gate, baseline } = args;
    if judge.is_empty() {
        judge.push("factual_accuracy".to_owned());
    }
    let model = model.unwrap_or_else(endpoint::default_model);
    let mut judges = Vec::new();
    for name in &judge {
        judges.extend(library::find_all(name).map_err(|error| CliError::of(&error))?);
    }
    let names: Vec<_> = judges.iter().map(|judge| judge.name.as_str()).collect();
    let args = GateArgs { gate: gate.clone(), baseline: baseline.clone(), ..GateArgs::default() };
    Gates::of(args, &ConfigFile::default())?.checked(&names, "file")?;
    let dataset = if dataset.is_empty() { vec![quickstart::NAME.into()] } else { dataset };
    let mut text = String::from("# `judge-run` alone runs this; flags override it.\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# Names of `judge-run judges`, or files.\njudges = {}\n", list(&judge));
    let _ = writeln!(text, "{}model = {}\n", key_of(&model), string(&model.to_string()));
    let about = "# Files of traces, folders or patterns.";
    let path = if let [path] = dataset.as_slice() { string(text_of(path)?) } else { path_list(&dataset)? };
    if map.is_empty() {
        let _ = writeln!(text, "{about}\ndataset = {path}\n");
    } else {
        let map = map.iter().map(ToString::to_string);
        let pairs: Vec<_> =
            map.filter_map(|pair| pair.split_once('=').map(|(field, name)| pair_of(field, name))).collect();
        let _ = writeln!(text, "{about}\n[dataset]\npath = {path}\nmap = {{ {} }}\n", pairs.join(", "));
    }
    let _ = writeln!(text, "# If one of these fails, the exit code is 1.\n[gates]\n{}", required(&gate, &judges));
    if !baseline.is_empty() {
        let _ = writeln!(text, "baseline = {}", path_list(&baseline)?);
    }
    write(&file, &text)?;
    let is_there = |path: &Path| paths::expanded(path).is_ok_and(|found| found.iter().any(|path| path.exists()));
    for path in dataset.iter().filter(|path| !quickstart::is_meant(path) && !is_there(path)) {
        print::message(format_args!("note: the dataset `{}` does not exist yet", path.display()));
    }
    print::message(next(&file, &model));
    Ok(ExitCode::SUCCESS)
}

/// The file must not exist, or nothing is written.
fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let cannot =
        |error: &std::io::Error| CliError::usage(format_args!("cannot write `{}`", path.display())).because(error);
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|error| cannot(&error)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(CliError::usage_with_hint(format_args!("`{}` exists", path.display()), "edit it, or move it away"))
        }
        Err(error) => Err(cannot(&error)),
    }
}

/// Where the key comes from.
fn key_of(model: &ModelUri) -> String {
    let with_key = preset(&model.endpoint).filter(|preset| preset.needs_key);
    with_key.map(|preset| format!("# Its key is read from {}.\n", preset.api_key_env)).unwrap_or_default()
}

/// The conditions, or an example of one.
fn required(gates: &[String], judges: &[Judge]) -> String {
    if !gates.is_empty() {
        return format!("require = {}", list(gates));
    }
    let example = |judge: &Judge| {
        let is_number = matches!(judge.verdict, VerdictType::Number { .. } | VerdictType::Integer { .. });
        let figure = if is_number { "mean" } else { "pass" };
        format!("{}.{figure} >= 0.8", judge.name)
    };
    let examples: Vec<_> = judges.iter().map(example).chain(["errors <= 1%".to_owned()]).collect();
    format!("# require = {}", list(&examples))
}

/// What to do now.
fn next(file: &Path, model: &ModelUri) -> String {
    let mut command = "judge-run".to_owned();
    if file != Path::new(config_file::DEFAULT_PATH) {
        command.push_str(&format!(" --config {}", quoted(&file.display().to_string())));
    }
    let model = print::one_line(&model.to_string());
    format!(
        "wrote {}\n\nnext:\n  {command} --simulate    try it with made-up verdicts\n  \
         {command} --dry-run     see what would be sent to {model}, and estimate it\n  \
         {command}               judge everything; the same command every night",
        file.display()
    )
}

fn path_list(paths: &[PathBuf]) -> Result<String, CliError> {
    let texts: Vec<_> = paths.iter().map(|path| text_of(path).map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
    Ok(list(&texts))
}

fn text_of(path: &Path) -> Result<&str, CliError> {
    path.to_str().ok_or_else(|| {
        CliError::usage(format_args!("cannot write the path `{}` into a file: it is not UTF-8", path.display()))
    })
}

fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| string(text)).collect::<Vec<_>>().join(", "))
}

fn pair_of(field: &str, name: &str) -> String {
    format!("{} = {}", string(field), string(name))
}
