//! `judge-run check`: does the endpoint answer, what does it support, what are its limits.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

use judge_run::endpoint::check::{self, Check};
use judge_run::endpoint::client::{Client, without_credentials};
use judge_run::endpoint::pacing::observed::ObservedBucket;
use judge_run::endpoint::provider;
use judge_run::endpoint::wire::answer::Usage;
use judge_run::endpoint::wire::ladder::Ladder;
use judge_run::judge::parse::parse_verdict;
use judge_run::judge::verdict::VerdictType;
use judge_run::run::Exit;
use judge_run_simulator::{Simulator, SimulatorConfig};

use super::endpoint::{self, Layers};
use super::environment::Env;
use super::error::CliError;
use super::print::{one_line, short};
use super::subcommands::CheckArgs;

pub(crate) fn main(args: CheckArgs) -> Result<ExitCode, CliError> {
    let env: Env<'_> = &|name| std::env::var(name).ok();
    let layers = Layers::new(args.endpoint, false)?;
    layers.one_model()?;
    let uri = layers.model(None);
    let (plan, secrets) = layers.endpoint(&uri, env)?;
    let simulator = if plan.is_simulated() { Some(Simulator::spawn(SimulatorConfig::default())?) } else { None };
    let lane = endpoint::open::open(&plan, &secrets, simulator.as_ref(), env)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut all_answer = true;
    for endpoint in lane.pool.iter() {
        let client = Client::new(endpoint, &lane.model).map_err(|error| CliError::of(&error))?;
        let profile = provider::wire_profile(endpoint.preset, &endpoint.base_url, &lane.model);
        let ladder = Ladder::new(profile, endpoint.extra_body.keys().cloned());
        let check = runtime.block_on(check::check(&client, ladder));
        all_answer &= check.result.is_ok();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write(&mut text, &uri.to_string(), &without_credentials(client.address()), &check);
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
    }
    Ok(ExitCode::from(if all_answer { Exit::AllJudged } else { Exit::Stopped }.code()))
}

fn write(out: &mut String, uri: &str, address: &str, check: &Check) -> fmt::Result {
    writeln!(out, "{uri} at {address}")?;
    let seconds = check.latency.as_secs_f64();
    match &check.result {
        Err(failure) => {
            writeln!(out, "  answers   no, after {seconds:.2} s: {}", one_line(&failure.to_string()))?;
            writeln!(out, "            {}", failure.code.traits().remedy)?;
            if check.requests > 1 {
                writeln!(out, "  tried     {} requests, in different forms", check.requests)?;
            }
        }
        Ok(answer) => {
            let model = answer.model.as_deref().map_or_else(|| "an unnamed model".to_owned(), one_line);
            let made_up = if answer.is_simulated { "; a simulator: its verdicts are made up" } else { "" };
            writeln!(out, "  answers   in {seconds:.2} s, as {model}{made_up}")?;
            match parse_verdict(&answer.content, &VerdictType::Boolean) {
                Ok(parsed) => writeln!(out, "  verdict   read, {}", parsed.method)?,
                Err(error) => writeln!(out, "  verdict   not read: {}", one_line(&error.to_string()))?,
            }
            writeln!(out, "  format    {}", check.ladder.profile().response_format.as_str())?;
            match answer.usage {
                Some(usage) => {
                    let Usage { input_tokens, output_tokens, reasoning_tokens, .. } = usage;
                    write!(out, "  tokens    {input_tokens} in (estimated {}), ", check.estimated_input_tokens)?;
                    match reasoning_tokens {
                        0 => writeln!(out, "{output_tokens} out")?,
                        _ => writeln!(out, "{output_tokens} out ({reasoning_tokens} of them reasoning)")?,
                    }
                }
                None => writeln!(out, "  tokens    not reported")?,
            }
        }
    }
    // One line each: a run does all of this by itself.
    for (i, change) in check.ladder.adapted().iter().enumerate() {
        writeln!(out, "  {:<9} {change}", if i == 0 { "adapted" } else { "" })?;
    }
    let bucket = |bucket: Option<ObservedBucket>, what: &str| {
        bucket.map(|bucket| {
            let per_minute = format!("{:.0}", bucket.per_second * 60.0);
            format!("{per_minute} {what} per minute, {} of {} left", short(bucket.remaining), short(bucket.limit))
        })
    };
    let limits = [bucket(check.limits.requests, "requests"), bucket(check.limits.tokens, "tokens")];
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    let limits = match limits.as_slice() {
        [] => "not reported; set --rpm and --tpm if you know them".to_owned(),
        limits => limits.join("; "),
    };
    writeln!(out, "  limits    {limits}")
}
