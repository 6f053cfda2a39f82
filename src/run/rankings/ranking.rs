//! A judge of documents, and the figures that its verdicts on those of one retrieval make.

use std::collections::BTreeMap;

use judge_run_statistics::retrieval::{ndcg, precision, reciprocal_rank};
use serde_json::Value;

use crate::feedback::{Better, Good, Source};
use crate::judge::verdict::VerdictType;
use crate::judge::{Judge, Unit};
use crate::run::panel::Panel;

/// What is said of a ranking, each under the judge's name and its own.
pub(super) const FIGURES: [&str; 3] = ["precision", "reciprocal_rank", "ndcg"];

/// A judge of documents, and how its verdicts make figures.
#[derive(Debug, Clone)]
pub(in crate::run) struct Ranking {
    pub(super) judge: String,
    /// What it may answer: a verdict of another version may be none of these.
    verdict: VerdictType,
    /// Which verdicts are good; none where the judge does not say it.
    good: Option<Good>,
    gains: Gains,
    /// How many documents count; all, if it is not set.
    pub(super) k: Option<u32>,
    /// Where several vote, the source of what they come to.
    only: Option<Source>,
}

/// How much a document with a verdict gains.
#[derive(Debug, Clone, PartialEq)]
enum Gains {
    /// What stands for its label.
    Scores(BTreeMap<String, f64>),
    /// The verdict itself.
    Number,
    /// 1 if it is good.
    Good,
    /// Nothing is known of it.
    Unknown,
}

/// What a verdict says of its document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relevance {
    pub is_good: Option<bool>,
    pub gain: Option<f64>,
    pub said: String,
}

impl Ranking {
    /// How the verdicts of a judge rank, if it judges documents.
    pub(in crate::run) fn of(judge: &Judge, panels: &[Panel]) -> Option<Self> {
        if judge.select.unit() != Unit::Document {
            return None;
        }
        let good = judge.good.clone().filter(|good| !matches!(good, Good::Scale { threshold: None, .. }));
        let scores = &judge.labels.scores;
        let is_scale_of_gains = matches!(judge.good, Some(Good::Scale { better: Better::Higher, .. }))
            && judge.verdict.scale().0.is_some_and(|min| min >= 0.0);
        let gains = match &judge.verdict {
            VerdictType::Category { .. } if !scores.is_empty() && scores.values().all(|score| *score >= 0.0) => {
                Gains::Scores(scores.clone())
            }
            VerdictType::Integer { .. } | VerdictType::Number { .. } if is_scale_of_gains => Gains::Number,
            _ if good.is_some() => Gains::Good,
            _ => Gains::Unknown,
        };
        let panel = panels.iter().find(|panel| panel.judge == judge.name);
        Some(Self {
            judge: judge.name.clone(),
            verdict: judge.verdict.clone(),
            good,
            gains,
            k: judge.k.map(Into::into),
            only: panel.map(Panel::source),
        })
    }

    /// Whether verdicts under this name and of this source are those that make the figures.
    pub(super) fn is_of(&self, name: &str, source: &Source) -> bool {
        self.judge == name && self.only.as_ref().is_none_or(|only| only == source)
    }

    /// Which of the figures has this name.
    pub(super) fn figure(&self, name: &str) -> Option<usize> {
        let figure = name.strip_prefix(self.judge.as_str())?.strip_prefix('.')?;
        FIGURES.iter().position(|known| *known == figure)
    }

    /// Whether the judge says enough for a figure: what is good, or how much a document gains.
    pub(super) fn has(&self, figure: usize) -> bool {
        match FIGURES[figure] {
            "ndcg" => self.gains != Gains::Unknown,
            _ => self.good.is_some(),
        }
    }

    /// What a verdict says of its document; `None` where it is none of the judge's.
    pub(super) fn relevance(&self, value: &Value) -> Option<Relevance> {
        self.verdict.check(value).ok()?;
        let is_good = match &self.good {
            Some(good) => Some(good.is_good(value)?),
            None => None,
        };
        let gain = match &self.gains {
            Gains::Scores(scores) => Some(*scores.get(value.as_str()?)?),
            Gains::Number => Some(value.as_f64()?),
            Gains::Good => is_good.map(|is_good| f64::from(u8::from(is_good))),
            Gains::Unknown => None,
        };
        Some(Relevance { is_good, gain, said: value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned) })
    }

    /// The figures of documents in their order.
    pub(super) fn figures(&self, known: &[&Relevance]) -> [Option<f64>; FIGURES.len()] {
        let k = self.k.and_then(|k| usize::try_from(k).ok()).unwrap_or(known.len());
        let good: Option<Vec<bool>> = known.iter().take(k).map(|relevance| relevance.is_good).collect();
        let gains: Option<Vec<f64>> = known.iter().map(|relevance| relevance.gain).collect();
        [
            good.as_deref().and_then(precision),
            good.as_deref().and_then(reciprocal_rank),
            gains.and_then(|gains| ndcg(&gains, k).ok().flatten()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(verdict: &str) -> Option<Ranking> {
        let text = format!(
            "[select]\nunit = \"document\"\n[verdict]\n{verdict}\n[prompt]\nuser = \"{{{{ document | fence }}}}\""
        );
        Ranking::of(&Judge::compile("j", &text, "j").unwrap(), &[])
    }

    fn figures_of(verdict: &str, values: &[Value]) -> [Option<f64>; 3] {
        let ranking = ranking(verdict).unwrap();
        let known: Vec<_> = values.iter().map(|value| ranking.relevance(value).unwrap()).collect();
        ranking.figures(&known.iter().collect::<Vec<_>>())
    }

    fn close(found: [Option<f64>; 3], expected: [Option<f64>; 3]) {
        let is_close = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        };
        assert!(found.into_iter().zip(expected).all(is_close), "{found:?}");
    }

    const LABELS: &str = "type = \"category\"\nlabels = [\"no\", \"partly\", \"yes\"]\ngood = [\"partly\", \"yes\"]";
    const SCORES: &str = "scores = { no = 0, partly = 1, yes = 2 }";

    #[test]
    fn what_a_judge_declares_decides_which_figures_there_are() {
        let order = ["no", "partly", "yes"].map(Value::from);
        let graded = format!("{LABELS}\n{SCORES}");
        close(figures_of(&graded, &order), [Some(2.0 / 3.0), Some(0.5), Some(0.619_906_233_284_065_7)]);
        // Without scores each good document gains 1.
        close(figures_of(LABELS, &order), [Some(2.0 / 3.0), Some(0.5), Some(0.693_426_403_617_270_1)]);
        let scale = "type = \"integer\"\nmin = 0\nmax = 2\nbetter = \"higher\"";
        let grades = [0, 1, 2].map(Value::from);
        close(figures_of(scale, &grades), [None, None, Some(0.619_906_233_284_065_7)]);
        let with_threshold = figures_of(&format!("{scale}\nthreshold = 1"), &grades);
        close(with_threshold, [Some(2.0 / 3.0), Some(0.5), Some(0.619_906_233_284_065_7)]);
        close(figures_of("type = \"boolean\"", &[true.into()]), [None; 3]);
        assert!(ranking(LABELS).unwrap().relevance(&"maybe".into()).is_none(), "a label of an older version");
    }

    #[test]
    fn with_k_the_first_documents_count_beside_the_best_order_of_all() {
        let order = ["no", "partly", "yes"].map(Value::from);
        let at = |k: u32| figures_of(&format!("{LABELS}\n{SCORES}\n[params]\nk = {k}"), &order);
        close(at(1), [Some(0.0), Some(0.0), Some(0.0)]);
        // scikit-learn's ndcg_score([[0, 1, 2]], [[3, 2, 1]], k=2).
        close(at(2), [Some(0.5), Some(0.5), Some(0.239_812_466_568_131_4)]);
        // Of as many as were found, if that is less.
        close(at(5), [Some(2.0 / 3.0), Some(0.5), Some(0.619_906_233_284_065_7)]);
    }
}
