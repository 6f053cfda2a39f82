//! GitHub's workflow commands: failures are marked on the page of the run.
//!
//! Source: GitHub Docs, "Workflow commands for GitHub Actions".

use super::figures::{counted, of_change, of_gate};
use super::findings::Findings;
use super::plain::{clip, one_line};
use crate::results::compare::Outcome;
use crate::results::gate::GateOutcome;

/// GitHub shows at most this many annotations of a kind for a step.
const MAX: usize = 10;
const MAX_MESSAGE: usize = 1000;

/// One line each: an error for each gate that fails; warnings for gates that are undecided, for judges that got worse without a gate on
/// anything, and for failed judgments.
pub fn annotations(findings: &Findings<'_>) -> Vec<String> {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for gate in findings.gates() {
        let reason = gate.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
        let message = format!("{}{reason}", of_gate(gate));
        match gate.outcome {
            GateOutcome::Fail => errors.push(command("error", &format!("Gate fails: {}", gate.gate), &message)),
            GateOutcome::Inconclusive if gate.is_judge_changed() => {
                warnings.push(command("warning", &format!("The judge changed: {}", gate.gate), &message));
            }
            GateOutcome::Inconclusive => {
                warnings.push(command("warning", &format!("Gate is undecided: {}", gate.gate), &message));
            }
            GateOutcome::Pass => {}
        }
    }
    if findings.gates().is_empty() {
        for comparison in findings.comparisons().iter().filter(|comparison| comparison.outcome == Outcome::Worse) {
            warnings.push(command("warning", &format!("{} got worse", comparison.name), &of_change(comparison)));
        }
    }
    for judge in findings.judges().iter().filter(|judge| judge.figures.n_failed > 0) {
        let codes: Vec<_> = judge.figures.failed.iter().map(|(code, n)| format!("{code} {n}")).collect();
        let title = format!("{} of {}", counted(judge.figures.n_failed, "failed judgment"), judge.name);
        warnings.push(command("warning", &title, &codes.join(", ")));
    }
    errors.truncate(MAX);
    warnings.truncate(MAX);
    errors.append(&mut warnings);
    errors
}

fn command(level: &str, title: &str, message: &str) -> String {
    let short = |text: &str| clip(&one_line(text), MAX_MESSAGE).replace('%', "%25");
    let title = short(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", short(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_is_another_command_or_property() {
        let line = command("error", "a,file=/etc/passwd:b%0A", "x\r\n::warning::100%");
        assert_eq!(line, "::error title=a%2Cfile=/etc/passwd%3Ab%250A::x  ::warning::100%25");
        assert_eq!(line.lines().count(), 1);
    }
}
