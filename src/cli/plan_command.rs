//! `judge-run plan`: how many traces a question needs, before anything is paid for.

use std::fmt::{self, Write as _};
use std::process::ExitCode;

use judge_run::results::planning::{Assumed, Need, Needs, Wanted, needs, needs_of};
use judge_run::results::report::SCHEMA_VERSION;
use judge_run::run::Exit;
use serde_json::json;

use super::error::CliError;
use super::gates::Gates;
use super::named_logs::expanded;
use super::print::{counted, escaped, one_line};
use super::report::{Asked, given_good};
use super::subcommands::PlanArgs;
use super::summary;

pub(crate) fn main(args: PlanArgs) -> Result<ExitCode, CliError> {
    let PlanArgs {
        logs,
        rate,
        traces,
        design_effect,
        cost_per_judgment,
        margin,
        drop,
        discordance,
        good,
        level,
        format,
    } = args;
    for (flag, share) in [("--margin", margin), ("--drop", drop)] {
        if share == 0.0 || share == 1.0 {
            return Err(CliError::usage(format_args!("{flag} must be between 0 and 1")));
        }
    }
    let wanted = Wanted { margin, drop, discordance, level };
    let all: Vec<Needs> = match rate {
        Some(rate) => {
            let assumed = Assumed { rate, traces, design_effect, cost_usd: cost_per_judgment };
            needs_of(&assumed, &wanted).into_iter().collect()
        }
        None => {
            let logs = expanded(&logs)?;
            let asked = Asked { logs: &logs, by: &[], dataset: &[], good: given_good(&good)?, level };
            // Gates are not what is planned.
            let report = asked.report(Gates::default())?.report;
            report.judges.iter().filter_map(|judge| needs(judge, &wanted)).collect()
        }
    };
    summary::print(&match format.as_str() {
        "json" => format!("{:#}\n", json!({"schema_version": SCHEMA_VERSION, "judges": all})),
        _ => text(&all, &wanted),
    })?;
    Ok(ExitCode::from(Exit::AllJudged.code()))
}

fn text(all: &[Needs], wanted: &Wanted) -> String {
    let mut text = String::new();
    for (number, needs) in all.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write(&mut text, needs, wanted);
    }
    if all.is_empty() {
        text.push_str("no judge with verdicts that are good or bad, or numbers\n");
    }
    escaped(&text)
}

fn write(out: &mut String, needs: &Needs, wanted: &Wanted) -> fmt::Result {
    let Needs { name, source_id, estimate, n, design_effect, margin, drop, margin_now, detectable_now } = needs;
    let n = counted(*n, if name.is_empty() { "trace" } else { "verdict" });
    match name.as_str() {
        "" => writeln!(out, "assumed       {estimate:.4} pass, design effect {design_effect:.2}")?,
        _ => writeln!(out, "{}  on {}", one_line(name), one_line(source_id))?,
    }
    if let (Some(margin_now), Some(detectable_now)) = (margin_now, detectable_now) {
        match name.as_str() {
            "" => writeln!(out, "  {n:<10}  \u{b1} {margin_now:.4}")?,
            _ => writeln!(
                out,
                "  so far      {estimate:.4} \u{b1} {margin_now:.4} from {n}, design effect {design_effect:.2}"
            )?,
        }
        writeln!(out, "              two such runs would show a difference of {detectable_now:.4} or more")?;
    }
    let need = |what: &str, Need { wanted, traces, cost_usd }: &Need| {
        let cost = cost_usd.map(|cost| format!(", cost {cost:.2}")).unwrap_or_default();
        format!("  {what:<10}  {wanted:.4}: {}{cost}", counted(*traces, "trace"))
    };
    writeln!(out, "{}", need("margin", margin))?;
    let (power, changes) = ("80% power", 100.0 * wanted.discordance);
    writeln!(out, "{} ({power}; {changes:.0}% of verdicts change by themselves)", need("drop", drop))
}
