//! What a report's page says about the runs and the judges: from manifests, and from the judges' own files.

use std::path::PathBuf;
use std::time::Duration;

use judge_run::judge::library::{self, BUILT_IN};
use judge_run::run::manifest::{Manifest, State};

use super::paths::shown;
use super::plan;
use super::print::{counted, short, time};

/// What each judge asks, by name: those of the logs' plans as far as their files are there, and the built-in ones.
pub(crate) fn about(logs: &[PathBuf]) -> Vec<(String, String)> {
    let mut about: Vec<(String, String)> = Vec::new();
    for plan in manifests(logs).flat_map(|manifest| manifest.plans) {
        for judge in plan.judges {
            if judge.file.is_some()
                && let Ok(found) = plan::compiled(&judge)
            {
                about.push((judge.name, found.description));
            }
        }
    }
    for (name, _) in BUILT_IN {
        let judges = library::find_all(name).unwrap_or_default();
        about.extend(judges.into_iter().map(|judge| (judge.name, judge.description)));
    }
    about
}

/// Names and values, run by run.
pub(crate) fn facts(logs: &[PathBuf]) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    for manifest in manifests(logs) {
        let state = match manifest.state {
            State::Running => "still running, or killed",
            State::Finished => "finished",
            State::Stopped => "stopped early",
            State::Interrupted => "interrupted",
        };
        let end = manifest.end_time_ms.unwrap_or(manifest.update_time_ms);
        let lasted = Duration::from_millis(u64::try_from(end - manifest.start_time_ms).unwrap_or(0));
        let counts = &manifest.counts;
        let mut run = format!("{state} after {}, by judge-run {}", time(lasted), manifest.version);
        run += &format!("; {}, {} requests", counted(counts.traces, "trace"), short(counts.requests));
        if counts.retries > 0 {
            run += &format!(" ({} of them retries)", short(counts.retries));
        }
        if let Some(reason) = &manifest.stop_reason {
            run += &format!("; {reason}");
        }
        facts.push((format!("Run {}", manifest.run_id), run));
        let Some(plan) = manifest.plans.first() else { continue };
        let datasets: Vec<_> = plan.datasets.iter().map(|dataset| shown(&dataset.path).display().to_string()).collect();
        facts.push(("Dataset".to_owned(), datasets.join(", ")));
        for judge in &plan.judges {
            let file = judge.file.as_ref().map_or("built in".to_owned(), |file| shown(file).display().to_string());
            let digest = judge.blake3.get(..12).unwrap_or(&judge.blake3);
            let text = format!("version {}, {file}, digest {digest}, asks {}", judge.version, judge.model);
            facts.push((format!("Judge {}", judge.name), text));
        }
        for endpoint in &plan.endpoints {
            let quota = |name: &str, sum: Option<u64>| sum.map(|n| format!("{} {name} a minute", short(n)));
            let rpm = endpoint.members.iter().map(|member| member.rpm.map(u64::from)).sum::<Option<u64>>();
            let tpm = endpoint.members.iter().map(|member| member.tpm.map(u64::from)).sum::<Option<u64>>();
            let limits: Vec<_> = [quota("requests", rpm), quota("tokens", tpm)].into_iter().flatten().collect();
            let limits = if limits.is_empty() { "no quota given".to_owned() } else { limits.join(", ") };
            facts.push((format!("Model {}", endpoint.model), limits));
        }
    }
    facts
}

fn manifests(logs: &[PathBuf]) -> impl Iterator<Item = Manifest> {
    logs.iter().filter_map(|log| Manifest::read(&Manifest::path_of(log)).ok())
}
