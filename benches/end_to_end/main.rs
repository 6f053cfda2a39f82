//! Compares the cost of the release binary with that of the cheapest possible client.
//!
//! `cargo bench --bench end_to_end` takes a few minutes; `-- --million` adds the figures for a million traces (6 GB of disk).
//! The endpoint is `judge-run simulate`, and all files are temporary. The benchmark only reports: it never fails for being slow.

mod floor;
mod process;
mod traces;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::endpoint::provider::wire_profile;
use judge_run::judge::{Question, library};
use process::{Simulator, Usage, file_size, judge_run, run};
use serde_json::Map;

type BoxError = Box<dyn Error>;

/// Judgments per run when measuring the cost of one.
const JUDGMENTS: u64 = 20_000;
/// Requests in flight in those runs.
const CONCURRENCY: u64 = 64;
/// Runs per measurement; the table shows the median.
const ROUNDS: usize = 3;
/// Different bodies that the floor client posts in turn.
const BODIES: u64 = 1_000;
const MB: f64 = 1e6;

fn main() -> Result<(), BoxError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["floor", address, bodies, n, connections] => {
            return floor::main(address, Path::new(bodies), n.parse()?, connections.parse()?);
        }
        _ if !args.contains(&"--bench") => {
            return Ok(writeln!(io::stdout(), "run with `cargo bench --bench end_to_end`")?);
        }
        _ => {}
    }
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let bench = Bench { place: place.path().to_owned() };
    print_header()?;
    bench.start_up()?;
    bench.cost_of_a_judgment()?;
    bench.latency()?;
    bench.dry_run()?;
    bench.large_datasets(1_000, false)?;
    bench.large_datasets(100_000, true)?;
    if args.contains(&"--million") {
        bench.large_datasets(1_000_000, true)?;
    }
    Ok(())
}

fn print_header() -> io::Result<()> {
    row("", "measured", "target")?;
    row("---", "---", "---")
}

/// Prints one row of the table immediately.
fn row(what: impl Display, measured: impl Display, target: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "| {what} | {measured} | {target} |")?;
    out.flush()
}

struct Bench {
    place: PathBuf,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// `judge-run`, started in the benchmark's folder.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = judge_run(args);
        command.current_dir(&self.place);
        command
    }

    /// A complete run against `simulator`. The log is named after the dataset.
    fn judging(&self, dataset: &str, simulator: &Simulator, more: &[&str]) -> Command {
        let mut command = self.command(&["-q", "-d", dataset, "-J", "factual_accuracy", "-m", "simulated:/judge"]);
        command.args(["--base-url", &simulator.base_url]).args(more);
        command
    }

    /// The floor client, as a separate process.
    fn floor(&self, simulator: &Simulator, n: u64, connections: u64) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", simulator.address()]).arg(self.path("bodies"));
        command.args([n.to_string(), connections.to_string()]);
        Ok(command)
    }

    fn start_up(&self) -> Result<(), BoxError> {
        let help = median_run(ROUNDS, |usage| usage.cpu, || run(&mut self.command(&["--help"])))?;
        row("CPU of `--help`", format_args!("{} ms", millis(help.cpu)), "10 ms")?;
        traces::plain(&self.path("one.jsonl"), 1)?;
        let simulator = Simulator::start(&["--latency", "0ms"])?;
        let mut one = self.judging("one.jsonl", &simulator, &["--overwrite"]);
        let one = median_run(ROUNDS, |usage| usage.cpu, || run(&mut one))?;
        row("CPU of a run over one trace", format_args!("{} ms", millis(one.cpu)), "25 ms")?;
        let bytes = file_size(Path::new(env!("CARGO_BIN_EXE_judge-run")))?;
        row("size of the binary", format_args!("{:.1} MB", bytes as f64 / MB), "12 MB")?;
        Ok(())
    }

    /// Without latency, alternating with the floor client.
    fn cost_of_a_judgment(&self) -> Result<(), BoxError> {
        traces::plain(&self.path("traces.jsonl"), JUDGMENTS)?;
        self.write_bodies("traces.jsonl")?;
        let concurrency = CONCURRENCY.to_string();
        let (mut ours, mut floors, mut servers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let simulator = Simulator::start(&["--latency", "0ms"])?;
            floors.push(run(&mut self.floor(&simulator, JUDGMENTS, CONCURRENCY)?)?);
            servers.push(simulator.stop()?);
            let simulator = Simulator::start(&["--latency", "0ms"])?;
            let more = ["--overwrite", "--concurrency", &concurrency];
            ours.push(run(&mut self.judging("traces.jsonl", &simulator, &more))?);
        }
        let cpu = |runs: &[Usage]| median(runs.iter().map(|usage| usage.cpu)) / JUDGMENTS as u32;
        let rate = |runs: &[Usage]| JUDGMENTS as f64 / median(runs.iter().map(|usage| usage.wall)).as_secs_f64();
        let (cpu, floor_cpu) = (cpu(&ours), cpu(&floors));
        let ratio = cpu.as_secs_f64() / floor_cpu.as_secs_f64();
        row(
            "CPU per judgment, floor client",
            format_args!("{} µs, {} µs: {ratio:.1}x", cpu.as_micros(), floor_cpu.as_micros()),
            "4x",
        )?;
        let (rate, floor_rate) = (rate(&ours), rate(&floors));
        let share = 100.0 * rate / floor_rate;
        row(
            "judgments per second without latency, floor client",
            format_args!("{rate:.0}, {floor_rate:.0}: {share:.0} %"),
            "60 %",
        )?;
        let server = median(servers.into_iter()) / JUDGMENTS as u32;
        row("CPU per request in the simulator", format_args!("{} µs", server.as_micros()), "")?;
        Ok(())
    }

    fn latency(&self) -> Result<(), BoxError> {
        const N: u64 = 5_000;
        const IN_FLIGHT: u64 = 256;
        traces::plain(&self.path("latency.jsonl"), N)?;
        let simulator = Simulator::start(&["--latency", "200ms", "--no-jitter"])?;
        let ideal = 0.2 * N as f64 / IN_FLIGHT as f64;
        let floor = run(&mut self.floor(&simulator, N, IN_FLIGHT)?)?.wall.as_secs_f64();
        let in_flight = IN_FLIGHT.to_string();
        let more = ["--overwrite", "--concurrency", &in_flight];
        let ours = run(&mut self.judging("latency.jsonl", &simulator, &more))?.wall.as_secs_f64();
        let (ratio, floor_ratio) = (ours / ideal, floor / ideal);
        row(
            "5,000 judgments at 200 ms, 256 in flight (ideal 3.91 s), floor client",
            format_args!("{ours:.2} s, {floor:.2} s: {ratio:.2}x, {floor_ratio:.2}x"),
            "1.05x",
        )?;
        Ok(())
    }

    fn dry_run(&self) -> Result<(), BoxError> {
        traces::mlflow(&self.path("mlflow.jsonl"), JUDGMENTS)?;
        for (dataset, judge, form, target) in [
            ("traces.jsonl", "factual_accuracy", "plain", "150 MB/s"),
            ("mlflow.jsonl", "relevance", "MLflow", "80 MB/s"),
        ] {
            let args = ["--dry-run", "-d", dataset, "-J", judge, "-m", "openai:/gpt-4.1-mini", "-o", "none.jsonl"];
            let usage = median_run(ROUNDS, |usage| usage.cpu, || run(&mut self.command(&args)))?;
            let rate = file_size(&self.path(dataset))? as f64 / MB / usage.cpu.as_secs_f64();
            row(format_args!("`--dry-run` per core, {form} traces"), format_args!("{rate:.0} MB/s"), target)?;
        }
        Ok(())
    }

    /// A run over `n` traces; with `then_replay`, also a replay of its failures and a resume with nothing left to ask.
    fn large_datasets(&self, n: u64, then_replay: bool) -> Result<(), BoxError> {
        traces::plain(&self.path("many.jsonl"), n)?;
        let target = |thousand, hundred_thousand, million| match n {
            1_000 => thousand,
            100_000 => hundred_thousand,
            _ => million,
        };
        // About 500 judgments fail.
        let share = format!("unparseable={:.4}%", 50_000.0 / n as f64);
        let faults: &[&str] = if then_replay { &["--fail", &share, "--clear-after", "0"] } else { &[] };
        let simulator = Simulator::start(&[&["--latency", "0ms"], faults].concat())?;
        let usage = run(&mut self.judging("many.jsonl", &simulator, &["--concurrency", "64"]))?;
        row(
            format_args!("peak memory of a run over {n} traces"),
            megabytes(&usage),
            target("30 MB", "35 MB", "60 MB"),
        )?;
        drop(simulator);
        if then_replay {
            let simulator = Simulator::start(&["--latency", "0ms"])?;
            let usage =
                run(&mut self.command(&["replay", "-q", "many.feedback.jsonl", "--base-url", &simulator.base_url]))?;
            row(
                format_args!("replay of 500 failures in a log of {n}"),
                format_args!("{:.1} s, {}", usage.wall.as_secs_f64(), megabytes(&usage)),
                target("", "", "10 s"),
            )?;
            let usage = run(&mut self.judging("many.jsonl", &simulator, &[]))?;
            row(
                format_args!("resuming {n} finished judgments"),
                format_args!("{:.1} s, {}", usage.wall.as_secs_f64(), megabytes(&usage)),
                target("", "", "15 s, 150 MB"),
            )?;
        }
        for name in ["many.jsonl", "many.feedback.jsonl", "many.feedback.run.json"] {
            std::fs::remove_file(self.path(name))?;
        }
        Ok(())
    }

    /// Writes the bodies that judge-run would send for the first traces of a dataset, one per line.
    fn write_bodies(&self, dataset: &str) -> Result<(), BoxError> {
        let model = "simulated:/judge".parse()?;
        let question = Question::new(library::find("factual_accuracy")?, &model, &Map::new());
        let profile = wire_profile(None, "", "judge");
        let mut file = io::BufWriter::new(std::fs::File::create(self.path("bodies"))?);
        let mut left = BODIES;
        for entry in DatasetReader::open(DatasetOptions::new([self.path(dataset)]))? {
            let Entry::Trace(trace) = entry? else { continue };
            let request = question.judge.request(&trace.value)?;
            let limit = request.sampling.max_output_tokens;
            file.write_all(&request.body("judge", &profile, limit, &Map::new())?)?;
            file.write_all(b"\n")?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
        Ok(file.flush()?)
    }
}

/// The median run by `key`.
fn median_run<K: Ord>(
    rounds: usize,
    key: impl Fn(&Usage) -> K,
    mut run: impl FnMut() -> io::Result<Usage>,
) -> io::Result<Usage> {
    let mut all = (0..rounds).map(|_| run()).collect::<io::Result<Vec<_>>>()?;
    all.sort_by_key(key);
    Ok(all.swap_remove(rounds / 2))
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn megabytes(usage: &Usage) -> String {
    format!("{:.0} MB", usage.peak_rss as f64 / MB)
}
